// Whole rulesets against files in tests/golden/iptables, one scenario each: what a change of the renderer does to them
// is reviewed like code. UPDATE_GOLDEN=1 rewrites the files.
#include <gtest/gtest.h>

#include "render/iptables/renderer.h"
#include "render/iptables/test_support.h"
#include "testing/golden.h"

namespace render::iptables {
namespace {

using namespace support;

struct Scenario {
  const char* name;
  Settings settings;
  World world;
  HostInterfaces interfaces;
};

calc::ActivePolicy policy(std::string_view tier, std::string_view selector, std::vector<calc::Rule> ingress,
                          std::vector<calc::Rule> egress) {
  calc::ActivePolicy out;
  out.tier = World::symbol(tier);
  out.selector = selector;
  out.ingress = std::move(ingress);
  out.egress = std::move(egress);
  return out;
}

calc::Rule from_set(calc::Rule rule, std::string_view set) {
  rule.source.sets = {std::string(set)};
  return rule;
}

// What Neutron writes for a port in two security groups: remote group, both ethertypes, everything out.
Scenario openstack_security_groups() {
  using enum model::RuleAction;
  World world;
  const auto web = World::policy_key("openstack", "ossg.default.11111111-1111-1111-1111-111111111111");
  const auto ssh = World::policy_key("openstack", "ossg.default.22222222-2222-2222-2222-222222222222");
  calc::Rule any4 = rule(kAllow);
  any4.ip_version = Family::kIpv4;
  calc::Rule any6 = rule(kAllow);
  any6.ip_version = Family::kIpv6;
  calc::Rule port22 = rule(kAllow, "tcp");
  port22.ip_version = Family::kIpv4;
  port22.source.nets = {net("192.0.2.0/24")};
  port22.destination.ports = {{22, 22}};
  world.policy(web,
               policy("default", "has(a)", {from_set(any4, "s:remote"), from_set(any6, "s:remote")}, {any4, any6}));
  world.policy(ssh, policy("default", "has(b)", {port22}, {any4, any6}));
  model::WorkloadInterface floating;
  floating.nats = {{address("172.18.0.10"), address("10.65.0.24")}};
  world.add(World::workload("tap11111111-11", {World::tier("default", {web, ssh}, {web, ssh})}, {}, floating));
  world.add(World::workload("tap22222222-22", {World::tier("default", {web}, {web})}));
  world.changes.pools[net("10.65.0.0/16")].nat_outgoing = true;
  return {"openstack-security-groups", openstack_settings(), world, {}};
}

Scenario tiers_groups_and_profiles() {
  using enum model::RuleAction;
  World world;
  std::vector<model::PolicyKey> group;
  for (const char* name : {"one", "two", "three"}) {
    group.push_back(World::policy_key("", name, model::PolicyKind::kGlobalNetworkPolicy));
    world.policy(group.back(),
                 policy("platform", "has(role)", {rule(kPass, "tcp"), rule(kDeny, "udp")}, {rule(kAllow)}));
  }
  const auto staged = World::policy_key("", "staged", model::PolicyKind::kStagedGlobalNetworkPolicy);
  world.policy(staged, policy("platform", "has(role)", {rule(kDeny)}, {}));
  group.push_back(staged);
  calc::TierPolicies pass = World::tier("late", {group[0]}, {});
  pass.default_action = model::TierAction::kPass;
  calc::ActiveProfile profile;
  profile.ingress = {rule(kAllow, "icmp")};
  profile.egress = {rule(kAllow)};
  world.changes.profiles[World::symbol("kns.default")] = std::make_shared<const calc::ActiveProfile>(profile);
  model::WorkloadInterface limited;
  limited.qos = {{"ingressPacketRate", 1000}, {"ingressPacketBurst", 50}, {"egressMaxConnections", 100}};
  world.add(
      World::workload("cali1", {World::tier("platform", group, group), pass}, {World::symbol("kns.default")}, limited));
  Settings settings;
  settings.deny = DenyAction::kReject;
  settings.filter_allow = AllowAction::kReturn;
  return {"tiers-groups-profiles", settings, world, {}};
}

Scenario host_endpoints() {
  using enum model::RuleAction;
  World world;
  const auto key = World::policy_key("", "host", model::PolicyKind::kGlobalNetworkPolicy);
  world.policy(key, policy("default", "has(host)", {rule(kAllow, "tcp")}, {rule(kAllow, "udp")}));
  calc::LocalHostEndpoint endpoint;
  endpoint.interface_name = "eth0";
  endpoint.tiers = endpoint.untracked_tiers = endpoint.forward_tiers = {World::tier("default", {key}, {key})};
  endpoint.pre_dnat_tiers = {World::tier("default", {key}, {})};
  world.changes.host_endpoints[{World::symbol("eth0")}] = std::make_shared<const calc::LocalHostEndpoint>(endpoint);
  calc::LocalHostEndpoint all;
  all.interface_name = "*";
  all.tiers = endpoint.tiers;
  world.changes.host_endpoints[{World::symbol("any")}] = std::make_shared<const calc::LocalHostEndpoint>(all);
  Settings settings = openstack_settings();
  settings.tunnels.vxlan_v4 = true;
  settings.tunnels.vxlan_address_v4 = true;
  settings.failsafe_inbound = {{"tcp", 22, net("192.0.2.0/24")}};
  settings.failsafe_outbound = {{"udp", 53, {}}};
  return {"host-endpoints", settings, world, {{"eth0", {address("192.0.2.1")}}, {"eth1", {}}}};
}

// As iptables-save shows it: hooks, then chains, without counters.
std::string ruleset(const Scenario& scenario) {
  Renderer renderer = Renderer::create(scenario.settings).value();
  (void)renderer.set_host_interfaces(scenario.interfaces);
  (void)renderer.apply(scenario.world.snapshot());
  std::string text;
  for (const Family family : kFamilies) {
    for (const Table table : kTables) {
      text += "# IPv" + std::to_string(static_cast<int>(family)) + "\n*" + std::string(to_string(table)) + "\n";
      for (const auto& [kernel, hooks] : renderer.hooks(table)) {
        for (const HookRule& hook : hooks.inserted) text += "-I " + kernel + hash_comment(hook.id) + hook.body + "\n";
        for (const HookRule& hook : hooks.appended) text += "-A " + kernel + hash_comment(hook.id) + hook.body + "\n";
      }
      for (const auto& [name, chain] : renderer.programmed(family, table)) {
        text.append(":").append(name).append(" - -\n").append(chain->lines);
      }
    }
  }
  return text;
}

TEST(Golden, Rulesets) {
  for (const Scenario& scenario : {openstack_security_groups(), tiers_groups_and_profiles(), host_endpoints()}) {
    SCOPED_TRACE(scenario.name);
    const std::string path = std::string("tests/golden/iptables/") + scenario.name + ".rules";
    const std::string actual = ruleset(scenario);
    EXPECT_EQ(actual, ::testing::golden(path, actual));
  }
}

}  // namespace
}  // namespace render::iptables
