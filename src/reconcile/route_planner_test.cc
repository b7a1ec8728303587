#include "reconcile/route_planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace reconcile {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr base::Instant kStart{};

RouteOwnership ownership(base::Family family = base::Family::kIpv4) {
  return {.family = family,
          .device_protocol = 3,
          .remove_external = true,
          .workload_prefixes = {"tap"},
          .own_interfaces = {"vxlan.calico"}};
}

Route local(std::string_view prefix, IfIndex interface = 0, std::uint32_t metric = 1024) {
  return {.key = make_route_key(*base::parse_cidr_or_address(prefix), metric),
          .attributes = {.type = RouteType::kUnicast, .scope = RouteScope::kLink, .interface = interface}};
}

std::vector<std::string> texts(const RoutePlan& plan) {
  std::vector<std::string> out;
  for (const RouteEdit& edit : plan.edits) {
    out.push_back((edit.kind == RouteEdit::Kind::kRemove ? "- " : "+ ") + to_string(edit.route) +
                  (edit.clean_conntrack ? " (clean)" : ""));
  }
  return out;
}

std::vector<std::string> carry_out(RoutePlanner& planner, base::Instant now = kStart) {
  const RoutePlan plan = planner.plan(now);
  for (const RouteEdit& edit : plan.edits) planner.record(edit, RouteOutcome::kDone);
  return texts(plan);
}

TEST(RoutePlanner, AWorkloadRouteAppearsAndGoesWithItsConnections) {
  RoutePlanner planner(ownership());
  planner.interface_present("tap1", 7, true, kStart);
  planner.observe_all({}, kStart);
  planner.want(RouteClass::kLocalWorkload, "tap1", std::vector{local("10.0.0.1"), local("fd00::1")});
  EXPECT_THAT(carry_out(planner), ElementsAre("+ 10.0.0.1/32 dev 7 scope link proto 3 metric 1024"));
  EXPECT_FALSE(planner.dirty());
  EXPECT_THAT(carry_out(planner), IsEmpty());
  planner.want(RouteClass::kLocalWorkload, "tap1", {});
  EXPECT_THAT(carry_out(planner), ElementsAre("- 10.0.0.1/32 dev 7 scope link proto 3 metric 1024 (clean)"));
  EXPECT_EQ(planner.wanted_count(), 0u);
}

TEST(RoutePlanner, ARestartWithNothingChangedPlansNothing) {
  for (const base::Family family : {base::Family::kIpv4, base::Family::kIpv6}) {
    RoutePlanner planner(ownership(family));
    planner.interface_present("tap1", 7, true, kStart);
    const char* address = family == base::Family::kIpv4 ? "10.0.0.1" : "fd00::1";
    const char* block = family == base::Family::kIpv4 ? "10.1.0.0/26" : "fd01::/122";
    planner.want(RouteClass::kLocalWorkload, "tap1", std::vector{local(address)});
    Route drop{.key = make_route_key(*base::parse_cidr(block), 0),
               .attributes = {.type = RouteType::kBlackhole, .protocol = 80}};
    planner.want(RouteClass::kIpamBlockDrop, "", std::vector{drop});
    Route seen = local(address, 7);
    if (family == base::Family::kIpv6) {
      seen.attributes.scope = RouteScope::kUniverse;  // the kernel forgets it
      drop.attributes.interface = 1;
    }
    planner.observe_all(std::vector{seen, drop}, kStart);
    EXPECT_THAT(carry_out(planner), IsEmpty());
    EXPECT_FALSE(planner.dirty());
  }
}

struct OwnedCase {
  std::string_view name;
  Route route;
  bool removed;
};

Route kernel_route(std::string_view prefix, IfIndex interface, std::uint8_t protocol,
                   RouteType type = RouteType::kUnicast) {
  return {.key = make_route_key(*base::parse_cidr_or_address(prefix), 0),
          .attributes = {.type = type, .interface = interface, .protocol = protocol}};
}

TEST(RoutePlanner, RemovesOursAndLeavesTheOthers) {
  const OwnedCase cases[] = {
      {"exclusive protocol on a stranger's interface", kernel_route("10.0.0.0/26", 2, 80), true},
      {"exclusive blackhole", kernel_route("10.0.0.0/26", 0, 80, RouteType::kBlackhole), true},
      {"BIRD's blackhole", kernel_route("10.0.0.0/26", 0, 12, RouteType::kBlackhole), false},
      {"anything on a workload interface", kernel_route("10.0.0.1", 7, 4), true},
      {"the vxlan device", kernel_route("10.0.0.0/26", 9, 3), true},
      {"the default route", kernel_route("0.0.0.0/0", 2, 3), false},
      {"a BIRD route", kernel_route("10.0.0.0/26", 2, 12), false},
      {"tunl0 belongs to BIRD", kernel_route("10.0.0.0/26", 10, 12), false},
      {"an unknown interface", kernel_route("10.0.0.1", 99, 3), false},
  };
  for (const OwnedCase& c : cases) {
    RoutePlanner planner(ownership());
    planner.interface_present("eth0", 2, true, kStart);
    planner.interface_present("tap1", 7, true, kStart);
    planner.interface_present("vxlan.calico", 9, true, kStart);
    planner.interface_present("tunl0", 10, true, kStart);
    planner.observe_all(std::vector{c.route}, kStart);
    EXPECT_EQ(planner.plan(kStart + RoutePlanner::kGrace).edits.size(), c.removed ? 1u : 0u) << c.name;
  }
}

