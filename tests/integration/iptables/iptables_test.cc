// The whole ruleset against both flavours of the real iptables: what we print must load, come back with the ids we gave
// it, leave other programs' rules alone, and be repaired when somebody breaks it.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel/iptables_syncer.h"
#include "namespace.h"
#include "os/event_loop.h"
#include "render/iptables/test_support.h"

namespace kernel_test {
namespace {

using namespace render::iptables::support;
using kernel::ApplyReport;
using kernel::FlavourSetting;
using kernel::IptablesFlavour;
using kernel::IptablesSyncer;
using render::iptables::kTables;
using render::iptables::RenderChanges;
using render::iptables::Renderer;
using render::iptables::Table;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

constexpr base::Family kV4 = base::Family::kIpv4;
constexpr base::Family kV6 = base::Family::kIpv6;

// Every feature that makes rules, so that each text is parsed by the real program once.
World everything() {
  World world;
  const auto web = World::policy_key("openstack", "web");
  const auto group1 = World::policy_key("", "group-1", model::PolicyKind::kGlobalNetworkPolicy);
  const auto group2 = World::policy_key("", "group-2", model::PolicyKind::kGlobalNetworkPolicy);
  const auto host = World::policy_key("", "host", model::PolicyKind::kGlobalNetworkPolicy);

  calc::Rule tcp = rule(model::RuleAction::kAllow, "tcp");
  tcp.source.sets = {"s:peers"};
  tcp.source.not_nets = {net("10.9.0.0/16"), net("fd00:9::/64")};
  for (std::uint16_t port = 1; port <= 20; ++port)
    tcp.destination.ports.push_back({port, static_cast<std::uint16_t>(port + port % 2)});
  tcp.destination.port_sets = {"n:http"};
  tcp.annotations = {{"ticket", "é \"42\""}};
  calc::Rule nets = rule(model::RuleAction::kAllow, "udp");
  nets.ip_version = kV4;
  nets.source.nets = {net("10.0.0.0/8"), net("172.16.0.0/12")};
  nets.destination.nets = {net("10.1.0.0/16"), net("10.2.0.0/16")};
  nets.destination.not_ports = {{53, 53}, {100, 200}};
  calc::Rule ping = rule(model::RuleAction::kAllow, "icmp");
  ping.icmp = model::IcmpMatch{8, 0};
  calc::Rule ping6 = rule(model::RuleAction::kAllow, "icmpv6");
  ping6.not_icmp = model::IcmpMatch{128, std::nullopt};
  calc::Rule not_tcp = rule(model::RuleAction::kPass);
  not_tcp.not_protocol = model::Protocol{World::symbol("tcp"), 6};
  calc::ActivePolicy policy;
  policy.tier = World::symbol("default");
  policy.selector = "all()";
  policy.ingress = {
      tcp, nets, ping, ping6, not_tcp, rule(model::RuleAction::kLog, "tcp"), rule(model::RuleAction::kDeny)};
  policy.egress = {rule(model::RuleAction::kAllow)};
  world.policy(web, policy);
  policy.selector = "has(group)";
  world.policy(group1, policy).policy(group2, policy);
  policy.selector = "has(host)";
  world.policy(host, policy);
  calc::ActiveProfile profile;
  profile.ingress = {rule(model::RuleAction::kAllow)};
  world.changes.profiles[World::symbol("openstack-sg-x")] = std::make_shared<const calc::ActiveProfile>(profile);

  for (const char* set : {"s:peers"}) {
    world.changes.sets_created[set] = {calc::SetType::kNet, {{net("10.0.0.1/32"), 0, 0}, {net("fd00::1/128"), 0, 0}}};
  }
  world.changes.sets_created["n:http"] = {calc::SetType::kIpPort, {{net("10.0.0.1/32"), 6, 80}}};
  world.changes.pools[net("10.65.0.0/16")].nat_outgoing = true;
  world.changes.pools[net("fd00:65::/48")].nat_outgoing = true;

  model::WorkloadInterface rich;
  rich.addresses = {address("10.65.0.24"), address("fd00:65::24")};
  rich.nats = {{address("172.18.0.10"), address("10.65.0.24")}, {address("2001:db8::10"), address("fd00:65::24")}};
  rich.allowed_source_prefixes = {net("10.99.0.0/16"), net("fd00:99::/64")};
  rich.qos = {{"ingressPacketRate", 1000}, {"ingressPacketBurst", 20}, {"egressMaxConnections", 5}, {"dscp", 10}};
  const auto profiles = std::vector{World::symbol("openstack-sg-x")};
  world.add(World::workload("tap11111111-11", {World::tier("default", {web, group1, group2}, {web, group1, group2})},
                            profiles, rich));
  world.add(World::workload("tap12222222-22", {World::tier("default", {web}, {web})}, profiles));
  model::WorkloadInterface down;
  down.active = false;
  world.add(World::workload("tapa429fb36-04", {}, profiles, down));

  calc::LocalHostEndpoint endpoint;
  endpoint.interface_name = "eth0";
  endpoint.profiles = profiles;
  endpoint.tiers = endpoint.untracked_tiers = endpoint.forward_tiers = {World::tier("default", {host}, {host})};
  endpoint.pre_dnat_tiers = {World::tier("default", {host}, {})};
  endpoint.dscp = 46;
  endpoint.expected_addresses = {address("192.0.2.1"), address("2001:db8::1")};
  world.changes.host_endpoints[{World::symbol("hep-eth0")}] = std::make_shared<const calc::LocalHostEndpoint>(endpoint);
  endpoint.interface_name = "*";
  world.changes.host_endpoints[{World::symbol("hep-all")}] = std::make_shared<const calc::LocalHostEndpoint>(endpoint);
  return world;
}

render::Settings settings_for_everything() {
  render::Settings settings = openstack_settings();
  settings.tunnels.vxlan_v4 = settings.tunnels.vxlan_v6 = true;
  settings.tunnels.vxlan_address_v4 = true;
  settings.tunnels.vxlan_address_v6 = true;
  settings.workload_source_spoofing = true;
  settings.nat_exclude_hosts = true;
  settings.nat_port_range = calc::PortRange{1024, 2000};
  settings.log_rate_limit = "10/minute";
  settings.failsafe_inbound.push_back({"tcp", 2222, net("192.0.2.0/24")});
  return settings;
}

class Iptables : public NamespaceTest, public testing::WithParamInterface<FlavourSetting> {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (IsSkipped()) return;
    ::setenv("XTABLES_LOCKFILE", lock_.c_str(), 1);
    auto found = kernel::find_iptables(GetParam(), kernel::system_programs());
    ASSERT_TRUE(found) << found.error().text();
    programs_ = *std::move(found);
  }
  void TearDown() override { ::unlink(lock_.c_str()); }

