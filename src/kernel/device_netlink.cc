#include <algorithm>
#include <cerrno>

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "kernel/device.h"

namespace kernel {
namespace {

using base::fail;
using base::Result;
using netlink::Attribute;
using netlink::AttributeTable;
using netlink::Batch;
using netlink::Bytes;
using reconcile::DeviceEdit;
using reconcile::DeviceKind;
using reconcile::DeviceState;
using reconcile::VxlanAttributes;
using Kind = DeviceEdit::Kind;

// Attributes of a VXLAN device, from linux/if_link.h of 6.1; older headers lack the last ones, older kernels do not
// send them.
constexpr std::size_t kLinkAttributes = IFLA_MAX + 1;
constexpr std::size_t kInfoAttributes = IFLA_INFO_MAX + 1;
constexpr std::size_t kVxlanAttributes = IFLA_VXLAN_MAX + 1;
constexpr std::size_t kAddressAttributes = IFA_MAX + 1;

constexpr std::string_view kVxlan = "vxlan";
constexpr std::string_view kIpip = "ipip";

VxlanAttributes parse_vxlan(Bytes bytes) {
  const AttributeTable<kVxlanAttributes> data(bytes);
  VxlanAttributes out;
  const auto on = [&](std::size_t type) { return data[type] && data[type]->u8().value_or(0) != 0; };
  if (data[IFLA_VXLAN_ID]) out.vni = data[IFLA_VXLAN_ID]->u32().value_or(0);
  if (data[IFLA_VXLAN_PORT]) out.port = data[IFLA_VXLAN_PORT]->be16().value_or(0);
  if (data[IFLA_VXLAN_LINK]) out.parent = data[IFLA_VXLAN_LINK]->u32().value_or(0);
  if (data[IFLA_VXLAN_LOCAL]) out.source = data[IFLA_VXLAN_LOCAL]->address();
  if (data[IFLA_VXLAN_LOCAL6]) out.source = data[IFLA_VXLAN_LOCAL6]->address();
  out.special = data.malformed() || data[IFLA_VXLAN_GROUP] || data[IFLA_VXLAN_GROUP6] || data[IFLA_VXLAN_GBP] ||
                data[IFLA_VXLAN_GPE] || on(IFLA_VXLAN_COLLECT_METADATA) || on(IFLA_VXLAN_LEARNING) ||
                on(IFLA_VXLAN_PROXY) || on(IFLA_VXLAN_RSC) || on(IFLA_VXLAN_L2MISS) || on(IFLA_VXLAN_L3MISS);
  return out;
}

void put_vxlan(Batch& batch, const VxlanAttributes& vxlan) {
  batch.put_u32(IFLA_VXLAN_ID, vxlan.vni);
  batch.put_u32(IFLA_VXLAN_LINK, vxlan.parent);
  if (vxlan.source) batch.put_address(vxlan.source->is_v4() ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, *vxlan.source);
  batch.put_be16(IFLA_VXLAN_PORT, vxlan.port);
  for (const std::uint16_t off : {IFLA_VXLAN_LEARNING, IFLA_VXLAN_PROXY, IFLA_VXLAN_RSC, IFLA_VXLAN_L2MISS,
                                  IFLA_VXLAN_L3MISS, IFLA_VXLAN_UDP_ZERO_CSUM6_TX, IFLA_VXLAN_UDP_ZERO_CSUM6_RX}) {
    batch.put_u8(off, 0);
  }
}

void put_link(Batch& batch, std::uint16_t type, std::uint16_t flags, reconcile::IfIndex index, unsigned up,
              unsigned mask) {
  batch.begin(type, flags);
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = static_cast<int>(index);
  header.ifi_flags = up;
  header.ifi_change = mask;
  batch.header(header);
}

void put_create(Batch& batch, const reconcile::DeviceSpec& spec) {
  put_link(batch, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0);
  batch.put_text(IFLA_IFNAME, spec.name);
  batch.put_u32(IFLA_MTU, spec.mtu);
  const bool vxlan = spec.kind == DeviceKind::kVxlan;
  if (vxlan) batch.put(IFLA_ADDRESS, spec.vxlan.mac.bytes);
  const std::size_t info = batch.nest(IFLA_LINKINFO);
  batch.put_text(IFLA_INFO_KIND, vxlan ? kVxlan : kIpip);
  if (vxlan) {
    const std::size_t data = batch.nest(IFLA_INFO_DATA);
    put_vxlan(batch, spec.vxlan);
    batch.end_nest(data);
  }
  batch.end_nest(info);
  batch.end();
}

void put_address(Batch& batch, const DeviceEdit& edit) {
  const bool add = edit.kind == Kind::kAddAddress;
  if (add) {
    batch.begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
  } else {
    batch.begin(RTM_DELADDR, 0);
  }
  const bool v4 = edit.address.family() == base::Family::kIpv4;
  ifaddrmsg header{};
  header.ifa_family = v4 ? AF_INET : AF_INET6;
  header.ifa_prefixlen = edit.address.length;
  header.ifa_index = edit.index;
  // Nobody else can have an address that IPAM gave to this node; waiting for that to be proved would cost a second.
  if (add && !v4) header.ifa_flags = IFA_F_NODAD;
  batch.header(header);
  batch.put_address(IFA_LOCAL, edit.address.address);
  batch.put_address(IFA_ADDRESS, edit.address.address);
  batch.end();
}

// What the kernel says when there is nothing left to do.
bool done_already(Kind kind, int error) {
  switch (kind) {
    case Kind::kCreate:
    case Kind::kAddAddress: return error == EEXIST;
    case Kind::kRemove: return error == ENODEV;
    case Kind::kRemoveAddress: return error == EADDRNOTAVAIL || error == ENODEV;
    case Kind::kSetDown: return error == ENODEV;
    case Kind::kSetMtu:
    case Kind::kSetUp: return false;
  }
  return false;
}

bool is_link_local(const base::IpAddress& address) {
  static const base::Prefix kLinkLocal = *base::parse_cidr("fe80::/10");
  return kLinkLocal.contains(address);
}

}  // namespace

std::optional<DeviceState> parse_device_message(Bytes payload) {
  const auto header = netlink::fixed_header<ifinfomsg>(payload);
  if (!header || header->ifi_index <= 0) return std::nullopt;
  const AttributeTable<kLinkAttributes> table(netlink::after_header<ifinfomsg>(payload));
  if (table.malformed() || !table[IFLA_IFNAME]) return std::nullopt;
  DeviceState device;
  device.name = table[IFLA_IFNAME]->text();
  device.index = static_cast<reconcile::IfIndex>(header->ifi_index);
  device.up = (header->ifi_flags & IFF_UP) != 0;
  if (table[IFLA_MTU]) device.mtu = table[IFLA_MTU]->u32().value_or(0);
  if (!table[IFLA_LINKINFO]) return device;
  const AttributeTable<kInfoAttributes> info(table[IFLA_LINKINFO]->payload);
  const std::string_view kind = info[IFLA_INFO_KIND] ? info[IFLA_INFO_KIND]->text() : std::string_view();
  if (kind == kIpip) device.kind = DeviceKind::kIpip;
  if (kind != kVxlan) return device;
  device.kind = DeviceKind::kVxlan;
  if (info[IFLA_INFO_DATA]) device.vxlan = parse_vxlan(info[IFLA_INFO_DATA]->payload);
  if (table[IFLA_ADDRESS] && table[IFLA_ADDRESS]->payload.size() == device.vxlan.mac.bytes.size()) {
    std::copy(table[IFLA_ADDRESS]->payload.begin(), table[IFLA_ADDRESS]->payload.end(), device.vxlan.mac.bytes.begin());
  }
  return device;
}

void put_device_edit(Batch& batch, const DeviceEdit& edit) {
  switch (edit.kind) {
    case Kind::kCreate: return put_create(batch, edit.spec);
    case Kind::kRemove: put_link(batch, RTM_DELLINK, 0, edit.index, 0, 0); return batch.end();
    case Kind::kSetMtu:
      put_link(batch, RTM_SETLINK, 0, edit.index, 0, 0);
      batch.put_u32(IFLA_MTU, edit.mtu);
      return batch.end();
    case Kind::kSetUp: put_link(batch, RTM_SETLINK, 0, edit.index, IFF_UP, IFF_UP); return batch.end();
    case Kind::kSetDown: put_link(batch, RTM_SETLINK, 0, edit.index, 0, IFF_UP); return batch.end();
    case Kind::kAddAddress:
    case Kind::kRemoveAddress: return put_address(batch, edit);
  }
}

Result<std::unique_ptr<NetlinkDevices>> NetlinkDevices::open(const netlink::SocketOptions& options) {
  auto socket = netlink::Socket::open(netlink::Bus::kRoute, options);
  if (!socket) return fail(std::move(socket).error().in("devices"));
  return std::unique_ptr<NetlinkDevices>(new NetlinkDevices(std::move(*socket)));
}

Result<std::optional<DeviceState>> NetlinkDevices::read(std::string_view name) {
  Batch batch;
  put_link(batch, RTM_GETLINK, 0, 0, 0, 0);
  batch.put_text(IFLA_IFNAME, name);
  batch.end();
  auto replies = socket_.execute(batch);
  if (!replies) return fail(std::move(replies).error().in("devices"));
  const netlink::Reply& reply = replies->front();
  if (reply.error == ENODEV) return std::optional<DeviceState>();
  if (reply.error != 0) return fail(netlink::reply_error(reply, name));
  auto device = parse_device_message(reply.data);
  if (!device) return fail(base::Error::system(EBADMSG, "device " + std::string(name)));
  if (auto done = read_addresses(*device); !done) return fail(std::move(done).error());
  return device;
}

Result<> NetlinkDevices::read_addresses(DeviceState& device) {
  Batch batch;
  batch.begin(RTM_GETADDR, 0);
  ifaddrmsg header{};
  header.ifa_family = AF_UNSPEC;
  if (socket_.strict()) header.ifa_index = device.index;
  batch.header(header);
  batch.end();
  return socket_.dump(
      batch, "list addresses", [&] { device.addresses.clear(); },
      [&](const netlink::Message& message) {
        if (message.type != RTM_NEWADDR) return;
        const auto found = netlink::fixed_header<ifaddrmsg>(message.payload);
        if (!found || found->ifa_index != device.index) return;
        const AttributeTable<kAddressAttributes> table(netlink::after_header<ifaddrmsg>(message.payload));
        // A point-to-point address has the peer in IFA_ADDRESS.
        const auto& attribute = table[IFA_LOCAL] ? table[IFA_LOCAL] : table[IFA_ADDRESS];
        const auto address = attribute ? attribute->address() : std::nullopt;
        if (address && !is_link_local(*address)) device.addresses.push_back({*address, found->ifa_prefixlen});
      });
}

Result<> NetlinkDevices::apply(const DeviceEdit& edit) {
  Batch batch;
  put_device_edit(batch, edit);
  auto replies = socket_.execute(batch);
  if (!replies) return fail(std::move(replies).error().in("devices"));
  const netlink::Reply& reply = replies->front();
  if (reply.error == 0 || done_already(edit.kind, reply.error)) return {};
  return fail(netlink::reply_error(reply, reconcile::to_string(edit)));
}

}  // namespace kernel