TEST(RoutePlanner, KeepsRoutesOfOthersOnWorkloadInterfacesWhenAskedTo) {
  RouteOwnership careful = ownership();
  careful.remove_external = false;
  RoutePlanner planner(careful);
  planner.interface_present("tap1", 7, true, kStart);
  planner.observe_all(std::vector{kernel_route("10.0.0.1", 7, 4), kernel_route("10.0.0.2", 7, 3)}, kStart);
  const auto edits = planner.plan(kStart + RoutePlanner::kGrace).edits;
  ASSERT_EQ(edits.size(), 1u);
  EXPECT_EQ(base::to_string(edits[0].route.key.prefix), "10.0.0.2/32");
}

TEST(RoutePlanner, LeavesLinkLocalRoutesAlone) {
  RoutePlanner planner(ownership(base::Family::kIpv6));
  planner.interface_present("tap1", 7, true, kStart);
  planner.observe_all(std::vector{kernel_route("fe80::/64", 7, 2)}, kStart);
  EXPECT_THAT(planner.plan(kStart + RoutePlanner::kGrace).edits, IsEmpty());
}

TEST(RoutePlanner, UnwantedRoutesOnANewInterfaceHaveTenSecondsOfGrace) {
  RoutePlanner planner(ownership());
  planner.interface_present("tap1", 7, true, kStart);
  planner.observe_all(std::vector{local("10.0.0.1", 7)}, kStart);
  RoutePlan plan = planner.plan(kStart + std::chrono::seconds(9));
  EXPECT_THAT(plan.edits, IsEmpty());
  EXPECT_EQ(plan.next, kStart + RoutePlanner::kGrace);
  // As soon as anything was wanted there, the agent knows better.
  planner.want(RouteClass::kLocalWorkload, "tap1", std::vector{local("10.0.0.2")});
  EXPECT_EQ(planner.plan(kStart + std::chrono::seconds(9)).edits.size(), 2u);
}

TEST(RoutePlanner, TheLowestClassWinsThenTheHighestInterfaceThatRuns) {
  RoutePlanner planner(ownership());
  planner.interface_present("tap1", 7, true, kStart);
  planner.interface_present("tap2", 8, true, kStart);
  planner.interface_present("eth0", 2, true, kStart);
  planner.observe_all({}, kStart);
  Route remote = local("10.0.0.1");
  remote.attributes = {.scope = RouteScope::kUniverse,
                       .gateway = base::parse_address("192.0.2.1").value(),
                       .onlink = true,
                       .protocol = 80};
  planner.want(RouteClass::kNoEncap, "eth0", std::vector{remote});
  planner.want(RouteClass::kLocalWorkload, "tap1", std::vector{local("10.0.0.1")});
  planner.want(RouteClass::kLocalWorkload, "tap2", std::vector{local("10.0.0.1")});
  EXPECT_THAT(carry_out(planner), ElementsAre("+ 10.0.0.1/32 dev 8 scope link proto 3 metric 1024"));
  // The higher interface goes down: the lower takes over, the old place's connections are forgotten first.
  planner.interface_present("tap2", 8, false, kStart);
  EXPECT_THAT(carry_out(planner), ElementsAre("- 10.0.0.1/32 dev 8 scope link proto 3 metric 1024 (clean)",
                                              "+ 10.0.0.1/32 dev 7 scope link proto 3 metric 1024"));
  // No local candidate left: the remote one.
  planner.interface_gone("tap1");
  const RoutePlan plan = planner.plan(kStart);
  EXPECT_THAT(plan.forgotten, ElementsAre(*base::parse_address("10.0.0.1")));
  EXPECT_THAT(texts(plan), ElementsAre("+ 10.0.0.1/32 via 192.0.2.1 dev 2 proto 80 metric 1024 onlink"));
}

TEST(RoutePlanner, AChangedRouteIsReplacedInOneStep) {
  RoutePlanner planner(ownership());
  planner.interface_present("tap1", 7, true, kStart);
  planner.want(RouteClass::kLocalWorkload, "tap1", std::vector{local("10.0.0.1")});
  Route wrong = local("10.0.0.1", 7);
  wrong.attributes.scope = RouteScope::kUniverse;
  planner.observe_all(std::vector{wrong}, kStart);
  EXPECT_THAT(carry_out(planner), ElementsAre("+ 10.0.0.1/32 dev 7 scope link proto 3 metric 1024"));
}

