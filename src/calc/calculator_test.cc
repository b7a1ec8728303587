// What the calculation must say in cases worth naming; that it is right in all others is the twin's business
// (tests/property/calc_twin_test.cc).
#include "calc/calculator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "calc/print.h"

namespace calc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class CalculatorTest : public testing::Test {
 protected:
  Symbol sym(std::string_view text) { return interner.intern(text); }
  model::Selector sel(std::string_view text) { return model::Selector::parse(text, interner).value(); }
  static base::IpAddress ip(std::string_view text) { return base::parse_address(text).value(); }
  static SetMember net(std::string_view text) { return {.prefix = base::parse_cidr(text).value()}; }

  model::Labels labels(std::initializer_list<std::pair<std::string_view, std::string_view>> pairs) {
    model::Labels labels;
    for (const auto& [name, value] : pairs) labels.push_back({sym(name), sym(value)});
    model::normalise(labels);
    return labels;
  }

  model::WorkloadEndpointKey key(std::string_view name) { return {sym("openstack"), std::string(name)}; }
  model::PolicyKey gnp(std::string_view name) { return {model::PolicyKind::kGlobalNetworkPolicy, {}, sym(name)}; }

  void workload(std::string_view name, std::string_view node, std::string_view address, model::Labels with,
                std::vector<Symbol> profiles = {}) {
    model::WorkloadEndpoint value;
    value.node = sym(node);
    value.membership = {std::move(with), std::move(profiles), {ip(address)}, {}};
    if (node == "here") {
      auto interface = std::make_shared<model::WorkloadInterface>();
      interface->name = "tap-" + std::string(name);
      interface->addresses = value.membership.addresses;
      value.interface = std::move(interface);
    }
    calculator.update(model::WorkloadEndpointChange{key(name), value});
  }
  void delete_workload(std::string_view name) {
    calculator.update(model::WorkloadEndpointChange{key(name), std::nullopt});
  }

  model::Policy policy(std::string_view selector, std::string_view source = "") {
    model::Policy value;
    value.tier = sym("default");
    value.selector = sel(selector);
    if (!source.empty()) {
      value.ingress.emplace_back();
      value.ingress[0].source.selector = sel(source);
    }
    return value;
  }
  void put(const model::PolicyKey& policy_key, const model::Policy& value) {
    calculator.update(model::PolicyChange{policy_key, value});
  }

  // Flushes, and keeps both the change and the accumulated state.
  Changes flush() {
    const auto output = calculator.flush();
    if (!output) return {};
    apply(state, *output);
    if (const auto* snapshot = std::get_if<Snapshot>(&*output)) return snapshot->all;
    return std::get<Delta>(*output).changes;
  }
  void start() {
    calculator.in_sync();
    ASSERT_TRUE(calculator.flush().has_value());
  }
  const LocalWorkload& local(std::string_view name) { return *state.workloads.at(key(name)); }

  base::Interner interner;
  Calculator calculator{"here"};
  State state;
};

TEST_F(CalculatorTest, NothingComesOutBeforeTheDatastoreIsInSync) {
  workload("w", "here", "10.0.0.1", {});
  EXPECT_FALSE(calculator.flush().has_value());
  calculator.in_sync();
  const auto first = calculator.flush();
  ASSERT_TRUE(first.has_value());
  ASSERT_TRUE(std::holds_alternative<Snapshot>(*first));
  EXPECT_THAT(std::get<Snapshot>(*first).all.workloads, SizeIs(1));
  EXPECT_FALSE(calculator.flush().has_value()) << "nothing changed";
}

TEST_F(CalculatorTest, EmptyDatastoreStillGivesASnapshot) {
  calculator.in_sync();
  const auto first = calculator.flush();
  ASSERT_TRUE(first.has_value());
  EXPECT_TRUE(std::get<Snapshot>(*first).all.empty());
}

