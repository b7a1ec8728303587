#include "kernel/sysctl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/files.h"
#include "testing/temp_directory.h"

namespace kernel {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

FakeSysctl interface(const std::string& name) {
  FakeSysctl sysctl;
  for (const auto* path :
       {"ipv6/conf/%/accept_ra", "ipv4/conf/%/route_localnet", "ipv4/neigh/%/proxy_delay", "ipv4/conf/%/proxy_arp",
        "ipv4/conf/%/forwarding", "ipv4/conf/%/rp_filter", "ipv6/conf/%/proxy_ndp", "ipv6/conf/%/forwarding"}) {
    std::string text = std::string("net/") + path;
    text.replace(text.find('%'), 1, name);
    sysctl.values[text] = "5";
  }
  return sysctl;
}

TEST(Sysctl, AnInterfaceIsConfiguredOnce) {
  FakeSysctl sysctl = interface("tap1");
  base::NullLog log;
  SyncCounters counters;
  ASSERT_TRUE(configure_interface(sysctl, {.interface = "tap1", .rp_filter = "2"}, log, counters));
  EXPECT_THAT(sysctl.writes, ElementsAre("net/ipv6/conf/tap1/accept_ra=0", "net/ipv4/conf/tap1/route_localnet=1",
                                         "net/ipv4/neigh/tap1/proxy_delay=0", "net/ipv4/conf/tap1/proxy_arp=1",
                                         "net/ipv4/conf/tap1/forwarding=1", "net/ipv4/conf/tap1/rp_filter=2",
                                         "net/ipv6/conf/tap1/proxy_ndp=1", "net/ipv6/conf/tap1/forwarding=1"));
  EXPECT_EQ(counters.writes, 8u);
  sysctl.writes.clear();
  ASSERT_TRUE(configure_interface(sysctl, {.interface = "tap1", .rp_filter = "2"}, log, counters));
  EXPECT_THAT(sysctl.writes, IsEmpty());
}

TEST(Sysctl, WithoutIpv6SupportOnlyRouterAdvertisementsAreTouched) {
  FakeSysctl sysctl = interface("tap1");
  base::NullLog log;
  SyncCounters counters;
  ASSERT_TRUE(configure_interface(sysctl, {.interface = "tap1", .ipv6 = false}, log, counters));
  EXPECT_EQ(sysctl.values.at("net/ipv6/conf/tap1/accept_ra"), "0");
  EXPECT_EQ(sysctl.values.at("net/ipv6/conf/tap1/forwarding"), "5");
}

TEST(Sysctl, SomeSettingsMayFailOthersNot) {
  base::NullLog log;
  SyncCounters counters;
  FakeSysctl sysctl = interface("tap1");
  sysctl.values.erase("net/ipv6/conf/tap1/accept_ra");
  sysctl.read_only.insert("net/ipv4/neigh/tap1/proxy_delay");
  EXPECT_TRUE(configure_interface(sysctl, {.interface = "tap1"}, log, counters));
  sysctl = interface("tap1");
  sysctl.read_only.insert("net/ipv4/conf/tap1/proxy_arp");
  const auto done = configure_interface(sysctl, {.interface = "tap1"}, log, counters);
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().text(), HasSubstr("sysctl net.ipv4.conf.tap1.proxy_arp=1"));
}

TEST(Sysctl, TheHostIsConfiguredAndTheMtuFileWritten) {
  const testing::TempDirectory directory;
  FakeSysctl sysctl;
  sysctl.values = {
      {"net/ipv4/ip_forward", "0"}, {"net/ipv6/conf/all/forwarding", "1"}, {"net/netfilter/nf_conntrack_acct", "0"}};
  base::NullLog log;
  SyncCounters counters;
  const std::string file = directory.path().string() + "/lib/mtu";
  ASSERT_TRUE(configure_host(sysctl, {.mtu_file = file, .workload_mtu = 1450}, log, counters));
  EXPECT_THAT(sysctl.writes, ElementsAre("net/ipv4/ip_forward=1", "net/netfilter/nf_conntrack_acct=1"));
  EXPECT_EQ(os::read_file(file).value_or("?"), "1450");

  const HostSettings impossible{.mtu_file = file + "/below/a/file", .workload_mtu = 1450};
  EXPECT_TRUE(configure_host(sysctl, impossible, log, counters));
  HostSettings required = impossible;
  required.require_mtu_file = true;
  EXPECT_FALSE(configure_host(sysctl, required, log, counters));
}

}  // namespace
}  // namespace kernel