TEST(RoutePlanner, ANewMetricForgetsNoConnections) {
  RoutePlanner planner(ownership());
  planner.interface_present("tap1", 7, true, kStart);
  planner.observe_all({}, kStart);
  planner.want(RouteClass::kLocalWorkload, "tap1", std::vector{local("10.0.0.1")});
  carry_out(planner);
  planner.want(RouteClass::kLocalWorkload, "tap1", std::vector{local("10.0.0.1", 0, 512)});
  EXPECT_THAT(carry_out(planner), ElementsAre("- 10.0.0.1/32 dev 7 scope link proto 3 metric 1024",
                                              "+ 10.0.0.1/32 dev 7 scope link proto 3 metric 512"));
}

TEST(RoutePlanner, ARecreatedInterfaceGetsItsRoutesBackAndTheOldConnectionsGo) {
  RoutePlanner planner(ownership());
  planner.interface_present("tap1", 7, true, kStart);
  planner.observe_all({}, kStart);
  planner.want(RouteClass::kLocalWorkload, "tap1", std::vector{local("10.0.0.1")});
  carry_out(planner);
  planner.interface_present("tap1", 12, true, kStart);
  EXPECT_THAT(planner.unread_interfaces(), ElementsAre(12u));
  planner.observe_interface(12, {}, kStart);
  const RoutePlan plan = planner.plan(kStart);
  EXPECT_THAT(plan.forgotten, ElementsAre(*base::parse_address("10.0.0.1")));
  EXPECT_THAT(texts(plan), ElementsAre("+ 10.0.0.1/32 dev 12 scope link proto 3 metric 1024"));
}

TEST(RoutePlanner, AFlapThatTheKernelUsedToDropTheRouteIsRepaired) {
  RoutePlanner planner(ownership());
  planner.interface_present("tap1", 7, true, kStart);
  planner.observe_all({}, kStart);
  planner.want(RouteClass::kLocalWorkload, "tap1", std::vector{local("10.0.0.1")});
  carry_out(planner);
  // Down and up again before a plan ran.
  planner.interface_present("tap1", 7, false, kStart);
  planner.interface_present("tap1", 7, true, kStart);
  EXPECT_THAT(planner.unread_interfaces(), ElementsAre(7u));
  planner.observe_interface(7, {}, kStart);
  const RoutePlan plan = planner.plan(kStart);
  EXPECT_THAT(plan.forgotten, IsEmpty()) << "same place as before";
  EXPECT_THAT(texts(plan), ElementsAre("+ 10.0.0.1/32 dev 7 scope link proto 3 metric 1024"));
}

// When a pool is no longer the agent's to route, BIRD needs a moment to put its own routes beside the old ones.
TEST(RoutePlanner, WhatAnEarlierAgentLeftBehindIsHandedOver) {
  RouteOwnership ours = ownership();
  ours.hand_over = std::chrono::seconds(5);
  RoutePlanner planner(ours);
  planner.interface_present("vxlan.calico", 9, true, kStart);
  planner.interface_present("eth0", 2, true, kStart);
  planner.interface_present("tap1", 7, true, kStart);
  const auto through = [](std::string_view prefix, IfIndex interface, std::uint8_t protocol) {
    Route route = local(prefix, interface, 0);
    route.attributes.protocol = protocol;
    return route;
  };
  const std::vector left{through("10.1.0.0/26", 9, 3), through("10.2.0.0/26", 2, 80), through("10.3.0.0/26", 9, 3)};
  planner.observe_all(left, kStart);
  Route wanted = through("10.3.0.0/26", 0, 3);
  planner.want(RouteClass::kVxlanTunnel, "vxlan.calico", std::vector{wanted});
  RoutePlan plan = planner.plan(kStart);
  EXPECT_THAT(texts(plan), IsEmpty());
  EXPECT_EQ(plan.next, kStart + ours.hand_over);
  planner.want(RouteClass::kVxlanTunnel, "vxlan.calico", {});  // its own are nobody else's to make
  EXPECT_THAT(carry_out(planner), ElementsAre("- 10.3.0.0/26 dev 9 scope link proto 3 metric 0"));
  EXPECT_THAT(carry_out(planner, kStart + ours.hand_over),
              ElementsAre("- 10.1.0.0/26 dev 9 scope link proto 3 metric 0",
                          "- 10.2.0.0/26 dev 2 scope link proto 80 metric 0"));
  EXPECT_FALSE(planner.dirty());
}

TEST(RoutePlanner, SomeRoutesOfAnOwnerChange) {
  RoutePlanner planner(ownership());
  planner.interface_present("vxlan.calico", 9, true, kStart);
  planner.observe_all({}, kStart);
  planner.want(RouteClass::kVxlanTunnel, "vxlan.calico", std::vector{local("10.1.0.1"), local("10.1.0.2")});
  carry_out(planner);
  planner.change(RouteClass::kVxlanTunnel, "vxlan.calico", std::vector{local("10.1.0.3")},
                 std::vector{local("10.1.0.1").key, local("10.9.9.9").key});
  EXPECT_THAT(carry_out(planner), ElementsAre("- 10.1.0.1/32 dev 9 scope link proto 3 metric 1024",
                                              "+ 10.1.0.3/32 dev 9 scope link proto 3 metric 1024"));
  EXPECT_EQ(planner.wanted_count(), 2u);
}

}  // namespace
}  // namespace reconcile