  std::unique_ptr<kernel::IptablesTool> tool(base::Family family) {
    const bool v4 = family == kV4;
    return kernel::make_process_iptables(loop_, {.save_program = v4 ? programs_.save4 : programs_.save6,
                                                 .restore_program = v4 ? programs_.restore4 : programs_.restore6,
                                                 .flavour = programs_.flavour});
  }
  std::string program(std::string_view suffix = {}) const {
    return "iptables-" + std::string(to_string(programs_.flavour)) + std::string(suffix);
  }

  // Sets must exist before rules; here ipset(8) makes them.
  static void make_sets(const RenderChanges& changes) {
    for (const base::Family family : render::kFamilies) {
      for (const auto& [name, set] : changes[family].sets.created) {
        const char* type = set.kind == render::SetKind::kNet  ? "hash:net"
                           : set.kind == render::SetKind::kIp ? "hash:ip"
                                                              : "hash:ip,port";
        run("ipset -exist create " + name + " " + type + " family " + (family == kV4 ? "inet" : "inet6"));
      }
    }
  }

  IptablesFlavour flavour() const { return programs_.flavour; }

  // The common lock file would be shared with every namespace of the machine.
  const std::string lock_ = "/tmp/percale-iptables-test." + std::to_string(::getpid());
  os::EventLoop loop_;
  kernel::IptablesPrograms programs_;
  base::NullLog log_;
};

struct Agent {
  Agent(os::EventLoop& l, std::unique_ptr<kernel::IptablesTool> t, base::Log& log, base::Family f,
        render::Settings settings)
      : loop(l), family(f), tool(std::move(t)), renderer(Renderer::create(std::move(settings)).value()) {
    IptablesSyncer::Hooks hooks;
    for (const Table table : kTables) hooks[table] = renderer.hooks(table);
    syncer = std::make_unique<IptablesSyncer>(loop, *tool, log,
                                              kernel::IptablesSyncerOptions{.family = family, .planner = {}}, hooks);
  }

