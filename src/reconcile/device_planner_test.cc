#include "reconcile/device_planner.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace reconcile {
namespace {

base::Prefix prefix(std::string_view text) { return *base::parse_interface_cidr(text); }

DeviceSpec vxlan_spec() {
  return {.name = "vxlan.calico",
          .kind = DeviceKind::kVxlan,
          .mtu = 1450,
          .address = *base::parse_address("10.65.0.1"),
          .vxlan = {.vni = 4096,
                    .port = 4789,
                    .parent = 2,
                    .source = *base::parse_address("192.0.2.1"),
                    .mac = *base::parse_mac("66:fd:ed:cb:85:3f")}};
}
DeviceSpec ipip_spec() {
  return {.name = "tunl0", .kind = DeviceKind::kIpip, .mtu = 1480, .address = *base::parse_address("10.65.0.1")};
}
DeviceState as_wanted(const DeviceSpec& spec) {
  return {.name = spec.name,
          .index = 7,
          .kind = spec.kind,
          .up = true,
          .mtu = spec.mtu,
          .vxlan = spec.vxlan,
          .addresses = {base::Prefix::host(*spec.address)}};
}
std::string text_of(const std::vector<DeviceEdit>& edits) {
  std::vector<std::string> texts;
  for (const DeviceEdit& edit : edits) texts.push_back(to_string(edit));
  return base::join(texts, "; ");
}

TEST(DevicePlanner, MissingIsMade) {
  EXPECT_EQ(text_of(plan_device(vxlan_spec(), std::nullopt)), "create vxlan.calico");
  EXPECT_EQ(text_of(plan_device(ipip_spec(), std::nullopt)), "create tunl0");
}

TEST(DevicePlanner, AsWantedIsLeftAlone) {
  EXPECT_EQ(text_of(plan_device(vxlan_spec(), as_wanted(vxlan_spec()))), "");
  EXPECT_EQ(text_of(plan_device(ipip_spec(), as_wanted(ipip_spec()))), "");
}

TEST(DevicePlanner, WhatCanBeChangedIsChangedInPlace) {
  DeviceState fresh = as_wanted(ipip_spec());  // as the module makes it
  fresh.up = false;
  fresh.addresses = {};
  EXPECT_EQ(text_of(plan_device(ipip_spec(), fresh)), "add address 10.65.0.1/32 to tunl0; set tunl0 up");
  DeviceState other = as_wanted(vxlan_spec());
  other.mtu = 1400;
  other.addresses = {prefix("10.65.0.9/32"), prefix("10.65.0.1/24"), prefix("fd00::1/64")};
  EXPECT_EQ(text_of(plan_device(vxlan_spec(), other)),
            "set mtu 1450 on vxlan.calico; add address 10.65.0.1/32 to vxlan.calico; remove address 10.65.0.9/32 from "
            "vxlan.calico; remove address 10.65.0.1/24 from vxlan.calico");
}

TEST(DevicePlanner, WithoutAnAddressItIsUpAllTheSame) {
  DeviceSpec bare = ipip_spec();
  bare.address.reset();
  DeviceState fresh = as_wanted(ipip_spec());
  fresh.up = false;
  fresh.addresses = {};
  EXPECT_EQ(text_of(plan_device(bare, fresh)), "set tunl0 up");
  fresh.up = true;
  EXPECT_EQ(text_of(plan_device(bare, fresh)), "");
  EXPECT_EQ(text_of(plan_device(bare, as_wanted(ipip_spec()))), "remove address 10.65.0.1/32 from tunl0");
  bare = vxlan_spec();
  bare.family = base::Family::kIpv6;
  bare.address.reset();
  EXPECT_EQ(text_of(plan_device(bare, as_wanted(vxlan_spec()))), "") << "not its family";
}

TEST(DevicePlanner, WhatCannotIsMadeAgain) {
  const auto changed = [](auto change) {
    DeviceState state = as_wanted(vxlan_spec());
    change(state);
    return text_of(plan_device(vxlan_spec(), state));
  };
  const std::string again = "remove vxlan.calico; create vxlan.calico";
  EXPECT_EQ(changed([](DeviceState& s) { s.vxlan.vni = 1; }), again);
  EXPECT_EQ(changed([](DeviceState& s) { s.vxlan.port = 8472; }), again);
  EXPECT_EQ(changed([](DeviceState& s) { s.vxlan.parent = 3; }), again);
  EXPECT_EQ(changed([](DeviceState& s) { s.vxlan.source = std::nullopt; }), again);
  EXPECT_EQ(changed([](DeviceState& s) { s.vxlan.mac.bytes[5] = 1; }), again);
  EXPECT_EQ(changed([](DeviceState& s) { s.vxlan.special = true; }), again);
  EXPECT_EQ(changed([](DeviceState& s) { s.kind = DeviceKind::kOther; }), again);
}

TEST(DevicePlanner, OutOfUse) {
  EXPECT_EQ(text_of(plan_no_device(std::nullopt)), "");
  EXPECT_EQ(text_of(plan_no_device(as_wanted(vxlan_spec()))), "remove vxlan.calico");
  EXPECT_EQ(text_of(plan_no_device(as_wanted(ipip_spec()))), "remove address 10.65.0.1/32 from tunl0; set tunl0 down");
  DeviceState bare = as_wanted(ipip_spec());
  bare.addresses = {};
  EXPECT_EQ(text_of(plan_no_device(bare)), "set tunl0 down");
  bare.up = false;
  EXPECT_EQ(text_of(plan_no_device(bare)), "");
}

}  // namespace
}  // namespace reconcile
