// The incremental renderer against its naive twin: whatever order changes come in, the programmed chains, and the
// chains and sets a consumer ends up with by following the changes, are those of a renderer that sees the end state
// only.
#include "render/iptables/renderer.h"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "render/iptables/test_support.h"
#include "testing/rng.h"

namespace render::iptables {
namespace {

using namespace support;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Not;

// What a consumer believes after following every change; aborts on a change that contradicts what it knows.
struct Follower {
  struct Side {
    PerTable<std::map<std::string, std::string>> chains;  // name → lines
    std::map<std::string, std::set<calc::SetMember>> sets;
  };
  PerFamily<Side> sides;

  void follow(const RenderChanges& changes) {
    for (const Family family : kFamilies) {
      Side& side = sides[family];
      for (const Table table : kTables) {
        auto& chains = side.chains[table];
        for (const auto& [name, chain] : changes[family].tables[table].changed) {
          EXPECT_TRUE(!chains.contains(name) || chains[name] != chain->lines) << name << " did not change";
          chains[name] = chain->lines;
        }
        for (const auto& name : changes[family].tables[table].removed) EXPECT_EQ(chains.erase(name), 1u) << name;
      }
      const SetChanges& sets = changes[family].sets;
      if (sets.complete) side.sets.clear();
      for (const auto& [name, set] : sets.created) side.sets[name] = {set.members.begin(), set.members.end()};
      for (const auto& [name, delta] : sets.changed) {
        EXPECT_TRUE(side.sets.contains(name)) << name;
        for (const auto& member : delta.removed) EXPECT_EQ(side.sets[name].erase(member), 1u);
        for (const auto& member : delta.added) EXPECT_TRUE(side.sets[name].insert(member).second);
      }
      for (const auto& name : sets.removed) EXPECT_EQ(side.sets.erase(name), 1u) << name;
      // Every chain a programmed chain jumps to is programmed.
      for (const Table table : kTables) {
        for (const auto& [name, lines] : side.chains[table]) {
          for (std::size_t at = lines.find("cali-"); at != lines.npos; at = lines.find("cali-", at + 1)) {
            if (at < 7 || (lines.substr(at - 7, 7) != "--jump " && lines.substr(at - 7, 7) != "--goto ")) continue;
            const std::string target = lines.substr(at, lines.find_first_of(" \n", at) - at);
            EXPECT_TRUE(side.chains[table].contains(target)) << name << " jumps to " << target;
          }
        }
      }
    }
  }
};

// A random datastore in the calculation's terms, small enough for collisions.
class Chance {
 public:
  explicit Chance(std::uint32_t seed) : random_(seed) {}
  calc::Changes all;  // the state
  HostInterfaces interfaces;

  calc::Changes step() {
    calc::Changes changes;
    const std::uint32_t count = 1 + pick(3);
    for (std::uint32_t i = 0; i < count; ++i) mutate(changes);
    return changes;
  }

  bool one_in(std::uint32_t n) { return pick(n) == 0; }

  HostInterfaces random_interfaces() {
    HostInterfaces out;
    for (const char* name : {"eth0", "eth1", "ens3", "tapx"}) {
      if (!one_in(3)) out[name] = {address("192.0.2." + std::to_string(1 + pick(3)))};
    }
    return out;
  }

 private:
  std::uint32_t pick(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }

  model::PolicyKey policy_key() {
    return World::policy_key(one_in(2) ? "openstack" : "", "p" + std::to_string(pick(8)),
                             one_in(4) ? model::PolicyKind::kStagedNetworkPolicy : model::PolicyKind::kNetworkPolicy);
  }