  ApplyReport apply(const RenderChanges& changes) {
    syncer->update(changes[family].tables);
    std::optional<ApplyReport> report;
    syncer->apply([&](ApplyReport r) {
      report = std::move(r);
      loop.stop();
    });
    const base::TimerId guard = loop.after(std::chrono::seconds(30), [&] { loop.stop(); });
    loop.run();
    loop.cancel(guard);
    EXPECT_TRUE(report.has_value()) << "no answer";
    return report.value_or(ApplyReport{});
  }

  os::EventLoop& loop;
  base::Family family;
  std::unique_ptr<kernel::IptablesTool> tool;
  Renderer renderer;
  std::unique_ptr<IptablesSyncer> syncer;
};

std::string describe(const ApplyReport& report) {
  std::string text;
  for (const auto& problem : report.problems) text += problem.object + ": " + problem.error.text() + "\n";
  return text;
}

void expect_in_kernel(const std::string& saved, const Agent& agent) {
  const auto tables = reconcile::parse_save(saved).value();
  for (const Table table : kTables) {
    const auto found = tables.find(table);
    ASSERT_NE(found, tables.end()) << to_string(table);
    const auto programmed = agent.renderer.programmed(agent.family, table);
    EXPECT_EQ(found->second.owned.size(), programmed.size()) << to_string(table);
    for (const auto& [name, chain] : programmed) {
      const auto actual = found->second.owned.find(std::string(name));
      ASSERT_NE(actual, found->second.owned.end()) << name;
      EXPECT_EQ(actual->second, reconcile::state_of(*chain)) << to_string(table) << " " << name << "\n" << chain->lines;
    }
  }
}

TEST_P(Iptables, TheWholeRulesetLoadsAndARestartWritesNothing) {
  for (const base::Family family : render::kFamilies) {
    SCOPED_TRACE(family == kV4 ? "IPv4" : "IPv6");
    const std::string save = family == kV4 ? programs_.save4 : programs_.save6;
    {
      Agent agent(loop_, tool(family), log_, family, settings_for_everything());
      RenderChanges changes = agent.renderer.set_host_interfaces({{"eth0", {address("192.0.2.1")}}, {"eth1", {}}});
      agent.syncer->update(changes[family].tables);
      make_sets(changes);
      changes = agent.renderer.apply(everything().snapshot());
      make_sets(changes);
      const ApplyReport report = agent.apply(changes);
      EXPECT_TRUE(report.clean()) << describe(report);
      EXPECT_EQ(agent.syncer->counters().restores, 1u);
      expect_in_kernel(run(save), agent);
    }
    const std::string before = run(save + " -c");
    Agent next(loop_, tool(family), log_, family, settings_for_everything());
    next.syncer->update(
        next.renderer.set_host_interfaces({{"eth0", {address("192.0.2.1")}}, {"eth1", {}}})[family].tables);
    EXPECT_TRUE(next.apply(next.renderer.apply(everything().snapshot())).clean());
    EXPECT_EQ(next.syncer->counters().restores, 0u);
    EXPECT_EQ(next.syncer->counters().saves, 1u);
    const auto without_comments = [](const std::string& text) {
      std::string out;
      for (const auto line : base::split(text, '\n')) {
        if (!line.starts_with('#')) out.append(line).append("\n");
      }
      return out;
    };
    EXPECT_EQ(without_comments(run(save + " -c")), without_comments(before));
  }
}

World small_world() {
  World world;
  const auto web = World::policy_key("openstack", "web");
  calc::ActivePolicy policy;
  policy.tier = World::symbol("default");
  policy.selector = "all()";
  policy.ingress = {rule(model::RuleAction::kAllow, "tcp")};
  world.policy(web, policy);
  world.add(World::workload("tap11111111-11", {World::tier("default", {web}, {web})}));
  world.add(World::workload("tap12222222-22", {World::tier("default", {web}, {})}));
  return world;
}

TEST_P(Iptables, ForeignRulesStayWhereTheyAre) {
  run(program() + " -A FORWARD -i docker0 -j ACCEPT");
  run(program() + " -N DOCKER");
  run(program() + " -t nat -A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE");
  Agent agent(loop_, tool(kV4), log_, kV4, openstack_settings());
  RenderChanges changes = agent.renderer.apply(small_world().snapshot());
  make_sets(changes);
  EXPECT_TRUE(agent.apply(changes).clean());
  const std::string forward = run(program() + " -S FORWARD");
  EXPECT_LT(forward.find("cali-FORWARD"), forward.find("docker0"));
  EXPECT_LT(forward.find("docker0"), forward.find("Policy explicitly accepted"));
  const std::string nat = run(program() + " -t nat -S POSTROUTING");
  EXPECT_LT(nat.find("172.17.0.0/16"), nat.find("cali-POSTROUTING"));
  EXPECT_THAT(run(program("-save")), HasSubstr(":DOCKER "));
}

TEST_P(Iptables, WhatSomebodyBrokeIsRepaired) {
  Agent agent(loop_, tool(kV4), log_, kV4, openstack_settings());
  RenderChanges changes = agent.renderer.apply(small_world().snapshot());
  make_sets(changes);
  ASSERT_TRUE(agent.apply(changes).clean());
  const std::uint64_t restores = agent.syncer->counters().restores;

  run(program() + " -F cali-INPUT");
  run(program() + " -F FORWARD");
  run(program() + " -I INPUT -j ACCEPT");
  run(program() + " -t nat -F");
  run(program() + " -D cali-tw-tap11111111-11 1");
  run(program() + " -N cali-nobody");
  agent.syncer->request_read_back();
  const ApplyReport report = agent.apply({});
  EXPECT_TRUE(report.clean()) << describe(report);
  expect_in_kernel(run(program("-save")), agent);
  EXPECT_THAT(run(program() + " -S INPUT 1"), HasSubstr("cali-INPUT"));
  EXPECT_THAT(run(program() + " -S INPUT 2"), HasSubstr("-j ACCEPT"));
  EXPECT_EQ(agent.syncer->counters().restores, restores + 1);
  EXPECT_GE(agent.syncer->counters().surprises, 6u);

  // A chain gone from under us: the next write fails, is read back, and succeeds.
  run(program() + " -F cali-FORWARD");
  run(program() + " -F cali-from-wl-dispatch");
  run(program() + " -F FORWARD");
  World change;
  change.changes.workloads_removed = {World::workload_key("tap12222222-22")};
  EXPECT_TRUE(agent.apply(agent.renderer.apply(change.delta())).clean());
  agent.syncer->request_read_back();
  EXPECT_TRUE(agent.apply({}).clean());
  expect_in_kernel(run(program("-save")), agent);
}

TEST_P(Iptables, ChangesAndRemovals) {
  Agent agent(loop_, tool(kV4), log_, kV4, openstack_settings());
  RenderChanges changes = agent.renderer.apply(small_world().snapshot());
  make_sets(changes);
  ASSERT_TRUE(agent.apply(changes).clean());
  World change;
  calc::ActivePolicy policy;
  policy.tier = World::symbol("default");
  policy.selector = "all()";
  policy.ingress = {rule(model::RuleAction::kAllow, "udp"), rule(model::RuleAction::kAllow, "icmp")};
  change.policy(World::policy_key("openstack", "web"), policy);
  change.changes.workloads_removed = {World::workload_key("tap11111111-11")};
  ApplyReport report = agent.apply(agent.renderer.apply(change.delta()));
  EXPECT_TRUE(report.clean()) << describe(report);
  expect_in_kernel(run(program("-save")), agent);

  World gone;
  gone.changes.workloads_removed = {World::workload_key("tap12222222-22")};
  gone.changes.policies_removed = {World::policy_key("openstack", "web")};
  report = agent.apply(agent.renderer.apply(gone.delta()));
  EXPECT_TRUE(report.clean()) << describe(report);
  expect_in_kernel(run(program("-save")), agent);
  EXPECT_EQ(agent.syncer->counters().saves, 1u);
  EXPECT_THAT(run(program("-save")), Not(HasSubstr("cali-tw-")));
}

TEST_P(Iptables, ARuleThatTheKernelRefusesClosesItsChainOnly) {
  Agent agent(loop_, tool(kV4), log_, kV4, openstack_settings());
  World world = small_world();
  calc::ActivePolicy broken;
  broken.tier = World::symbol("default");
  broken.selector = "all()";
  broken.ingress = {rule(model::RuleAction::kAllow, "tcp")};
  broken.ingress[0].source.sets = {"s:nobody-made-this-set"};
  const auto key = World::policy_key("openstack", "broken");
  world.policy(key, broken);
  world.add(World::workload("tap13333333-33", {World::tier("default", {key}, {})}));
  RenderChanges changes = agent.renderer.apply(world.snapshot());
  make_sets(changes);
  const ApplyReport report = agent.apply(changes);
  const std::string chain = render::iptables::policy_chain(key, render::Direction::kIngress);
  ASSERT_EQ(report.problems.size(), 1u) << describe(report);
  EXPECT_THAT(report.problems[0].object, HasSubstr(chain));
  EXPECT_THAT(run(program() + " -S " + chain), HasSubstr("-j DROP"));
  EXPECT_THAT(run(program("-save")), HasSubstr("cali-tw-tap11111111-11"));

  run("ipset create " + render::iptables::set_name(kV4, "s:nobody-made-this-set") + " hash:net family inet");
  agent.syncer->request_read_back();
  EXPECT_TRUE(agent.apply({}).clean());
  expect_in_kernel(run(program("-save")), agent);
}

TEST_P(Iptables, CleansUpWithoutTouchingOthers) {
  run(program() + " -A FORWARD -i docker0 -j ACCEPT");
  {
    Agent agent(loop_, tool(kV4), log_, kV4, openstack_settings());
    RenderChanges changes = agent.renderer.apply(small_world().snapshot());
    make_sets(changes);
    ASSERT_TRUE(agent.apply(changes).clean());
  }
  const auto port = tool(kV4);
  IptablesSyncer cleaner(loop_, *port, log_, {}, {});
  cleaner.apply([&](const ApplyReport& report) {
    EXPECT_TRUE(report.clean()) << describe(report);
    loop_.stop();
  });
  loop_.run();
  const std::string saved = run(program("-save"));
  EXPECT_THAT(saved, Not(HasSubstr("cali")));
  EXPECT_THAT(saved, HasSubstr("docker0"));
}

TEST_P(Iptables, TheGenerationTellsWhetherAnybodyWrote) {
  const auto port = tool(kV4);
  const auto before = port->generation();
  EXPECT_EQ(before.has_value(), flavour() == IptablesFlavour::kNft);
  EXPECT_EQ(port->generation(), before);
  run(program() + " -A INPUT -j ACCEPT");
  if (before) {
    EXPECT_NE(port->generation(), before);
  }
}

INSTANTIATE_TEST_SUITE_P(Flavours, Iptables, testing::Values(FlavourSetting::kLegacy, FlavourSetting::kNft),
                         [](const auto& param) { return param.param == FlavourSetting::kLegacy ? "legacy" : "nft"; });

}  // namespace
}  // namespace kernel_test
