// Ids and texts must be those of Calico's own agent, or a swap of agents would rewrite every chain under traffic.
#include <gtest/gtest.h>

#include "render/iptables/marks.h"
#include "render/iptables/names.h"
#include "render/iptables/policy_chains.h"
#include "render/iptables/renderer.h"
#include "render/iptables/test_support.h"
#include "render/iptables/test_vectors.h"

namespace render::iptables {
namespace {

using namespace support;
using vectors::Vector;

const model::PolicyKey kGroup = World::policy_key("openstack", "ossg.default.0fc8cfd1-1a0c-4a29-b5b9-d1e8f6c6cbbf");

calc::ActivePolicy security_group() {
  calc::Rule web = rule(model::RuleAction::kAllow, "tcp");
  web.source.sets = {"s:abcdefghijklmnopqrstuvwxyz0123456789AB"};
  web.destination.ports = {{22, 22}, {8000, 8010}};
  calc::ActivePolicy policy;
  policy.tier = World::symbol("default");
  policy.selector = "all()";
  policy.ingress = {web};
  return policy;
}

World one_port() {
  World world;
  world.policy(kGroup, security_group());
  model::WorkloadInterface nat;
  nat.nats = {{address("172.18.0.10"), address("10.65.0.24")}};
  world.add(World::workload("tapa429fb36-04", {World::tier("default", {kGroup}, {kGroup})}, {}, nat));
  return world;
}

World three_ports() {
  World world = one_port();
  for (const char* name : {"tap11111111-11", "tap12222222-22"}) world.add(World::workload(name, {}));
  return world;
}

struct Actual {
  Renderer renderer;
  std::map<std::pair<Table, std::string>, std::vector<Line>> chains;
};

Actual render_all(Settings settings, const World& world, Family family) {
  auto renderer = Renderer::create(std::move(settings));
  CHECK(renderer.has_value());
  (void)renderer->apply(world.snapshot());
  Actual actual{std::move(*renderer), {}};
  for (const Table table : kTables) {
    for (const auto& [name, chain] : actual.renderer.programmed(family, table)) {
      actual.chains[{table, std::string(name)}] = lines_of(*chain);
    }
    for (const auto& [kernel, hooks] : actual.renderer.hooks(table)) {
      for (const HookRule& hook : hooks.inserted)
        actual.chains[{table, kernel}].push_back({hook.id, hook.body.substr(1)});
      for (const HookRule& hook : hooks.appended) {
        actual.chains[{table, kernel + "*appends*"}].push_back({hook.id, hook.body.substr(1)});
      }
    }
  }
  return actual;
}

void expect_vector(const Actual& actual, const Vector& v) {
  SCOPED_TRACE(std::string(to_string(v.table)) + " " + std::string(v.chain) + " " + std::to_string(v.number));
  const auto chain = actual.chains.find({v.table, std::string(v.chain)});
  ASSERT_NE(chain, actual.chains.end());
  ASSERT_GE(chain->second.size(), v.number);
  const Line& line = chain->second[v.number - 1];
  EXPECT_EQ(line.body, v.body);
  EXPECT_EQ(line.id, v.id);
}

World with_nat_pools() {
  World world;
  world.changes.pools[net("10.65.0.0/16")].nat_outgoing = true;
  world.changes.pools[net("fd00:65::/48")].nat_outgoing = true;
  return world;
}

TEST(Vectors, StaticChainsIpv4) {
  const Actual actual = render_all(openstack_settings(), with_nat_pools(), Family::kIpv4);
  for (const Vector& v : vectors::kIpv4) expect_vector(actual, v);
}

TEST(Vectors, StaticChainsIpv6) {
  const Actual actual = render_all(openstack_settings(), with_nat_pools(), Family::kIpv6);
  for (const Vector& v : vectors::kIpv6) expect_vector(actual, v);
  // Rows the families share.
  for (const Vector& v : vectors::kIpv4) {
    if (v.chain == "cali-FORWARD" || v.chain == "FORWARD*appends*" || v.chain == "cali-to-wl-dispatch")
      expect_vector(actual, v);
  }
}

TEST(Vectors, DynamicChains) {
  const Actual three = render_all(openstack_settings(), three_ports(), Family::kIpv4);
  for (const Vector& v : vectors::kDynamic) {
    if (v.chain.starts_with("cali-failsafe")) continue;  // programmed only with host endpoints
    expect_vector(three, v);
  }
}

TEST(Vectors, FailsafeChains) {
  const Context context{openstack_settings(), allocate_marks(0xffff0000).value()};
  Actual actual{Renderer::create(openstack_settings()).value(), {}};
  for (const Chain& chain : render_static(context, Family::kIpv4, Table::kFilter)) {
    actual.chains[{Table::kFilter, chain.name}] = lines_of(*render_chain(chain));
  }
  for (const Vector& v : vectors::kDynamic) {
    if (v.chain.starts_with("cali-failsafe")) expect_vector(actual, v);
  }
}

TEST(Vectors, Hooks) {
  const Renderer renderer = Renderer::create(openstack_settings()).value();
  const auto inserted = [&](Table table, const char* kernel) {
    return renderer.hooks(table).at(kernel).inserted.at(0).id;
  };
  const auto appended = [&](Table table, const char* kernel, std::size_t i) {
    return renderer.hooks(table).at(kernel).appended.at(i).id;
  };
  EXPECT_EQ(inserted(Table::kFilter, "INPUT"), "Cz_u1IQiXIMmKD4c");
  EXPECT_EQ(inserted(Table::kFilter, "FORWARD"), "wUHhoiAYhphO9Mso");
  EXPECT_EQ(inserted(Table::kFilter, "OUTPUT"), "tVnHkvAo15HuiPy0");
  EXPECT_EQ(inserted(Table::kRaw, "OUTPUT"), "tVnHkvAo15HuiPy0");
  EXPECT_EQ(inserted(Table::kRaw, "PREROUTING"), "6gwbT8clXdHdC1b1");
  EXPECT_EQ(inserted(Table::kMangle, "POSTROUTING"), "O3lYWMrLQYEMJtB5");
  EXPECT_EQ(appended(Table::kNat, "POSTROUTING", 0), "0i8pjzKKPyA34aQD");
  EXPECT_EQ(appended(Table::kFilter, "FORWARD", 0), "S93hcgKJrXEqnTfs");
  EXPECT_EQ(appended(Table::kFilter, "FORWARD", 1), "mp77cMpurHhyjLrM");
}

// Appendix A.7: prefix cali, VXLAN on, no OpenStack.
TEST(Vectors, VxlanConfiguration) {
  Settings settings;
  settings.tunnels.vxlan_v4 = true;
  settings.tunnels.vxlan_address_v4 = true;
  const Actual actual = render_all(settings, World(), Family::kIpv4);
  const auto expect_ids = [&](Table table, const char* chain, std::size_t from, std::vector<std::string> ids) {
    SCOPED_TRACE(chain);
    const std::vector<Line>& lines = actual.chains.at({table, chain});
    ASSERT_EQ(lines.size(), from - 1 + ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(lines[from - 1 + i].id, ids[i]) << lines[from - 1 + i].body;
  };
  expect_ids(Table::kRaw, "cali-PREROUTING", 1,
             {"DQ6LK2guiBRMyrLK", "sIsu2aAqNN6K3YYn", "W0qKAga6QivxLxL1", "QOYCZUivPyJL6Dp1", "uvipz_NmQPrGYnTB",
              "pj4jqF0K2OCNLmzX", "Jefg6QI5khJcHnVl"});
  expect_ids(Table::kRaw, "cali-OUTPUT", 3, {"ry5_UEpt1OaPPCxO", "MGhICIksKDnYMIkW"});
  expect_ids(Table::kFilter, "cali-INPUT", 2,
             {"EDCNTTxYfggApx8C", "H03xYXARh4e8pwd4", "MN6K3isIWBigb1Va", "aKDQAoV0P_FFAIwV", "vIx3xkWzuvLW9fr4",
              "5W9XghKma9wuz47x"});
  expect_ids(Table::kFilter, "cali-OUTPUT", 4, {"6T0hFtymUtXMOfEV", "IpTGXsDHURPUaLjJ", "wgnULo2gucg1umsA"});
  expect_ids(Table::kNat, "cali-POSTROUTING", 3, {"e9dnSgSVNmIcpVhP"});
}

// Appendix A.7, upstream unit tests.
TEST(Vectors, RuleIdsOfSmallChains) {
  const auto ids = [](const char* domain, const std::vector<Rule>& rules) {
    std::vector<std::string> out;
    for (const HookRule& hook : render_hooks(domain, rules)) out.push_back(hook.id);
    return out;
  };
  using Ids = std::vector<std::string>;
  EXPECT_EQ(ids("FORWARD", {{{}, Drop{}}, {{}, Accept{}}, {{}, Drop{}}, {{}, Accept{}}}),
            (Ids{"hecdSCslEjdBPBPo", "plvr29-ZiKUwbzDV", "BMJ7gfua-eMLZ8Gu", "rmnR1gc8haxMy_0W"}));
  EXPECT_EQ(ids("cali-foobar", {{{}, Accept{}}, {{}, Drop{}}, {{}, Return{}}}),
            (Ids{"42h7Q64_2XDzpwKe", "0sUFHicPNNqNyNx8", "yilSOZ62PxMhMnS9"}));
  EXPECT_EQ(ids("FORWARD*appends*", {{{}, Drop{}, {"append drop rule"}},
                                     {{}, Accept{}, {"append accept rule"}},
                                     {{}, Drop{}, {"second append drop rule"}}}),
            (Ids{"qNsBylRkftPwO3XF", "IQ9H0Scq00rF0w4S", "Ss37kzq4-zQ2tbFp"}));
}

TEST(Vectors, Names) {
  struct Case {
    std::string_view prefix, suffix, result;
    std::size_t limit = kMaxChainName;
  };
  const Case kCases[] = {
      {"cali-pi-", "gnp/default.allow-all", "cali-pi-_CCdt78kWMcedCsqGIo6"},
      {"cali-tw-", "tapa429fb36-04", "cali-tw-tapa429fb36-04"},
      {"cali-pri-", "openstack-sg-0fc8cfd1-1a0c-4a29-b5b9-d1e8f6c6cbbf", "cali-pri-_qKqv-bmoA0E5qTXP0R"},
      {"cali-pi-", "np/openstack/ossg.default.0fc8cfd1-1a0c-4a29-b5b9-d1e8f6c6cbbf", "cali-pi-_PpZrEYFSVCFitEbI-tJ"},
      {"cali-thfw-", "any-interface-at-all", "cali-thfw-_Nqh4HyA73udmyanQI"},
      {"cali-pri-", "", "cali-pri-_"},
      {"cali-pi-", "gnp/long-policy-name-that-gets-hashed", "cali-pi-_PymyFHQQg3808jiz1OJ"},
      {"cali-pri-", "long-policy-name-that-gets-hashed", "cali-pri-_ffOMcf6pikpiZ6hgKc"},
      {"felix", "_2345", "felix_kMQI", 10},
      {"felix", "12345678910", "felix_Y2QCZIS", 13},
  };
  for (const Case& c : kCases) EXPECT_EQ(length_limited(c.prefix, c.suffix, c.limit), c.result) << c.suffix;

  EXPECT_EQ(policy_chain(kGroup, Direction::kIngress), "cali-pi-_PpZrEYFSVCFitEbI-tJ");
  const std::vector<model::PolicyKey> members{World::policy_key("", "p1", model::PolicyKind::kGlobalNetworkPolicy),
                                              World::policy_key("", "p2", model::PolicyKind::kGlobalNetworkPolicy)};
  EXPECT_EQ(group_chain("has(role)", Direction::kIngress, members), "cali-gi-ED9Ae6h6TXgbh4ZCQQn6");
  EXPECT_EQ(set_name(Family::kIpv4, "s:wPJ6EfQfi_2n9KILmXT70Gnh2bh-iMv63UZbnA"), "cali40s:wPJ6EfQfi_2n9KILmXT70Gn");
}

TEST(Vectors, Marks) {
  const Marks marks = allocate_marks(0xffff0000).value();
  EXPECT_EQ(marks.accept, 0x10000u);
  EXPECT_EQ(marks.pass, 0x20000u);
  EXPECT_EQ(marks.drop, 0x40000u);
  EXPECT_EQ(marks.scratch0, 0x80000u);
  EXPECT_EQ(marks.scratch1, 0x100000u);
  EXPECT_EQ(marks.endpoint, 0xffe00000u);
  EXPECT_EQ(marks.all(), 0x1b0000u);
  EXPECT_EQ(allocate_marks(0x3f).value().endpoint, 0x20u);
  EXPECT_FALSE(allocate_marks(0x1f).has_value());
}

}  // namespace
}  // namespace render::iptables