  void put_policy(const model::PolicyKey& key, calc::Changes& changes) {
    calc::ActivePolicy policy;
    policy.tier = World::symbol("default");
    policy.selector = "s" + std::to_string(pick(3));
    policy.force_programmed = one_in(5);
    for (std::uint32_t i = pick(3); i > 0; --i) policy.ingress.push_back(random_rule());
    for (std::uint32_t i = pick(3); i > 0; --i) policy.egress.push_back(random_rule());
    changes.policies_removed.erase(key);
    changes.policies[key] = all.policies[key] = std::make_shared<const calc::ActivePolicy>(policy);
  }

  calc::Rule random_rule() {
    calc::Rule out = rule(static_cast<model::RuleAction>(pick(4)), one_in(2) ? "tcp" : "udp");
    if (one_in(3)) out.ip_version = one_in(2) ? Family::kIpv4 : Family::kIpv6;
    for (std::uint32_t i = pick(4); i > 0; --i)
      out.source.nets.push_back(net("10." + std::to_string(pick(9)) + ".0.0/16"));
    for (std::uint32_t i = pick(3); i > 0; --i) {
      const auto port = static_cast<std::uint16_t>(pick(100));
      out.destination.ports.push_back({port, port});
    }
    return out;
  }

  std::vector<calc::TierPolicies> random_tiers(calc::Changes& changes) {
    std::vector<calc::TierPolicies> tiers;
    for (const char* name : {"first", "default"}) {
      if (one_in(3)) continue;
      calc::TierPolicies tier = World::tier(name, {}, {});
      if (one_in(4)) tier.default_action = model::TierAction::kPass;
      for (auto* list : {&tier.ingress, &tier.egress}) {
        for (std::uint32_t i = pick(4); i > 0; --i) {
          const auto key = policy_key();
          if (std::find(list->begin(), list->end(), key) != list->end()) continue;
          if (!all.policies.contains(key)) put_policy(key, changes);
          list->push_back(key);
        }
      }
      if (!tier.ingress.empty() || !tier.egress.empty()) tiers.push_back(tier);
    }
    return tiers;
  }

  void mutate(calc::Changes& changes) {
    switch (pick(9)) {
      case 0:
      case 1: return put_policy(policy_key(), changes);
      case 2:
      case 3: return put_workload(changes);
      case 4: return remove_workload(changes);
      case 5: return change_host(changes);
      case 6: return change_network(changes);
      case 7: return change_set(changes);
      default: return remove_unused_policies(changes);
    }
  }

  model::WorkloadEndpointKey workload_key() { return {World::symbol("ns"), std::to_string(pick(9))}; }

  void put_workload(calc::Changes& changes) {
    model::WorkloadInterface more;
    more.workload = std::to_string(pick(9));
    more.active = !one_in(5);
    if (one_in(3))
      more.nats = {{address("172.0.0." + std::to_string(pick(4))), address("10.0.0." + std::to_string(pick(4)))}};
    if (one_in(4)) more.allowed_source_prefixes = {net("10.7.0.0/16"), net("fd00:7::/64")};
    if (one_in(4)) more.qos = {{"dscp", pick(60)}};
    more.addresses = {address("10.0.0." + std::to_string(pick(5))), address("fd00::" + std::to_string(1 + pick(5)))};
    // Few names for many endpoints: shadowing.
    constexpr const char* kNames[] = {"tap1", "tap12", "tap13", "tapx", "tapxy", "tap"};
    const auto key = workload_key();
    changes.workloads_removed.erase(key);
    changes.workloads[key] = all.workloads[key] = World::workload(kNames[pick(6)], random_tiers(changes), {}, more);
  }

  void remove_workload(calc::Changes& changes) {
    const auto key = workload_key();
    if (all.workloads.erase(key) == 0) return;
    changes.workloads.erase(key);
    changes.workloads_removed.insert(key);
  }

