// The messages about tunnel devices. Kernels without IP-in-IP are common where this is developed, so its messages are
// checked byte by byte here; a kernel that has it is asked in the VM lab.
#include "kernel/device.h"

#include <gtest/gtest.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <functional>

namespace kernel {
namespace {

using netlink::AttributeTable;
using netlink::Batch;
using netlink::Bytes;
using netlink::MessageReader;
using reconcile::DeviceEdit;
using reconcile::DeviceKind;
using reconcile::DeviceState;

DeviceEdit create_tunl0() {
  DeviceEdit edit;
  edit.kind = DeviceEdit::Kind::kCreate;
  edit.spec.name = "tunl0";
  edit.spec.kind = DeviceKind::kIpip;
  edit.spec.mtu = 1480;
  return edit;
}

Bytes whole(const Batch& batch) { return batch.bytes(0, batch.size()); }

TEST(DeviceMessages, CreateIpip) {
  Batch batch;
  put_device_edit(batch, create_tunl0());
  // What `ip link add name tunl0 mtu 1480 type ipip` sends, less its empty IFLA_INFO_DATA.
  const std::vector<std::uint8_t> expected = {
      0x44, 0, 0,  0,    0x10, 0,    0x00, 0x06, 0,   0, 0, 0,
      0,    0, 0,  0,  // header: 68 bytes, RTM_NEWLINK, CREATE | EXCL
      0,    0, 0,  0,    0,    0,    0,    0,    0,   0, 0, 0,
      0,    0, 0,  0,                                            // ifinfomsg
      10,   0, 3,  0,    't',  'u',  'n',  'l',  '0', 0, 0, 0,   // IFLA_IFNAME
      8,    0, 4,  0,    0xC8, 0x05, 0,    0,                    // IFLA_MTU
      16,   0, 18, 0x80,                                         // IFLA_LINKINFO, nested
      9,    0, 1,  0,    'i',  'p',  'i',  'p',  0,   0, 0, 0};  // IFLA_INFO_KIND
  const std::vector<std::uint8_t> sent(whole(batch).begin(), whole(batch).end());
  EXPECT_EQ(sent, expected);
}

TEST(DeviceMessages, SetUpAndAddressOfTunl0) {
  Batch batch;
  DeviceEdit edit = create_tunl0();
  edit.index = 7;
  edit.kind = DeviceEdit::Kind::kSetUp;
  put_device_edit(batch, edit);
  edit.kind = DeviceEdit::Kind::kAddAddress;
  edit.address = *base::parse_interface_cidr("10.65.0.3/32");
  put_device_edit(batch, edit);
  MessageReader reader(whole(batch));
  const auto up = reader.next();
  ASSERT_TRUE(up);
  EXPECT_EQ(up->type, RTM_SETLINK);
  const auto link = netlink::fixed_header<ifinfomsg>(up->payload);
  EXPECT_EQ(link->ifi_index, 7);
  EXPECT_EQ(link->ifi_flags, static_cast<unsigned>(IFF_UP));
  EXPECT_EQ(link->ifi_change, static_cast<unsigned>(IFF_UP));
  const auto add = reader.next();
  ASSERT_TRUE(add);
  EXPECT_EQ(add->type, RTM_NEWADDR);
  const auto header = netlink::fixed_header<ifaddrmsg>(add->payload);
  EXPECT_EQ(header->ifa_index, 7u);
  EXPECT_EQ(header->ifa_prefixlen, 32);
  const AttributeTable<IFA_MAX + 1> table(netlink::after_header<ifaddrmsg>(add->payload));
  EXPECT_EQ(table[IFA_LOCAL]->address(), edit.address.address);
}

// A link message as the kernel writes it: name, MTU, flags, kind.
std::vector<std::uint8_t> link_message(std::string_view name, unsigned flags, std::string_view kind,
                                       const std::function<void(Batch&)>& data = {}) {
  Batch batch;
  batch.begin(RTM_NEWLINK, 0);
  ifinfomsg header{};
  header.ifi_index = 7;
  header.ifi_flags = flags;
  batch.header(header);
  batch.put_text(IFLA_IFNAME, name);
  batch.put_u32(IFLA_MTU, 1480);
  const std::uint8_t mac[] = {0x66, 1, 2, 3, 4, 5};
  batch.put(IFLA_ADDRESS, mac);
  const std::size_t info = batch.nest(IFLA_LINKINFO);
  batch.put_text(IFLA_INFO_KIND, kind);
  const std::size_t nested = batch.nest(IFLA_INFO_DATA);
  if (data) data(batch);
  batch.end_nest(nested);
  batch.end_nest(info);
  batch.end();
  const Bytes bytes = batch.bytes(0, 1).subspan(netlink::kHeaderSize);
  return {bytes.begin(), bytes.end()};
}

TEST(DeviceMessages, ReadsTunl0) {
  const auto device = parse_device_message(link_message("tunl0", IFF_NOARP, "ipip"));
  ASSERT_TRUE(device);
  EXPECT_EQ(device->name, "tunl0");
  EXPECT_EQ(device->index, 7u);
  EXPECT_EQ(device->kind, DeviceKind::kIpip);
  EXPECT_EQ(device->mtu, 1480u);
  EXPECT_FALSE(device->up);
  EXPECT_TRUE(parse_device_message(link_message("tunl0", IFF_UP, "ipip"))->up);
  EXPECT_EQ(parse_device_message(link_message("tunl0", IFF_UP, "gre"))->kind, DeviceKind::kOther);
}

TEST(DeviceMessages, ReadsVxlanAsItWasAskedFor) {
  DeviceEdit edit = create_tunl0();
  edit.spec.kind = DeviceKind::kVxlan;
  edit.spec.vxlan = {.vni = 4096,
                     .port = 4789,
                     .parent = 2,
                     .source = base::parse_address("192.0.2.1").value(),
                     .mac = {{0x66, 1, 2, 3, 4, 5}}};
  Batch batch;
  put_device_edit(batch, edit);
  MessageReader reader(whole(batch));
  const auto message = reader.next();
  ASSERT_TRUE(message);
  std::vector<std::uint8_t> payload(message->payload.begin(), message->payload.end());
  payload[4] = 7;  // the index that the kernel gives it
  const auto device = parse_device_message(payload);
  ASSERT_TRUE(device);
  EXPECT_EQ(device->vxlan, edit.spec.vxlan);
}

TEST(DeviceMessages, SpecialVxlanDevicesAreNotOurs) {
  const auto special = [](std::uint16_t type, std::uint8_t value) {
    const auto device = parse_device_message(
        link_message("vxlan.calico", IFF_UP, "vxlan", [&](Batch& batch) { batch.put_u8(type, value); }));
    return device && device->vxlan.special;
  };
  EXPECT_FALSE(special(IFLA_VXLAN_LEARNING, 0));
  EXPECT_FALSE(special(IFLA_VXLAN_UDP_CSUM, 1));
  for (const std::uint16_t type : {IFLA_VXLAN_LEARNING, IFLA_VXLAN_PROXY, IFLA_VXLAN_RSC, IFLA_VXLAN_L2MISS,
                                   IFLA_VXLAN_L3MISS, IFLA_VXLAN_COLLECT_METADATA}) {
    EXPECT_TRUE(special(type, 1)) << type;
  }
}

TEST(DeviceMessages, AnyBytesAreSafe) {
  const std::vector<std::uint8_t> good = link_message("vxlan.calico", IFF_UP, "vxlan");
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_NO_FATAL_FAILURE((void)parse_device_message(Bytes(good.data(), size)));
  }
}

}  // namespace
}  // namespace kernel
