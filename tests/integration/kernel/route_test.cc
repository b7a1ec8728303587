// Routes and neighbours against the real kernel, compared with what ip(8) says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>

#include "kernel/neighbour.h"
#include "kernel/route_fake.h"
#include "kernel/route_netlink.h"
#include "kernel/route_syncer.h"
#include "namespace.h"
#include "os/event_loop.h"

namespace kernel_test {
namespace {

using kernel::ApplyReport;
using kernel::NetlinkRoutes;
using kernel::RouteSyncer;
using reconcile::Route;
using reconcile::RouteClass;
using reconcile::RouteScope;
using reconcile::RouteType;
using ::testing::HasSubstr;
using ::testing::Not;

std::string describe(const ApplyReport& report) {
  std::string text = report.retry ? "retry; " : "";
  for (const auto& problem : report.problems) text += problem.object + ": " + problem.error.text() + "; ";
  return text;
}

Route local(std::string_view prefix, std::uint32_t metric = 1024) {
  return {.key = reconcile::make_route_key(*base::parse_cidr_or_address(prefix), metric),
          .attributes = {.scope = RouteScope::kLink}};
}

Route blackhole(std::string_view prefix) {
  return {.key = reconcile::make_route_key(*base::parse_cidr(prefix), 0),
          .attributes = {.type = RouteType::kBlackhole, .protocol = 80}};
}

class RoutesInKernel : public NamespaceTest {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (IsSkipped()) return;
    run("ip link set lo up");
    for (const auto* name : {"tap1", "tap2", "eth9"}) {
      run(std::string("ip link add ") + name + " type veth peer name peer-" + name);
      run(std::string("ip link set peer-") + name + " up");
      run(std::string("ip link set ") + name + " up");
    }
    run("ip addr add 192.0.2.1/24 dev eth9");
    run("ip -6 addr add 2001:db8::1/64 dev eth9 nodad");
    auto opened = NetlinkRoutes::open();
    ASSERT_TRUE(opened) << opened.error().text();
    routes_ = std::move(*opened);
  }

  RouteSyncer syncer(base::Family family) {
    RouteSyncer made(*routes_, conntrack_, clock_,
                     {.family = family, .workload_prefixes = {"tap"}, .own_interfaces = {}});
    for (const auto* name : {"lo", "tap1", "tap2", "eth9", "peer-tap1", "peer-tap2", "peer-eth9"}) {
      made.interface_present(name, ::if_nametoindex(name), true);
    }
    return made;
  }