TEST_F(CalculatorTest, PolicyIsProgrammedOnlyWhereItSelectsSomething) {
  start();
  put(gnp("web"), policy("role == 'web'", "role == 'client'"));
  workload("client", "there", "10.0.1.1", labels({{"role", "client"}}));
  EXPECT_TRUE(flush().empty()) << "the policy selects nothing on this host";

  workload("web", "here", "10.0.0.1", labels({{"role", "web"}}));
  const Changes active = flush();
  EXPECT_THAT(active.policies, SizeIs(1));
  ASSERT_THAT(active.sets_created, SizeIs(1));
  EXPECT_THAT(active.sets_created.begin()->second.members, ElementsAre(net("10.0.1.1/32")));
  EXPECT_EQ(active.sets_created.begin()->first, sel("role == 'client'").unique_id());

  delete_workload("web");
  const Changes gone = flush();
  EXPECT_THAT(gone.policies_removed, ElementsAre(gnp("web")));
  EXPECT_THAT(gone.sets_removed, SizeIs(1));
  EXPECT_THAT(gone.workloads_removed, SizeIs(1));
}

TEST_F(CalculatorTest, SharedAddressStaysUntilItsLastOwnerGoes) {
  start();
  put(gnp("p"), policy("all()", "role == 'db'"));
  workload("w", "here", "10.0.0.1", {});
  workload("old", "there", "10.0.1.1", labels({{"role", "db"}}));
  flush();
  // A live migration: the same address on two hosts for a while.
  workload("new", "elsewhere", "10.0.1.1", labels({{"role", "db"}}));
  EXPECT_TRUE(flush().empty());
  delete_workload("old");
  EXPECT_TRUE(flush().empty());
  delete_workload("new");
  const Changes changes = flush();
  ASSERT_THAT(changes.sets_changed, SizeIs(1));
  EXPECT_THAT(changes.sets_changed.begin()->second.removed, ElementsAre(net("10.0.1.1/32")));
}

TEST_F(CalculatorTest, MemberThatLeavesAndReturnsBetweenFlushesIsNoChange) {
  start();
  put(gnp("p"), policy("all()", "role == 'db'"));
  workload("w", "here", "10.0.0.1", {});
  workload("db", "there", "10.0.1.1", labels({{"role", "db"}}));
  flush();
  delete_workload("db");
  workload("db", "there", "10.0.1.1", labels({{"role", "db"}}));
  EXPECT_TRUE(flush().empty());
}

TEST_F(CalculatorTest, ReplacedPolicyKeepsItsSet) {
  start();
  put(gnp("p"), policy("all()", "role == 'db'"));
  workload("w", "here", "10.0.0.1", {});
  flush();
  calculator.update(model::PolicyChange{gnp("p"), std::nullopt});
  put(gnp("q"), policy("all()", "role == 'db'"));
  const Changes changes = flush();
  EXPECT_THAT(changes.sets_created, IsEmpty());
  EXPECT_THAT(changes.sets_removed, IsEmpty());
  EXPECT_THAT(changes.policies_removed, ElementsAre(gnp("p")));
}

TEST_F(CalculatorTest, RuleChangeDoesNotResendEndpoints) {
  start();
  put(gnp("p"), policy("all()", "role == 'db'"));
  workload("w", "here", "10.0.0.1", {});
  flush();
  put(gnp("p"), policy("all()", "role == 'web'"));
  const Changes changes = flush();
  EXPECT_THAT(changes.policies, SizeIs(1));
  EXPECT_THAT(changes.workloads, IsEmpty());
}

TEST_F(CalculatorTest, OrderChangeDoesNotResendPolicies) {
  start();
  workload("w", "here", "10.0.0.1", {});
  model::Policy value = policy("all()");
  value.order = 1;
  put(gnp("a"), value);
  value.order = 2;
  put(gnp("b"), value);
  flush();
  EXPECT_THAT(local("w").tiers.at(0).ingress, ElementsAre(gnp("a"), gnp("b")));
  value.order = 0;
  put(gnp("b"), value);
  const Changes changes = flush();
  EXPECT_THAT(changes.policies, IsEmpty());
  EXPECT_THAT(local("w").tiers.at(0).ingress, ElementsAre(gnp("b"), gnp("a")));
}