  void change_host(calc::Changes& changes) {
    const model::HostEndpointKey key{World::symbol("hep" + std::to_string(pick(3)))};
    if (one_in(3)) {
      if (all.host_endpoints.erase(key) == 0) return;
      changes.host_endpoints.erase(key);
      changes.host_endpoints_removed.insert(key);
      return;
    }
    calc::LocalHostEndpoint endpoint;
    constexpr const char* kNames[] = {"eth0", "eth1", "*", ""};
    endpoint.interface_name = kNames[pick(4)];
    endpoint.expected_addresses = {address("192.0.2." + std::to_string(1 + pick(3)))};
    endpoint.tiers = random_tiers(changes);
    endpoint.forward_tiers = random_tiers(changes);
    endpoint.pre_dnat_tiers = random_tiers(changes);
    endpoint.untracked_tiers = random_tiers(changes);
    if (one_in(3)) endpoint.dscp = static_cast<std::uint8_t>(pick(60));
    changes.host_endpoints_removed.erase(key);
    changes.host_endpoints[key] = all.host_endpoints[key] = std::make_shared<const calc::LocalHostEndpoint>(endpoint);
  }

  void change_network(calc::Changes& changes) {
    const auto cidr = one_in(3) ? net("::/0") : net("10." + std::to_string(pick(3)) + ".0.0/16");
    if (one_in(3)) {
      if (all.pools.erase(cidr) > 0) {
        changes.pools.erase(cidr);
        changes.pools_removed.insert(cidr);
      }
    } else {
      calc::Pool pool;
      pool.nat_outgoing = one_in(2);
      changes.pools_removed.erase(cidr);
      changes.pools[cidr] = all.pools[cidr] = pool;
    }
    if (one_in(3)) {
      std::vector<base::Prefix> ranges;
      for (const char* range : {"10.96.0.0/12", "198.51.100.0/24", "fd00:96::/112"}) {
        if (one_in(2)) ranges.push_back(net(range));
      }
      changes.service_ranges = all.service_ranges = ranges;
    }
    const auto name = World::symbol("node" + std::to_string(pick(3)));
    model::Node node;
    node.host_ipv4 = address("192.0.2." + std::to_string(10 + pick(5)));
    changes.nodes_removed.erase(name);
    changes.nodes[name] = all.nodes[name] = node;
  }

  void change_set(calc::Changes& changes) {
    const std::string id = "s:" + std::to_string(pick(3));
    if (changes.sets_created.contains(id) || changes.sets_changed.contains(id) || changes.sets_removed.contains(id))
      return;
    const calc::SetMember member{net("10.0.0." + std::to_string(pick(5)) + "/32"), 0, 0};
    const calc::SetMember six{net("fd00::5/128"), 0, 0};
    const auto found = all.sets_created.find(id);
    if (found == all.sets_created.end()) {
      changes.sets_created[id] = all.sets_created[id] = {calc::SetType::kNet, {member, six}};
    } else if (one_in(4)) {
      all.sets_created.erase(found);
      changes.sets_removed.insert(id);
    } else {
      auto& members = found->second.members;
      const auto at = std::lower_bound(members.begin(), members.end(), member);
      calc::IpSetDelta& delta = changes.sets_changed[id];
      if (at != members.end() && *at == member) {
        members.erase(at);
        delta.removed = {member};
      } else {
        members.insert(at, member);
        delta.added = {member};
      }
    }
  }

  void remove_unused_policies(calc::Changes& changes) {
    std::set<model::PolicyKey> used;
    const auto note = [&](const std::vector<calc::TierPolicies>& tiers) {
      for (const auto& tier : tiers) {
        used.insert(tier.ingress.begin(), tier.ingress.end());
        used.insert(tier.egress.begin(), tier.egress.end());
      }
    };
    for (const auto& [key, endpoint] : all.workloads) note(endpoint->tiers);
    for (const auto& [key, endpoint] : all.host_endpoints) {
      for (const auto* tiers :
           {&endpoint->tiers, &endpoint->forward_tiers, &endpoint->pre_dnat_tiers, &endpoint->untracked_tiers}) {
        note(*tiers);
      }
    }
    for (auto policy = all.policies.begin(); policy != all.policies.end();) {
      if (used.contains(policy->first)) {
        ++policy;
        continue;
      }
      changes.policies.erase(policy->first);
      changes.policies_removed.insert(policy->first);
      policy = all.policies.erase(policy);
    }
  }

