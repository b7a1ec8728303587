// Tunnel devices and forwarding tables against the real kernel, compared with what ip(8) and bridge(8) say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <cerrno>

#include "kernel/device.h"
#include "kernel/fdb.h"
#include "namespace.h"

namespace kernel_test {
namespace {

using kernel::NetlinkDevices;
using kernel::NetlinkFdb;
using reconcile::DeviceKind;
using reconcile::DeviceSpec;
using ::testing::HasSubstr;
using ::testing::Not;

base::IpAddress address(std::string_view text) { return *base::parse_address(text); }
base::MacAddress mac(std::string_view text) { return *base::parse_mac(text); }

class Devices : public NamespaceTest {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (IsSkipped()) return;
    run("ip link add eth9 type veth peer name far");
    run("ip link set far up");
    run("ip link set eth9 up");
    run("ip addr add 192.0.2.1/24 dev eth9");
    run("ip -6 addr add 2001:db8::1/64 dev eth9 nodad");
    auto opened = NetlinkDevices::open();
    ASSERT_TRUE(opened) << opened.error().text();
    devices_ = *std::move(opened);
  }
  static DeviceSpec vxlan(bool v4) {
    return {.name = v4 ? "vxlan.calico" : "vxlan-v6.calico",
            .kind = DeviceKind::kVxlan,
            .mtu = v4 ? 1450u : 1430u,
            .address = address(v4 ? "10.65.0.1" : "fd00:65::1"),
            .vxlan = {.vni = 4096,
                      .port = 4789,
                      .parent = ::if_nametoindex("eth9"),
                      .source = address(v4 ? "192.0.2.1" : "2001:db8::1"),
                      .mac = mac(v4 ? "66:fd:ed:cb:85:3f" : "66:00:eb:35:10:0f")}};
  }
  // How many edits it took; the plan is empty at the end.
  int converge(const DeviceSpec& spec) {
    int count = 0;
    for (int round = 0; round < 4; ++round) {
      auto actual = devices_->read(spec.name);
      EXPECT_TRUE(actual) << actual.error().text();
      if (!actual) return -1;
      const auto edits = reconcile::plan_device(spec, *actual);
      if (edits.empty()) return count;
      for (const auto& edit : edits) {
        ++count;
        const auto done = devices_->apply(edit);
        EXPECT_TRUE(done) << done.error().text();
      }
    }
    ADD_FAILURE() << spec.name << " does not converge";
    return count;
  }