TEST_F(CalculatorTest, TiesAreBrokenByNameNamespaceKindAsOneText) {
  start();
  workload("w", "here", "10.0.0.1", {});
  // '-' sorts before '/', so "a-b" comes before "a", and '0' after.
  for (const char* name : {"a0", "a", "a-b"}) put(gnp(name), policy("all()"));
  flush();
  EXPECT_THAT(local("w").tiers.at(0).ingress, ElementsAre(gnp("a-b"), gnp("a"), gnp("a0")));
}

TEST_F(CalculatorTest, TiersByOrderThenMissingOnesWhichDeny) {
  start();
  workload("w", "here", "10.0.0.1", {});
  for (const char* tier : {"absent", "late", "early", "unordered"}) {
    model::Policy value = policy("all()");
    value.tier = sym(tier);
    put(gnp(tier), value);
  }
  calculator.update(model::TierChange{{sym("late")}, model::Tier{20, model::TierAction::kPass}});
  calculator.update(model::TierChange{{sym("early")}, model::Tier{10, model::TierAction::kDeny}});
  calculator.update(model::TierChange{{sym("unordered")}, model::Tier{std::nullopt, model::TierAction::kPass}});
  flush();
  std::vector<std::string_view> names;
  for (const TierPolicies& tier : local("w").tiers) names.push_back(tier.tier.view());
  EXPECT_THAT(names, ElementsAre("early", "late", "unordered", "absent"));
  EXPECT_EQ(local("w").tiers.at(1).default_action, model::TierAction::kPass);
  EXPECT_EQ(local("w").tiers.at(3).default_action, model::TierAction::kDeny);

  calculator.update(model::TierChange{{sym("late")}, std::nullopt});
  flush();
  EXPECT_EQ(local("w").tiers.at(3).tier.view(), "late");
  EXPECT_EQ(local("w").tiers.at(3).default_action, model::TierAction::kDeny) << "a deleted tier must not stay open";
}

TEST_F(CalculatorTest, MissingProfileDeniesAndIsReported) {
  start();
  workload("w", "here", "10.0.0.1", {}, {sym("gone"), sym("projectcalico-default-allow")});
  flush();
  const ActiveProfile& gone = *state.profiles.at(sym("gone"));
  ASSERT_THAT(gone.ingress, SizeIs(1));
  EXPECT_EQ(gone.ingress[0].action, model::RuleAction::kDeny);
  EXPECT_EQ(gone.egress.at(0).action, model::RuleAction::kDeny);
  EXPECT_EQ(state.profiles.at(sym("projectcalico-default-allow"))->ingress.at(0).action, model::RuleAction::kAllow);
  ASSERT_THAT(calculator.problems(), SizeIs(1));
  EXPECT_EQ(calculator.problems()[0].object, "Profile(gone)");

  calculator.update(model::ProfileChange{{sym("gone")}, model::Profile{}});
  flush();
  EXPECT_THAT(state.profiles.at(sym("gone"))->ingress, IsEmpty());
  EXPECT_THAT(calculator.problems(), IsEmpty());
}

TEST_F(CalculatorTest, TwoEndpointsWithOneAddressOrInterfaceAreReported) {
  start();
  workload("a", "here", "10.0.0.1", {});
  workload("b", "here", "10.0.0.1", {});
  workload("c", "there", "10.0.0.1", {});  // normal during a migration
  flush();
  ASSERT_THAT(calculator.problems(), SizeIs(1));
  EXPECT_EQ(calculator.problems()[0].object, "WorkloadEndpoint(openstack/a)");
  EXPECT_THAT(calculator.problems()[0].text, HasSubstr("10.0.0.1"));
  EXPECT_THAT(calculator.problems()[0].text, HasSubstr("WorkloadEndpoint(openstack/b)"));
  EXPECT_THAT(state.workloads, SizeIs(2)) << "both are still programmed";
  delete_workload("b");
  flush();
  EXPECT_THAT(calculator.problems(), IsEmpty());
}

