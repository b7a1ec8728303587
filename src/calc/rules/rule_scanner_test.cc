#include "calc/rules/rule_scanner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "calc/rules/stored_rules.h"

namespace calc {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class RuleScannerTest : public testing::Test {
 protected:
  model::Selector sel(std::string_view text) { return model::Selector::parse(text, interner).value(); }
  model::Port named(std::string_view name) { return {0, 0, interner.intern(name)}; }
  Rule scan() { return scan_rule(rule, needed); }
  SetId combined_id(std::string_view text) { return sel(text).unique_id(); }

  base::Interner interner;
  model::Rule rule;
  std::vector<SetSpec> needed;
};

TEST_F(RuleScannerTest, IdsAreThoseOfTheSpecification) {
  rule.source.selector = sel("has(sg.projectcalico.org/openstack-a1b2)");
  rule.protocol = model::Protocol{interner.intern("tcp"), 6};
  rule.destination.ports = {named("http")};
  const Rule scanned = scan();
  EXPECT_THAT(scanned.source.sets, ElementsAre("s:F863tsEpw3q3tlQ0KYKpkmn29HL7myEhZ59S7w"));
  EXPECT_THAT(scanned.destination.port_sets, ElementsAre("n:cl9_Kgeu4H0OGLbhovVR3NBLUOZscKeMK1Mu4A"));
  EXPECT_THAT(scanned.destination.sets, IsEmpty());
}

TEST_F(RuleScannerTest, PositiveAndNegatedSelectorBecomeOneSet) {
  rule.source.selector = sel("a == 'b'");
  rule.source.not_selector = sel("has(c) || has(d)");
  const Rule scanned = scan();
  EXPECT_THAT(scanned.source.sets, ElementsAre(combined_id("(a == 'b') && (!(has(c) || has(d)))")));
  EXPECT_THAT(scanned.source.not_sets, IsEmpty());
  EXPECT_THAT(needed, SizeIs(1));
}

// The text of a doubly negated selector cannot be parsed back, so it must come from the parts.
TEST_F(RuleScannerTest, NegatedSelectorMayItselfBeANegation) {
  rule.source.selector = sel("a == 'b'");
  rule.source.not_selector = sel("!has(c)");
  scan();
  EXPECT_EQ(needed.at(0).condition.canonical(), "(a == \"b\" && !!has(c))");
}

TEST_F(RuleScannerTest, NegatedSelectorAloneIsANegatedSet) {
  rule.destination.not_selector = sel("a == 'b'");
  const Rule scanned = scan();
  EXPECT_THAT(scanned.destination.sets, IsEmpty());
  EXPECT_THAT(scanned.destination.not_sets, ElementsAre("s:flMh0m0X_BowkAK_W3j3MgH8oQOsj3WxGDoXCQ"));
}

TEST_F(RuleScannerTest, NamedPortsStandForTheSelectorUnlessNumbersAreThereToo) {
  rule.destination.selector = sel("a == 'b'");
  rule.destination.ports = {named("http")};
  EXPECT_THAT(scan().destination.sets, IsEmpty());
  rule.destination.ports.push_back({80, 81, {}});
  const Rule mixed = scan();
  EXPECT_THAT(mixed.destination.sets, SizeIs(1));
  EXPECT_THAT(mixed.destination.port_sets, SizeIs(1));
  EXPECT_THAT(mixed.destination.ports, ElementsAre(PortRange{80, 81}));
}

TEST_F(RuleScannerTest, NegatedNamedPortsUseThePositiveSelectorAndKeepItsSet) {
  rule.destination.selector = sel("a == 'b'");
  rule.destination.not_ports = {named("http")};
  const Rule scanned = scan();
  EXPECT_THAT(scanned.destination.sets, SizeIs(1));
  ASSERT_THAT(scanned.destination.not_port_sets, SizeIs(1));
  EXPECT_EQ(needed.at(0).condition.canonical(), "a == \"b\"");
  EXPECT_EQ(needed.at(0).port_protocol, 0) << "a rule without protocol means any";
}

TEST_F(RuleScannerTest, OddProtocolsLookUpTcpPorts) {
  rule.protocol = model::Protocol{{}, 47};
  rule.destination.ports = {named("http")};
  scan();
  EXPECT_EQ(needed.at(0).port_protocol, 6);
}

TEST_F(RuleScannerTest, ServiceMatchesNever) {
  rule.destination.service = "default/dns";
  EXPECT_TRUE(scan().never_matches);
}

TEST_F(RuleScannerTest, StoredRulesComeBackAsTheyWere) {
  rule.action = model::RuleAction::kPass;
  rule.ip_version = base::Family::kIpv6;
  rule.protocol = model::Protocol{interner.intern("tcp"), 6};
  rule.not_protocol = model::Protocol{{}, 255};
  rule.icmp = model::IcmpMatch{8, 0};
  rule.not_icmp = model::IcmpMatch{254, std::nullopt};
  rule.source.nets = {base::parse_cidr("10.0.0.0/8").value(), base::parse_cidr("fd00::/64").value()};
  rule.source.not_nets = {base::parse_cidr("::/0").value()};
  rule.source.selector = sel("has(a)");
  rule.destination.selector = sel("has(a)");
  rule.destination.not_selector = sel("has(b)");
  rule.destination.ports = {named("http"), {1, 65535, {}}};
  rule.destination.not_ports = std::vector<model::Port>(200, model::Port{7, 9, {}});  // a count of two bytes
  rule.destination.service = "ns/name";
  rule.annotations = {{"k", "v"}, {"long", std::string(300, 'x')}};
  const model::Rule empty;
  const StoredRules stored({rule, empty}, {empty});
  EXPECT_EQ(stored.read().ingress, (std::vector{rule, empty}));
  EXPECT_EQ(stored.read().egress, std::vector{empty});
  EXPECT_TRUE(stored == StoredRules({rule, empty}, {empty}));
  EXPECT_FALSE(stored == StoredRules({empty, rule}, {empty}));
  EXPECT_FALSE(stored == StoredRules({rule, empty, empty}, {}));
  EXPECT_FALSE(stored == StoredRules());
}

}  // namespace
}  // namespace calc