  std::mt19937 random_;
};

Settings twin_settings(std::uint32_t seed) {
  Settings settings = openstack_settings();
  settings.workload_source_spoofing = seed % 2 == 0;
  if (seed % 3 == 0) settings.deny = DenyAction::kReject;
  settings.nat_exclude_hosts = seed % 5 == 0;
  settings.tunnels.vxlan_v4 = seed % 2 == 0;
  return settings;
}

void expect_same(const Renderer& renderer, const Follower& follower, const Chance& chance, std::uint32_t seed) {
  Settings settings = twin_settings(seed);
  settings.tunnels = renderer.settings().tunnels;
  Renderer fresh = Renderer::create(settings).value();
  Follower naive;
  naive.follow(fresh.set_host_interfaces(chance.interfaces));
  naive.follow(fresh.apply(calc::Snapshot{chance.all}));
  for (const Family family : kFamilies) {
    for (const Table table : kTables) {
      std::map<std::string, std::string> incremental;
      for (const auto& [name, chain] : renderer.programmed(family, table))
        incremental[std::string(name)] = chain->lines;
      ASSERT_EQ(incremental, naive.sides[family].chains[table]) << "seed " << seed << " " << to_string(table);
      ASSERT_EQ(follower.sides[family].chains[table], incremental) << "seed " << seed << " " << to_string(table);
    }
    ASSERT_EQ(follower.sides[family].sets, naive.sides[family].sets) << "seed " << seed;
  }
}

TEST(RendererTwin, IncrementalEqualsFromScratch) {
  for (std::uint32_t seed = 1; seed <= ::testing::repetitions(60); ++seed) {
    Chance chance(seed);
    Renderer renderer = Renderer::create(twin_settings(seed)).value();
    Follower follower;
    if (seed % 2 == 0) follower.follow(renderer.apply(calc::Snapshot{}));
    for (int step = 0; step < 60; ++step) {
      const calc::Changes changes = chance.step();
      if (step == 0 && seed % 2 == 1) {
        follower.follow(renderer.apply(calc::Snapshot{chance.all}));
      } else {
        follower.follow(renderer.apply(calc::Delta{changes}));
      }
      if (chance.one_in(6)) {
        chance.interfaces = chance.random_interfaces();
        follower.follow(renderer.set_host_interfaces(chance.interfaces));
      }
      if (chance.one_in(10)) {
        follower.follow(renderer.set_tunnels({chance.one_in(2), chance.one_in(2), chance.one_in(2)}));
        if (chance.one_in(2)) follower.follow(renderer.set_tunnels(twin_settings(seed).tunnels));
      }
      if (chance.one_in(20)) follower.follow(renderer.apply(calc::Snapshot{chance.all}));
      if (chance.one_in(8)) expect_same(renderer, follower, chance, seed);
      if (HasFailure()) return;
    }
    expect_same(renderer, follower, chance, seed);
    if (HasFailure()) return;
  }
}

// --- Single properties
// -------------------------------------------------------------------------------------------------

std::string lines(const Renderer& renderer, Table table, const std::string& chain, Family family = Family::kIpv4) {
  const auto programmed = renderer.programmed(family, table);
  const auto found = programmed.find(chain);
  return found == programmed.end() ? "(none)" : found->second->lines;
}

TEST(Renderer, AnIpv4RuleLeavesIpv6Alone) {
  const auto key = World::policy_key("openstack", "web");
  World world;
  calc::ActivePolicy policy;
  policy.tier = World::symbol("default");
  policy.ingress = {rule(model::RuleAction::kAllow, "icmp")};
  world.policy(key, policy).add(World::workload("tap1", {World::tier("default", {key}, {})}));
  Renderer renderer = Renderer::create(openstack_settings()).value();
  (void)renderer.apply(world.snapshot());
  policy.ingress.push_back(rule(model::RuleAction::kAllow, "icmp"));
  World change;
  change.policy(key, policy);
  const RenderChanges changes = renderer.apply(change.delta());
  EXPECT_EQ(changes.v4.tables[Table::kFilter].changed.size(), 1u);
  EXPECT_TRUE(changes.v6.chains_empty());
}

TEST(Renderer, AnUnusedPolicyIsNotProgrammedUnlessForced) {
  const auto key = World::policy_key("", "p", model::PolicyKind::kGlobalNetworkPolicy);
  Renderer renderer = Renderer::create(openstack_settings()).value();
  World world;
  world.policy(key, {});
  (void)renderer.apply(world.snapshot());
  const std::string chain = policy_chain(key, Direction::kIngress);
  EXPECT_EQ(lines(renderer, Table::kFilter, chain), "(none)");
  calc::ActivePolicy forced;
  forced.force_programmed = true;
  world.policy(key, forced);
  (void)renderer.apply(world.delta());
  EXPECT_NE(lines(renderer, Table::kFilter, chain), "(none)");
  EXPECT_EQ(lines(renderer, Table::kRaw, chain), "(none)");
}

TEST(Renderer, APolicyThatIsMissingCloses) {
  World world;
  const auto key = World::policy_key("openstack", "never-sent");
  world.add(World::workload("tap1", {World::tier("default", {key}, {})}));
  Renderer renderer = Renderer::create(openstack_settings()).value();
  (void)renderer.apply(world.snapshot());
  EXPECT_THAT(lines(renderer, Table::kFilter, policy_chain(key, Direction::kIngress)), HasSubstr("--jump DROP"));
}

TEST(Renderer, TheSmallerEndpointWinsAnInterface) {
  World world;
  model::WorkloadInterface second;
  second.workload = "openstack/zzz";
  second.active = false;
  calc::Changes& changes = world.changes;
  changes.workloads[World::workload_key("b")] = World::workload("tap1", {}, {}, second);
  Renderer renderer = Renderer::create(openstack_settings()).value();
  (void)renderer.apply(world.snapshot());
  EXPECT_THAT(lines(renderer, Table::kFilter, "cali-tw-tap1"), HasSubstr("Endpoint admin disabled"));
  World add;
  model::WorkloadInterface first;
  first.workload = "openstack/aaa";
  add.changes.workloads[World::workload_key("a")] = World::workload("tap1", {}, {}, first);
  (void)renderer.apply(add.delta());
  EXPECT_THAT(lines(renderer, Table::kFilter, "cali-tw-tap1"), Not(HasSubstr("Endpoint admin disabled")));
  World remove;
  remove.changes.workloads_removed = {World::workload_key("a")};
  (void)renderer.apply(remove.delta());
  EXPECT_THAT(lines(renderer, Table::kFilter, "cali-tw-tap1"), HasSubstr("Endpoint admin disabled"));
}

TEST(Renderer, ForbiddenSpoofingCountsAsAbsent) {
  World world;
  model::WorkloadInterface spoofing;
  spoofing.allowed_source_prefixes = {net("10.0.0.0/8")};
  world.add(World::workload("tap1", {}, {}, spoofing));
  Renderer closed = Renderer::create(openstack_settings()).value();
  (void)closed.apply(world.snapshot());
  EXPECT_EQ(lines(closed, Table::kFilter, "cali-fw-tap1"), "(none)");
  Settings open = openstack_settings();
  open.workload_source_spoofing = true;
  Renderer renderer = Renderer::create(open).value();
  (void)renderer.apply(world.snapshot());
  EXPECT_THAT(lines(renderer, Table::kRaw, "cali-rpf-skip"),
              HasSubstr("--in-interface tap1 --source 10.0.0.0/8 --jump ACCEPT"));
}

TEST(Renderer, SetsOfItsOwn) {
  Settings settings = openstack_settings();
  settings.tunnels.vxlan_v4 = true;
  settings.external_nodes = {net("198.51.100.0/24")};
  Renderer renderer = Renderer::create(settings).value();
  World world;
  world.changes.pools[net("0.0.0.0/0")].nat_outgoing = true;
  model::Node own;
  own.host_ipv4 = address("192.0.2.1");
  own.vxlan_tunnel_v4 = address("10.65.0.2");
  model::Node other = own;
  other.host_ipv4 = address("192.0.2.2");
  world.changes.nodes[World::symbol("compute-01")] = own;
  world.changes.nodes[World::symbol("compute-02")] = other;
  const RenderChanges changes = renderer.apply(world.snapshot());
  const auto members = [&](const std::string& set) {
    std::vector<std::string> out;
    for (const auto& member : changes.v4.sets.created.at(set).members) out.push_back(base::to_string(member.prefix));
    return out;
  };
  EXPECT_TRUE(changes.v4.sets.complete);
  EXPECT_THAT(members("cali40all-ipam-pools"), ElementsAre("0.0.0.0/1", "128.0.0.0/1"));
  EXPECT_THAT(members("cali40all-hosts-net"), ElementsAre("192.0.2.1/32", "192.0.2.2/32", "198.51.100.0/24"));
  EXPECT_THAT(members("cali40all-vxlan-net"), ElementsAre("192.0.2.2/32", "198.51.100.0/24"));
  EXPECT_THAT(changes.v6.sets.created, Not(Contains(Key("cali60all-hosts-net"))));
  EXPECT_THAT(changes.v6.sets.created, Contains(Key("cali60this-host")));

  const RenderChanges addresses =
      renderer.set_host_interfaces({{"eth0", {address("192.0.2.1")}}, {"tap1", {address("10.0.0.1")}}});
  EXPECT_EQ(addresses.v4.sets.changed.at("cali40this-host").added.size(), 1u);
  EXPECT_TRUE(addresses.v4.chains_empty());
}

TEST(Renderer, ServiceRangesEndTheForwarding) {
  World world;
  world.changes.service_ranges = {
      {net("9.0.0.0/8"), net("10.96.0.0/12"), net("198.51.100.7/32"), net("fd00:96::/112")}};
  Renderer renderer = Renderer::create(openstack_settings()).value();
  (void)renderer.apply(world.snapshot());
  const std::string v4 = lines(renderer, Table::kFilter, "cali-cidr-block");
  EXPECT_THAT(v4, HasSubstr("--destination 10.96.0.0/12 --jump DROP"));
  EXPECT_THAT(v4, Not(HasSubstr("fd00")));
  EXPECT_LT(v4.find("198.51.100.7/32"), v4.find("9.0.0.0/8"));  // as texts

  calc::Delta fewer;
  fewer.changes.service_ranges = {{net("10.96.0.0/12"), net("fd00:96::/112")}};
  const RenderChanges changes = renderer.apply(fewer);
  EXPECT_THAT(lines(renderer, Table::kFilter, "cali-cidr-block"), Not(HasSubstr("198.51.100")));
  EXPECT_FALSE(changes.v4.chains_empty());
  EXPECT_TRUE(changes.v6.chains_empty());

  for (const LoopPrevention how : {LoopPrevention::kReject, LoopPrevention::kDisabled}) {
    Settings settings = openstack_settings();
    settings.loop_prevention = how;
    Renderer other = Renderer::create(settings).value();
    (void)other.apply(world.snapshot());
    (void)other.set_tunnels({.ipip = true, .vxlan_v4 = false, .vxlan_v6 = false});  // static chains again
    const std::string text = lines(other, Table::kFilter, "cali-cidr-block");
    EXPECT_EQ(text.find("--destination 10.96.0.0/12 --jump REJECT") != std::string::npos,
              how == LoopPrevention::kReject);
    EXPECT_THAT(text, Not(HasSubstr("DROP")));
  }
}

TEST(Renderer, TunnelsComeAndGo) {
  Renderer renderer = Renderer::create(openstack_settings()).value();
  World world;
  model::Node other;
  other.host_ipv4 = address("192.0.2.2");
  other.vxlan_tunnel_v4 = address("10.65.0.2");
  world.changes.nodes[World::symbol("compute-02")] = other;
  (void)renderer.apply(world.snapshot());
  const RenderChanges changes = renderer.set_tunnels({.ipip = false, .vxlan_v4 = true, .vxlan_v6 = false});
  EXPECT_THAT(changes.v4.sets.removed, ElementsAre("cali40all-hosts-net"));
  EXPECT_EQ(changes.v4.sets.created.at("cali40all-vxlan-net").members.size(), 1u);
  EXPECT_TRUE(changes.v6.chains_empty());
  EXPECT_THAT(lines(renderer, Table::kFilter, "cali-INPUT"), HasSubstr("cali40all-vxlan-net"));
  EXPECT_THAT(lines(renderer, Table::kFilter, "cali-INPUT"), Not(HasSubstr("cali40all-hosts-net")));
  const RenderChanges again = renderer.set_tunnels({.ipip = false, .vxlan_v4 = true, .vxlan_v6 = false});
  EXPECT_TRUE(again.v4.chains_empty());
  EXPECT_TRUE(again.v4.sets.empty());
}

TEST(Renderer, HostEndpointsByNameAddressAndWildcard) {
  const auto endpoint = [](const char* interface, std::vector<base::IpAddress> addresses) {
    calc::LocalHostEndpoint out;
    out.interface_name = interface;
    out.expected_addresses = std::move(addresses);
    return std::make_shared<const calc::LocalHostEndpoint>(out);
  };
  std::map<model::HostEndpointKey, std::shared_ptr<const calc::LocalHostEndpoint>> endpoints;
  endpoints[{World::symbol("a")}] = endpoint("", {address("192.0.2.1")});
  endpoints[{World::symbol("b")}] = endpoint("eth0", {address("192.0.2.2")});
  endpoints[{World::symbol("c")}] = endpoint("*", {});
  endpoints[{World::symbol("d")}] = endpoint("*", {});
  const HostDispatch dispatch = resolve_host_endpoints(
      endpoints,
      {{"eth0", {address("192.0.2.1")}}, {"eth1", {address("192.0.2.1")}}, {"eth2", {address("192.0.2.2")}}});
  EXPECT_EQ(dispatch.by_interface.at("eth0").key.name.view(), "a");  // both match, the smaller id wins
  EXPECT_EQ(dispatch.by_interface.at("eth1").key.name.view(), "a");
  EXPECT_FALSE(dispatch.by_interface.contains("eth2"));  // a named endpoint never falls back to addresses
  EXPECT_EQ(dispatch.wildcard->key.name.view(), "c");
}

TEST(Dispatch, Bins) {
  const auto keys = [](std::vector<std::string_view> names) {
    std::vector<std::string> out;
    for (const DispatchBin& bin : bin_interfaces(names))
      out.push_back(bin.key + ":" + std::to_string(bin.interfaces.size()));
    return out;
  };
  EXPECT_THAT(keys({}), IsEmpty());
  EXPECT_THAT(keys({"tap1"}), ElementsAre("tap1:1"));
  EXPECT_THAT(keys({"tap1", "tap12", "tap13", "tap22"}), ElementsAre("tap1:3", "tap2:1"));
  EXPECT_THAT(keys({"tap1", "tap12", "tap13"}), ElementsAre("tap1:1", "tap12:1", "tap13:1"));
  EXPECT_THAT(keys({"eth0", "tap1"}), ElementsAre("e:1", "t:1"));
}

}  // namespace
}  // namespace render::iptables