TEST_F(CalculatorTest, LabelsComeFromTheFirstProfileThatHasThem) {
  start();
  put(gnp("p"), policy("all()", "team == 'red'"));
  workload("w", "here", "10.0.0.1", {});
  model::Profile red, blue;
  red.labels_to_apply = labels({{"team", "red"}});
  blue.labels_to_apply = labels({{"team", "blue"}});
  calculator.update(model::ProfileChange{{sym("red")}, red});
  calculator.update(model::ProfileChange{{sym("blue")}, blue});
  workload("first-red", "there", "10.0.1.1", {}, {sym("red"), sym("blue")});
  workload("first-blue", "there", "10.0.1.2", {}, {sym("blue"), sym("red")});
  workload("own", "there", "10.0.1.3", labels({{"team", "green"}}), {sym("red")});
  flush();
  EXPECT_THAT(state.sets.begin()->second.members, ElementsAre(net("10.0.1.1/32")));
  calculator.update(model::ProfileChange{{sym("blue")}, red});
  flush();
  EXPECT_THAT(state.sets.begin()->second.members, ElementsAre(net("10.0.1.1/32"), net("10.0.1.2/32")));
}

TEST_F(CalculatorTest, CatchAllNetworksAreHalved) {
  start();
  put(gnp("p"), policy("all()", "kind == 'any'"));
  workload("w", "here", "10.0.0.1", {});
  model::NetworkSet any;
  any.labels = labels({{"kind", "any"}});
  any.nets = {net("0.0.0.0/0").prefix, net("::/0").prefix};
  calculator.update(model::NetworkSetChange{{{}, sym("any")}, any});
  flush();
  EXPECT_THAT(state.sets.begin()->second.members,
              ElementsAre(net("0.0.0.0/1"), net("128.0.0.0/1"), net("::/1"), net("8000::/1")));
}

TEST_F(CalculatorTest, HostEndpointPoliciesAreSplitByKind) {
  start();
  model::HostEndpoint hep;
  hep.node = sym("here");
  hep.interface_name = "eth0";
  calculator.update(model::HostEndpointChange{{sym("hep")}, hep});
  model::Policy normal = policy("all()"), forward = policy("all()"), untracked = policy("all()"),
                pre_dnat = policy("all()");
  forward.apply_on_forward = true;
  untracked.do_not_track = untracked.pre_dnat = untracked.apply_on_forward = true;
  pre_dnat.pre_dnat = pre_dnat.apply_on_forward = true;
  put(gnp("1-normal"), normal);
  put(gnp("2-forward"), forward);
  put(gnp("3-untracked"), untracked);
  put(gnp("4-pre-dnat"), pre_dnat);
  flush();
  const LocalHostEndpoint& endpoint = *state.host_endpoints.at({sym("hep")});
  EXPECT_THAT(endpoint.tiers.at(0).ingress, ElementsAre(gnp("1-normal"), gnp("2-forward")));
  EXPECT_THAT(endpoint.forward_tiers.at(0).ingress, ElementsAre(gnp("2-forward")));
  EXPECT_THAT(endpoint.untracked_tiers.at(0).ingress, ElementsAre(gnp("3-untracked")));
  EXPECT_EQ(endpoint.untracked_tiers.at(0).default_action, model::TierAction::kPass);
  EXPECT_THAT(endpoint.pre_dnat_tiers.at(0).ingress, ElementsAre(gnp("4-pre-dnat")));
  EXPECT_THAT(endpoint.pre_dnat_tiers.at(0).egress, IsEmpty());
}

TEST_F(CalculatorTest, StagedPoliciesAreListedButHaveNoRules) {
  start();
  workload("w", "here", "10.0.0.1", {});
  const model::PolicyKey staged{model::PolicyKind::kStagedGlobalNetworkPolicy, {}, sym("try")};
  put(staged, policy("all()", "role == 'db'"));
  flush();
  EXPECT_THAT(local("w").tiers.at(0).ingress, ElementsAre(staged));
  EXPECT_EQ(state.policies.at(staged)->selector, "all()");
  EXPECT_THAT(state.policies.at(staged)->ingress, IsEmpty());
  EXPECT_THAT(state.sets, IsEmpty());
}