  std::unique_ptr<NetlinkDevices> devices_;
};

TEST_F(Devices, AVxlanDeviceIsMadeAsUpstreamMakesIt) {
  for (const bool v4 : {true, false}) {
    const DeviceSpec spec = vxlan(v4);
    EXPECT_EQ(converge(spec), 3) << "made, addressed, up";
    EXPECT_EQ(converge(spec), 0) << "and then as wanted";
    const std::string shown = run("ip -d link show " + spec.name);
    EXPECT_THAT(shown, HasSubstr("vxlan id 4096"));
    EXPECT_THAT(shown, HasSubstr(v4 ? "local 192.0.2.1 dev eth9" : "local 2001:db8::1 dev eth9"));
    EXPECT_THAT(shown, HasSubstr("dstport 4789"));
    EXPECT_THAT(shown, HasSubstr("nolearning"));
    EXPECT_THAT(shown, HasSubstr(v4 ? "mtu 1450" : "mtu 1430"));
    EXPECT_THAT(shown, HasSubstr(base::to_string(spec.vxlan.mac)));
    EXPECT_THAT(shown, HasSubstr("UP"));
    EXPECT_THAT(run("ip addr show " + spec.name), HasSubstr(v4 ? "10.65.0.1/32" : "fd00:65::1/128"));
  }
}

TEST_F(Devices, WhatSomebodyHasChangedIsPutRight) {
  const DeviceSpec spec = vxlan(true);
  converge(spec);
  run("ip link set vxlan.calico mtu 1300");
  run("ip addr add 10.65.0.77/32 dev vxlan.calico");
  run("ip link set vxlan.calico down");
  EXPECT_EQ(converge(spec), 3);
  EXPECT_THAT(run("ip addr show vxlan.calico"), Not(HasSubstr("10.65.0.77")));
  run("ip link del vxlan.calico");
  for (const char* line :
       {"ip link add vxlan.calico type vxlan id 7 dstport 4789 dev eth9 local 192.0.2.1 nolearning",
        "ip link add vxlan.calico type vxlan id 4096 dstport 4789 dev eth9 local 192.0.2.1",
        "ip link add vxlan.calico type vxlan id 4096 dstport 4789 dev eth9 group 239.1.1.1 nolearning",
        "ip link add vxlan.calico type vxlan external dstport 4789", "ip link add vxlan.calico type bridge"}) {
    run(line);
    converge(spec);
    const std::string shown = run("ip -d link show vxlan.calico");
    EXPECT_THAT(shown, HasSubstr("vxlan id 4096 local 192.0.2.1 dev eth9")) << line;
    EXPECT_THAT(shown, HasSubstr("nolearning")) << line;
    EXPECT_THAT(shown, Not(HasSubstr("239.1.1.1"))) << line;
    run("ip link del vxlan.calico");
  }
}

TEST_F(Devices, OutOfUse) {
  converge(vxlan(true));
  auto there = devices_->read("vxlan.calico");
  ASSERT_TRUE(there && *there);
  for (const auto& edit : reconcile::plan_no_device(*there)) EXPECT_TRUE(devices_->apply(edit));
  there = devices_->read("vxlan.calico");
  ASSERT_TRUE(there) << there.error().text();
  EXPECT_FALSE(*there);
}

// With the module the fallback device comes up; without it the kernel says which kind it does not know.
TEST_F(Devices, IpipOrAClearAnswer) {
  const DeviceSpec spec{.name = "tunl0", .kind = DeviceKind::kIpip, .mtu = 1480, .address = address("10.65.0.3")};
  const auto made = devices_->apply({.kind = reconcile::DeviceEdit::Kind::kCreate, .spec = spec, .address = {}});
  if (!made) {
    EXPECT_EQ(made.error().error_number(), EOPNOTSUPP) << made.error().text();
    EXPECT_THAT(made.error().text(), HasSubstr("create tunl0"));
    return;
  }
  converge(spec);
  const std::string shown = run("ip -d link show tunl0");
  EXPECT_THAT(shown, HasSubstr("ipip remote any local any"));
  EXPECT_THAT(shown, HasSubstr("mtu 1480"));
  EXPECT_THAT(run("ip addr show tunl0"), HasSubstr("10.65.0.3/32"));
}

TEST_F(Devices, ForwardingTables) {
  converge(vxlan(true));
  const auto index = ::if_nametoindex("vxlan.calico");
  run("bridge fdb append 66:00:00:00:00:01 dev vxlan.calico dst 192.0.2.99 self permanent");  // wrong host
  run("bridge fdb append 66:00:00:00:00:03 dev vxlan.calico dst 192.0.2.3 self permanent");   // nobody wants it
  auto opened = NetlinkFdb::open();
  ASSERT_TRUE(opened);
  kernel::FdbSyncer syncer(**opened);
  syncer.interface_present("vxlan.calico", index);
  syncer.want("vxlan.calico",
              {{mac("66:00:00:00:00:01"), address("192.0.2.7")}, {mac("66:00:00:00:00:02"), address("192.0.2.8")}});
  auto report = syncer.apply();
  EXPECT_TRUE(report.clean());
  const std::string shown = run("bridge fdb show dev vxlan.calico");
  EXPECT_THAT(shown, HasSubstr("66:00:00:00:00:01 dst 192.0.2.7 self permanent"));
  EXPECT_THAT(shown, HasSubstr("66:00:00:00:00:02 dst 192.0.2.8 self permanent"));
  EXPECT_THAT(shown, Not(HasSubstr("192.0.2.99")));
  EXPECT_THAT(shown, Not(HasSubstr("192.0.2.3 ")));
  const auto writes = syncer.counters().writes;
  syncer.request_resync();
  EXPECT_TRUE(syncer.apply().clean());
  EXPECT_EQ(syncer.counters().writes, writes);
  syncer.want("vxlan.calico", {});
  EXPECT_TRUE(syncer.apply().clean());
  EXPECT_THAT(run("bridge fdb show dev vxlan.calico"), Not(HasSubstr("permanent")));
}

}  // namespace
}  // namespace kernel_test