  os::SystemClock clock_;
  kernel::FakeConntrackCleaner conntrack_;
  std::unique_ptr<NetlinkRoutes> routes_;
};

TEST_F(RoutesInKernel, WorkloadRoutesHaveTheRightAttributes) {
  RouteSyncer v4 = syncer(base::Family::kIpv4);
  RouteSyncer v6 = syncer(base::Family::kIpv6);
  const std::vector wanted{local("10.0.0.1"), local("10.0.0.2", 512), local("fd00::1"), local("fd00::2", 512)};
  for (RouteSyncer* made : {&v4, &v6}) {
    made->want(RouteClass::kLocalWorkload, "tap1", wanted);
    made->want(RouteClass::kIpamBlockDrop, "", std::vector{blackhole("10.1.0.0/26"), blackhole("fd01::/122")});
    const ApplyReport report = made->apply();
    EXPECT_TRUE(report.clean()) << describe(report);
  }
  const std::string v4_routes = run("ip -d -4 route show");
  EXPECT_THAT(v4_routes, HasSubstr("10.0.0.1 dev tap1 proto boot scope link metric 1024"));
  EXPECT_THAT(v4_routes, HasSubstr("10.0.0.2 dev tap1 proto boot scope link metric 512"));
  EXPECT_THAT(v4_routes, HasSubstr("blackhole 10.1.0.0/26 proto 80 scope global"));
  const std::string v6_routes = run("ip -d -6 route show");
  EXPECT_THAT(v6_routes, HasSubstr("fd00::1 dev tap1 proto boot scope global metric 1024"));
  EXPECT_THAT(v6_routes, HasSubstr("fd00::2 dev tap1 proto boot scope global metric 512"));
  EXPECT_THAT(v6_routes, HasSubstr("blackhole fd01::/122 dev lo proto 80 scope global metric 1024"));

  for (const base::Family family : {base::Family::kIpv4, base::Family::kIpv6}) {
    RouteSyncer restarted = syncer(family);
    restarted.want(RouteClass::kLocalWorkload, "tap1", wanted);
    restarted.want(RouteClass::kIpamBlockDrop, "", std::vector{blackhole("10.1.0.0/26"), blackhole("fd01::/122")});
    EXPECT_TRUE(restarted.apply().clean());
    EXPECT_EQ(restarted.counters().writes, 0u);
  }

  for (RouteSyncer* made : {&v4, &v6}) {
    made->want(RouteClass::kLocalWorkload, "tap1", {});
    made->want(RouteClass::kIpamBlockDrop, "", {});
    EXPECT_TRUE(made->apply().clean());
  }
  EXPECT_THAT(run("ip -4 route show"), Not(HasSubstr("10.")));
  EXPECT_THAT(run("ip -6 route show"), Not(HasSubstr("fd0")));
}

TEST_F(RoutesInKernel, WrongRoutesAreRepairedAndForeignOnesLeftAlone) {
  for (const auto* line :
       {"ip route add 10.0.0.1/32 dev tap1 proto 3 scope link metric 1024 mtu 900",  // ours, changed in place
        "ip route add 10.0.0.2/32 dev tap2 proto 3 scope link metric 1024",          // on the wrong interface
        "ip route add 10.0.0.9/32 dev tap1 proto static scope link",                 // nobody wants it
        "ip route add 10.5.0.0/16 via 192.0.2.9 dev eth9 proto bird ",               // BIRD's
        "ip route add 10.6.0.0/16 via 192.0.2.9 dev eth9 proto 80",                  // ours by protocol, not wanted
        "ip route add default via 192.0.2.254 dev eth9", "ip route add blackhole 10.7.0.0/26 proto bird",
        "ip route add table 77 10.0.0.9/32 dev tap1", "ip -6 route add fd00::9/128 dev tap1",
        "ip -6 route add fd00::1/128 dev tap2 proto 3 metric 1024"}) {
    run(line);
  }
  RouteSyncer v4 = syncer(base::Family::kIpv4);
  RouteSyncer v6 = syncer(base::Family::kIpv6);
  conntrack_.slow = false;
  for (RouteSyncer* made : {&v4, &v6}) {
    made->want(RouteClass::kLocalWorkload, "tap1", std::vector{local("10.0.0.1"), local("10.0.0.2"), local("fd00::1")});
    const ApplyReport report = made->apply();
    EXPECT_TRUE(report.clean()) << describe(report);
  }
  const std::string v4_routes = run("ip -d -4 route show");
  EXPECT_THAT(v4_routes, HasSubstr("10.0.0.1 dev tap1 proto boot scope link metric 1024"));
  EXPECT_THAT(v4_routes, HasSubstr("10.0.0.2 dev tap1 proto boot scope link metric 1024"));
  EXPECT_THAT(v4_routes, Not(HasSubstr("mtu")));
  EXPECT_THAT(v4_routes, Not(HasSubstr("10.0.0.9")));
  EXPECT_THAT(v4_routes, HasSubstr("10.5.0.0/16 via 192.0.2.9 dev eth9 proto bird "));
  EXPECT_THAT(v4_routes, Not(HasSubstr("10.6.0.0/16")));
  EXPECT_THAT(v4_routes, HasSubstr("default via 192.0.2.254 dev eth9"));
  EXPECT_THAT(v4_routes, HasSubstr("blackhole 10.7.0.0/26 proto bird"));
  EXPECT_THAT(run("ip route show table 77"), HasSubstr("10.0.0.9 dev tap1"));
  const std::string v6_routes = run("ip -d -6 route show");
  EXPECT_THAT(v6_routes, HasSubstr("fd00::1 dev tap1 proto boot scope global metric 1024"));
  EXPECT_THAT(v6_routes, Not(HasSubstr("fd00::9")));
  EXPECT_THAT(v6_routes, HasSubstr("fe80::/64 dev tap1"));
}

TEST_F(RoutesInKernel, RoutesThroughGateways) {
  RouteSyncer v4 = syncer(base::Family::kIpv4);
  Route remote{.key = reconcile::make_route_key(*base::parse_cidr("10.8.0.0/26"), 0),
               .attributes = {.gateway = *base::parse_address("198.51.100.7"),
                              .onlink = true,
                              .protocol = 80,
                              .mtu = 1430,
                              .source = *base::parse_address("192.0.2.1")}};
  v4.want(RouteClass::kNoEncap, "eth9", std::vector{remote});
  ApplyReport report = v4.apply();
  EXPECT_TRUE(report.clean()) << describe(report);
  EXPECT_THAT(run("ip -4 route show 10.8.0.0/26"),
              HasSubstr("10.8.0.0/26 via 198.51.100.7 dev eth9 proto 80 src 192.0.2.1 onlink mtu 1430"));
  v4.request_resync();
  EXPECT_TRUE(v4.apply().clean());
  EXPECT_EQ(v4.counters().writes, 1u);
  // A route that the kernel refuses is named, and does not stop others.
  remote.attributes.source = *base::parse_address("203.0.113.99");
  remote.key.prefix = *base::parse_cidr("10.9.0.0/26");
  v4.want(RouteClass::kNoEncap, "eth9", std::vector{remote});
  v4.want(RouteClass::kLocalWorkload, "tap1", std::vector{local("10.0.0.1")});
  report = v4.apply();
  ASSERT_EQ(report.problems.size(), 1u);
  EXPECT_THAT(report.problems[0].object, HasSubstr("10.9.0.0/26 via 198.51.100.7 dev eth9"));
  EXPECT_THAT(run("ip -4 route show"), HasSubstr("10.0.0.1 dev tap1"));
}

TEST_F(RoutesInKernel, PermanentNeighboursAreWrittenRepairedAndRemoved) {
  run("ip neigh add 10.0.0.7 lladdr 02:00:00:00:00:77 dev tap1 nud permanent");   // left over
  run("ip neigh add 10.0.0.1 lladdr 02:00:00:00:00:99 dev tap1 nud permanent");   // wrong
  run("ip neigh add 10.0.0.8 lladdr 02:00:00:00:00:88 dev tap1 nud reachable");   // learnt
  run("ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev eth9 nud permanent");  // not our interface
  auto kernel = kernel::NetlinkNeighbours::open();
  ASSERT_TRUE(kernel);
  const std::vector<reconcile::Neighbour> wanted{
      {.address = *base::parse_address("10.0.0.1"), .mac = *base::parse_mac("02:00:00:00:00:01")},
      {.address = *base::parse_address("10.0.0.2"), .mac = *base::parse_mac("02:00:00:00:00:02")}};
  const auto make = [&] {
    kernel::NeighbourSyncer made(**kernel, {.family = base::Family::kIpv4, .workload_prefixes = {"tap"}});
    for (const auto* name : {"tap1", "tap2", "eth9"}) made.interface_present(name, ::if_nametoindex(name), true);
    made.want("tap1", wanted);
    return made;
  };
  auto first = make();
  ApplyReport report = first.apply();
  EXPECT_TRUE(report.clean()) << describe(report);
  const std::string entries = run("ip -4 neigh show");
  EXPECT_THAT(entries, HasSubstr("10.0.0.1 dev tap1 lladdr 02:00:00:00:00:01 PERMANENT"));
  EXPECT_THAT(entries, HasSubstr("10.0.0.2 dev tap1 lladdr 02:00:00:00:00:02 PERMANENT"));
  EXPECT_THAT(entries, Not(HasSubstr("10.0.0.7")));
  EXPECT_THAT(entries, HasSubstr("10.0.0.8"));
  EXPECT_THAT(entries, HasSubstr("192.0.2.9"));
  auto second = make();
  EXPECT_TRUE(second.apply().clean());
  EXPECT_EQ(second.counters().writes, 0u);
  // A flap loses them; they come back with the interface.
  run("ip link set tap1 down");
  second.interface_present("tap1", ::if_nametoindex("tap1"), false);
  EXPECT_TRUE(second.apply().clean());
  run("ip link set tap1 up");
  second.interface_present("tap1", ::if_nametoindex("tap1"), true);
  EXPECT_TRUE(second.apply().clean());
  EXPECT_THAT(run("ip -4 neigh show"), HasSubstr("10.0.0.2 dev tap1 lladdr 02:00:00:00:00:02 PERMANENT"));
}

}  // namespace
}  // namespace kernel_test