TEST_F(CalculatorTest, PolicyNeededEverywhereIsProgrammedWithoutEndpoints) {
  start();
  model::Policy value = policy("role == 'nobody'");
  value.needed_on_every_node = true;
  put(gnp("p"), value);
  EXPECT_TRUE(flush().policies.at(gnp("p"))->force_programmed);
  value.needed_on_every_node = false;
  put(gnp("p"), value);
  EXPECT_THAT(flush().policies_removed, ElementsAre(gnp("p")));
}

TEST_F(CalculatorTest, EndpointThatMovesAwayIsRemovedButStaysAMember) {
  start();
  put(gnp("p"), policy("all()", "role == 'db'"));
  workload("w", "here", "10.0.0.1", {});
  workload("db", "here", "10.0.0.2", labels({{"role", "db"}}));
  flush();
  workload("db", "there", "10.0.0.2", labels({{"role", "db"}}));
  const Changes changes = flush();
  EXPECT_THAT(changes.workloads_removed, ElementsAre(key("db")));
  EXPECT_THAT(changes.sets_changed, IsEmpty());
}

TEST_F(CalculatorTest, PoolOfLowestNameCounts) {
  start();
  model::IpPool pool;
  pool.cidr = net("10.0.0.0/16").prefix;
  calculator.update(model::IpPoolChange{{"b"}, pool});
  flush();
  pool.nat_outgoing = true;
  calculator.update(model::IpPoolChange{{"c"}, pool});
  EXPECT_TRUE(flush().empty());
  calculator.update(model::IpPoolChange{{"b"}, std::nullopt});
  EXPECT_TRUE(flush().pools.at(pool.cidr).nat_outgoing);
}

TEST_F(CalculatorTest, HostsAreThoseThatNodesAndEndpointsName) {
  const auto node = [&](std::string_view name, bool address) {
    model::Node value;
    if (address) value.host_ipv4 = ip("192.0.2.1");
    calculator.update(model::NodeChange{{sym(name)}, value});
  };
  workload("a", "here", "10.0.0.1", {});
  workload("b", "there", "10.0.0.2", {});
  workload("c", "there", "10.0.0.3", {});
  EXPECT_EQ(calculator.counts().hosts, 2u);
  node("there", true);
  node("else", true);
  node("nowhere", false);
  EXPECT_EQ(calculator.counts().hosts, 3u) << "a node without an address is none";
  workload("b", "fourth", "10.0.0.2", {});
  EXPECT_EQ(calculator.counts().hosts, 4u) << "same membership, another host";
  delete_workload("b");
  delete_workload("c");
  EXPECT_EQ(calculator.counts().hosts, 3u) << "there is still a Node";
  node("there", false);
  EXPECT_EQ(calculator.counts().hosts, 2u);

  calculator.resync_begin();
  workload("a", "here", "10.0.0.1", {});
  calculator.resync_end();
  EXPECT_EQ(calculator.counts().hosts, 1u);
}

// The numbers of Calico's own test of these metrics, and what follows from its strategies.
TEST_F(CalculatorTest, TheIndexCountsWhatItEvaluatesAndHowItSearches) {
  const auto scans = [&](IndexScan scan) { return calculator.index_work().scans[static_cast<std::size_t>(scan)]; };
  start();
  calculator.update(model::ProfileChange{{sym("red")}, model::Profile{{}, {}, labels({{"colour", "red"}})}});
  workload("w0", "here", "10.0.0.1", labels({{"foo", "0"}}), {sym("red")});
  workload("w1", "here", "10.0.0.2", labels({{"foo", "1"}}));
  put(gnp("p"), policy("all()", "foo == '0'"));
  flush();
  EXPECT_EQ(scans(IndexScan::kEndpointSingleValue), 1u);
  EXPECT_EQ(calculator.index_work().matches, 1u);
  EXPECT_EQ(calculator.index_work().misses, 0u);
  EXPECT_EQ(calculator.index_work().filed, 1u);
  EXPECT_EQ(calculator.index_work().unfiled, 0u);

  put(gnp("p2"), policy("all()", "!has(foo)"));
  flush();
  EXPECT_EQ(scans(IndexScan::kEndpointFullScan), 1u);
  EXPECT_EQ(calculator.index_work().misses, 2u);
  EXPECT_EQ(calculator.index_work().unfiled, 1u);

  put(gnp("p3"), policy("all()", "foo in {'0', '1'}"));
  put(gnp("p4"), policy("all()", "has(foo)"));
  put(gnp("p5"), policy("all()", "colour == 'red'"));
  put(gnp("p6"), policy("all()", "has(nobody)"));
  flush();
  EXPECT_EQ(scans(IndexScan::kEndpointMultiValue), 1u);
  EXPECT_EQ(scans(IndexScan::kEndpointLabelName), 1u);
  EXPECT_EQ(scans(IndexScan::kParentSingleValue), 1u);
  EXPECT_EQ(calculator.index_work().filed, 5u);
  for (const char* name : {"p", "p2", "p3", "p4", "p5", "p6"}) {
    calculator.update(model::PolicyChange{gnp(name), std::nullopt});
  }
  flush();
  EXPECT_EQ(calculator.index_work().filed, 0u);
  EXPECT_EQ(calculator.index_work().unfiled, 0u);
}

TEST_F(CalculatorTest, ServiceRangesAreThoseOfTheDefaultConfiguration) {
  start();
  const auto configuration = [](std::string name, std::string_view cidr) {
    return model::DocumentChange{
        {model::DocumentKind::kBgpConfiguration, std::move(name)},
        std::make_shared<const boost::json::object>(boost::json::object{
            {"spec", {{"serviceClusterIPs", boost::json::array{boost::json::object{{"cidr", cidr}}}}}}})};
  };
  calculator.update(configuration("node.here", "10.97.0.0/16"));
  EXPECT_TRUE(flush().empty());
  calculator.update(configuration("default", "10.96.0.0/12"));
  EXPECT_THAT(flush().service_ranges, testing::Optional(ElementsAre(net("10.96.0.0/12").prefix)));
  calculator.update(configuration("default", "10.96.0.0/12"));
  EXPECT_TRUE(flush().empty());

  calculator.resync_begin();
  calculator.keep(configuration("default", "0.0.0.0/0"));  // refused: what was known stays
  calculator.resync_end();
  EXPECT_TRUE(flush().empty());
  calculator.resync_begin();
  calculator.resync_end();
  EXPECT_THAT(flush().service_ranges, testing::Optional(IsEmpty()));
  EXPECT_TRUE(state.service_ranges.empty());
}

TEST_F(CalculatorTest, ResyncErasesOnlyWhatIsNotSeenAgain) {
  start();
  put(gnp("p"), policy("all()", "role == 'db'"));
  workload("w", "here", "10.0.0.1", {});
  workload("db1", "there", "10.0.1.1", labels({{"role", "db"}}));
  workload("db2", "there", "10.0.1.2", labels({{"role", "db"}}));
  flush();
  calculator.resync_begin();
  put(gnp("p"), policy("all()", "role == 'db'"));
  workload("w", "here", "10.0.0.1", {});
  EXPECT_TRUE(flush().empty()) << "half a resync removes nothing";
  workload("db2", "there", "10.0.1.2", labels({{"role", "db"}}));
  calculator.resync_end();
  const Changes changes = flush();
  ASSERT_THAT(changes.sets_changed, SizeIs(1));
  EXPECT_THAT(changes.sets_changed.begin()->second.removed, ElementsAre(net("10.0.1.1/32")));
  EXPECT_THAT(changes.policies, IsEmpty());
  EXPECT_THAT(changes.workloads, IsEmpty());
}

}  // namespace
}  // namespace calc
