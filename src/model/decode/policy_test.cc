#include "model/decode/decoder_fixture.h"
#include "model/decode/rewrite.h"

namespace model {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class PolicyTest : public DecoderFixture {
 protected:
  std::optional<Policy> policy(std::string_view path, std::string_view spec) {
    return decode<PolicyChange>(path, std::string("{\"spec\": ").append(spec).append("}"));
  }
  // A namespaced policy with one ingress rule.
  std::optional<Rule> rule(std::string_view members, std::string_view path = "networkpolicies/ns/p") {
    const auto found = policy(path, std::string("{\"ingress\": [{").append(members).append("}]}"));
    return found ? std::optional(found->ingress.at(0)) : std::nullopt;
  }
  static std::string text(const std::optional<Selector>& selector) { return selector ? selector->canonical() : "none"; }
};

// Exactly as the driver writes a security group (spec openstack §2.5): numbers and upper-case names as protocols, ports
// as numbers or ranges, addresses with host bits, no types, tier or order.
TEST_F(PolicyTest, SecurityGroupOfNeutron) {
  const auto p = decode<PolicyChange>("networkpolicies/openstack/ossg.default.aa11", R"j({"kind": "NetworkPolicy",
 "apiVersion": "projectcalico.org/v3", "metadata": {"name": "ossg.default.aa11", "namespace": "openstack",
  "creationTimestamp": "2026-01-15T10:20:30Z", "uid": "b7a2f6c0-0d6e-4f0e-9a53-6f1f4c7f0001"},
 "spec": {"ingress": [
   {"action": "Allow", "ipVersion": 4, "protocol": 6, "destination": {"ports": [22]},
    "source": {"selector": "has(sg.projectcalico.org/openstack-bb22)"}},
   {"action": "Allow", "ipVersion": 4, "protocol": "17", "destination": {"ports": ["8000:8001"]}, "source": {"nets": ["10.3.4.5/16"]}},
   {"action": "Allow", "ipVersion": 4, "protocol": "ICMP", "icmp": {"type": 8, "code": 0}},
   {"action": "Allow", "ipVersion": 6, "protocol": "ICMPv6", "icmp": {"type": 128}},
   {"action": "Allow", "ipVersion": 4, "protocol": "112"}],
  "egress": [{"action": "Allow", "ipVersion": 4}, {"action": "Allow", "ipVersion": 6, "protocol": 132,
     "destination": {"ports": [7], "nets": ["fd00::1/64"]}}],
  "selector": "has(sg.projectcalico.org/openstack-aa11)"}})j");
  ASSERT_TRUE(p) << diagnostics();
  EXPECT_EQ(std::get<PolicyChange>(last.updates[0]).key,
            (PolicyKey{PolicyKind::kNetworkPolicy, symbol("openstack"), symbol("ossg.default.aa11")}));
  EXPECT_EQ(p->tier, symbol("default"));
  EXPECT_EQ(p->order, std::nullopt);
  EXPECT_TRUE(p->applies_to_ingress);
  EXPECT_TRUE(p->applies_to_egress);
  EXPECT_EQ(p->selector.canonical(),
            "(has(sg.projectcalico.org/openstack-aa11) && projectcalico.org/namespace == \"openstack\")");

  ASSERT_EQ(p->ingress.size(), 5u);
  EXPECT_EQ(p->ingress[0].action, RuleAction::kAllow);
  EXPECT_EQ(p->ingress[0].ip_version, base::Family::kIpv4);
  EXPECT_EQ(p->ingress[0].protocol, (Protocol{{}, 6}));
  EXPECT_THAT(p->ingress[0].destination.ports, ElementsAre(Port{22, 22, {}}));
  EXPECT_EQ(text(p->ingress[0].source.selector),
            "(projectcalico.org/namespace == \"openstack\" && has(sg.projectcalico.org/openstack-bb22))");
  EXPECT_EQ(text(p->ingress[0].destination.selector), "none");
  EXPECT_EQ(p->ingress[1].protocol, (Protocol{{}, 17}));
  EXPECT_THAT(p->ingress[1].destination.ports, ElementsAre(Port{8000, 8001, {}}));
  EXPECT_THAT(p->ingress[1].source.nets, ElementsAre(cidr("10.3.0.0/16")));
  EXPECT_EQ(text(p->ingress[1].source.selector), "none");
  EXPECT_EQ(p->ingress[2].protocol, (Protocol{symbol("icmp"), 1}));
  EXPECT_EQ(p->ingress[2].icmp, (IcmpMatch{8, 0}));
  EXPECT_EQ(p->ingress[3].protocol, (Protocol{symbol("icmpv6"), 58}));
  EXPECT_EQ(p->ingress[3].icmp, (IcmpMatch{128, std::nullopt}));
  EXPECT_EQ(p->ingress[4].protocol, (Protocol{{}, 112}));
  ASSERT_EQ(p->egress.size(), 2u);
  EXPECT_EQ(p->egress[1].protocol, (Protocol{{}, 132}));
  EXPECT_THAT(p->egress[1].destination.nets, ElementsAre(cidr("fd00::/64")));
}

TEST_F(PolicyTest, GlobalPolicyOfTheCommandLine) {
  const auto p = decode<PolicyChange>("globalnetworkpolicies/allow-ssh", R"j({"kind":"GlobalNetworkPolicy",
"apiVersion":"projectcalico.org/v3","metadata":{"name":"other","labels":{"projectcalico.org/tier":"default"},
"annotations":{"projectcalico.org/metadata":"{\"name\":\"allow-ssh\"}"}},"spec":{"tier":"security","order":100.5,
"ingress":[{"action":"Allow","protocol":"TCP","source":{},"destination":{"ports":[22,"http"]},
"metadata":{"annotations":{"b":"2","a":"1"}}}],"selector":"role == \"bastion\"","types":["Ingress"],"doNotTrack":true,
"preDNAT":false,"applyOnForward":true,"performanceHints":["AssumeNeededOnEveryNode"]}})j");
  ASSERT_TRUE(p) << diagnostics();
  EXPECT_EQ(std::get<PolicyChange>(last.updates[0]).key,
            (PolicyKey{PolicyKind::kGlobalNetworkPolicy, {}, symbol("allow-ssh")}));
  EXPECT_EQ(p->tier, symbol("security"));
  EXPECT_EQ(p->order, 100.5);
  EXPECT_EQ(p->selector.canonical(), "role == \"bastion\"");
  EXPECT_TRUE(p->applies_to_ingress);
  EXPECT_FALSE(p->applies_to_egress);
  EXPECT_TRUE(p->do_not_track);
  EXPECT_FALSE(p->pre_dnat);
  EXPECT_TRUE(p->apply_on_forward);
  EXPECT_TRUE(p->needed_on_every_node);
  EXPECT_EQ(p->ingress.at(0).protocol, (Protocol{symbol("tcp"), 6}));
  EXPECT_THAT(p->ingress[0].destination.ports, ElementsAre(Port{22, 22, {}}, Port{0, 0, symbol("http")}));
  EXPECT_THAT(p->ingress[0].annotations, ElementsAre(std::pair("a", "1"), std::pair("b", "2")));
}

TEST_F(PolicyTest, NamespacedPoliciesHaveNoGlobalMembers) {
  const auto p = policy("networkpolicies/ns/p", R"j({"doNotTrack": true, "preDNAT": true, "applyOnForward": true,
                                                    "namespaceSelector": "has(x)", "types": ["Egress"]})j");
  ASSERT_TRUE(p);
  EXPECT_FALSE(p->do_not_track || p->pre_dnat || p->apply_on_forward || p->applies_to_ingress);
  EXPECT_TRUE(p->applies_to_egress);
  EXPECT_EQ(p->selector.canonical(), "projectcalico.org/namespace == \"ns\"");
}

TEST_F(PolicyTest, StagedKinds) {
  EXPECT_TRUE(policy("stagednetworkpolicies/ns/p", R"j({"stagedAction": "Set"})j"));
  EXPECT_EQ(std::get<PolicyChange>(last.updates[0]).key.kind, PolicyKind::kStagedNetworkPolicy);
  EXPECT_FALSE(policy("stagedglobalnetworkpolicies/p", R"j({"stagedAction": "Delete", "selector": "("})j"));
  EXPECT_EQ(std::get<PolicyChange>(last.updates[0]).key.kind, PolicyKind::kStagedGlobalNetworkPolicy);
  EXPECT_EQ(diagnostics(), "");
}

struct SelectorCase {
  std::string_view path, spec, selector;
};

TEST_F(PolicyTest, SelectorsAreRewritten) {
  const SelectorCase kCases[] = {
      {"networkpolicies/ns/p", R"j({})j", "projectcalico.org/namespace == \"ns\""},
      {"networkpolicies/ns/p", R"j({"selector": "  "})j", "projectcalico.org/namespace == \"ns\""},
      {"networkpolicies/ns/p", R"j({"selector": "all()"})j", "(all() && projectcalico.org/namespace == \"ns\")"},
      {"networkpolicies/ns/p", R"j({"selector": "a == 'b' || has(c)"})j",
       "((a == \"b\" || has(c)) && projectcalico.org/namespace == \"ns\")"},
      {"networkpolicies/ns/p", R"j({"selector": "has(a)", "serviceAccountSelector": "has(b) && all()"})j",
       "((has(a) && projectcalico.org/namespace == \"ns\") && (has(pcsa.b) && all()))"},
      {"networkpolicies/ns/p", R"j({"serviceAccountSelector": "has(b)"})j",
       "(projectcalico.org/namespace == \"ns\" && has(pcsa.b))"},
      {"globalnetworkpolicies/p", R"j({})j", "all()"},
      {"globalnetworkpolicies/p", R"j({"selector": "has(a)"})j", "has(a)"},
      {"globalnetworkpolicies/p", R"j({"namespaceSelector": "has(x) || all()"})j",
       "(has(pcns.x) || has(projectcalico.org/namespace))"},
      {"globalnetworkpolicies/p", R"j({"selector": "all()", "namespaceSelector": "x == 'y'"})j",
       "(has(projectcalico.org/namespace) && pcns.x == \"y\")"},
      {"globalnetworkpolicies/p", R"j({"selector": "has(a)", "namespaceSelector": "all()"})j",
       "(has(a) && has(projectcalico.org/namespace))"},
      {"globalnetworkpolicies/p", R"j({"selector": "has(a)", "serviceAccountSelector": "all()"})j",
       "(has(a) && has(projectcalico.org/serviceaccount))"},
      {"globalnetworkpolicies/p",
       R"j({"selector": "has(a)", "namespaceSelector": "has(b)", "serviceAccountSelector": "has(c)"})j",
       "((has(a) && has(pcns.b)) && has(pcsa.c))"},
      {"networkpolicies/it's/p", R"j({"selector": "has(a)"})j", "(has(a) && projectcalico.org/namespace == \"it's\")"},
  };
  for (const SelectorCase& c : kCases) {
    const auto p = policy(c.path, c.spec);
    ASSERT_TRUE(p) << c.spec << diagnostics();
    EXPECT_EQ(p->selector.canonical(), c.selector) << c.spec;
  }
}

TEST_F(PolicyTest, LineFeedsInSelectorsAreAnErrorAsElsewhere) {
  EXPECT_FALSE(policy("networkpolicies/ns/p", R"j({"selector": "has(a)\n"})j"));
  EXPECT_FALSE(policy("networkpolicies/ns/p", R"j({"selector": "\n"})j"));
}

TEST_F(PolicyTest, SelectorsCannotEscapeFromTheirNamespace) {
  EXPECT_FALSE(policy("networkpolicies/ns/p", R"j({"selector": "has(a)) || (has(b)"})j"));
  EXPECT_EQ(last.diagnostics.at(0).field, "spec.selector");
  EXPECT_FALSE(rule(R"j("action": "Allow", "source": {"selector": "has(a)) || (has(b)"})j"));
  EXPECT_EQ(last.diagnostics.at(0).field, "spec.ingress[0].source.selector");
  EXPECT_FALSE(policy("networkpolicies/a' || all() || b == \"/p", "{}"));
  EXPECT_THAT(diagnostics(), HasSubstr("both kinds of quotes"));
}

// Upstream drops a namespace selector that does not parse, which would widen the policy.
TEST_F(PolicyTest, BadSelectorsRefuseThePolicy) {
  for (const char* member : {"selector", "namespaceSelector", "serviceAccountSelector"}) {
    EXPECT_FALSE(policy("globalnetworkpolicies/p", std::string("{\"") + member + "\": \"a =\"}")) << member;
    EXPECT_EQ(last.diagnostics.at(0).field, std::string("spec.") + member);
    EXPECT_THAT(diagnostics(), HasSubstr("position 2"));
  }
}

struct EntityCase {
  std::string_view entity, selector;
};

TEST_F(PolicyTest, EntitySelectorsInANamespace) {
  const EntityCase kCases[] = {
      {R"j({})j", "none"},
      {R"j({"nets": ["10.0.0.0/8"]})j", "none"},
      {R"j({"selector": "has(a)"})j", "(projectcalico.org/namespace == \"ns\" && has(a))"},
      {R"j({"notSelector": "has(a)"})j", "projectcalico.org/namespace == \"ns\""},
      {R"j({"namespaceSelector": "has(a)"})j", "has(pcns.a)"},
      {R"j({"namespaceSelector": "all()"})j", "has(projectcalico.org/namespace)"},
      {R"j({"namespaceSelector": "global()"})j", "!has(projectcalico.org/namespace)"},
      {R"j({"namespaceSelector": "x == 'y'", "selector": "has(a)"})j", "(pcns.x == \"y\" && has(a))"},
      {R"j({"serviceAccounts": {"names": ["b", "a"]}})j",
       "(projectcalico.org/namespace == \"ns\" && projectcalico.org/serviceaccount in {\"a\", \"b\"})"},
      {R"j({"serviceAccounts": {"selector": "has(x)"}})j", "(projectcalico.org/namespace == \"ns\" && has(pcsa.x))"},
      {R"j({"serviceAccounts": {"names": ["a"], "selector": "has(x)"}, "selector": "has(y)"})j",
       "(projectcalico.org/namespace == \"ns\" && ((has(pcsa.x) && projectcalico.org/serviceaccount in {\"a\"}) && "
       "has(y)))"},
  };
  for (const EntityCase& c : kCases) {
    const auto found = rule(std::string(R"j("action": "Allow", "source": )j").append(c.entity));
    ASSERT_TRUE(found) << c.entity << diagnostics();
    EXPECT_EQ(text(found->source.selector), c.selector) << c.entity;
  }
}

TEST_F(PolicyTest, EntitySelectorsOfGlobalPoliciesAndProfiles) {
  constexpr std::string_view kRule =
      R"j("action": "Allow", "source": {"selector": "has(a)", "notSelector": "has(b)"})j";
  const auto global = rule(kRule, "globalnetworkpolicies/p");
  ASSERT_TRUE(global);
  EXPECT_EQ(text(global->source.selector), "has(a)");
  EXPECT_EQ(text(global->source.not_selector), "has(b)");
  const auto profile =
      decode<ProfileChange>("profiles/p", std::string(R"j({"spec": {"egress": [{)j").append(kRule).append("}]}}"));
  ASSERT_TRUE(profile);
  EXPECT_EQ(text(profile->egress.at(0).source.selector), "has(a)");
  const auto only_not = rule(R"j("action": "Deny", "source": {"notSelector": "has(b)"})j", "globalnetworkpolicies/p");
  EXPECT_EQ(text(only_not->source.selector), "none");
}

TEST_F(PolicyTest, Rules) {
  const auto all = rule(R"j("action": "pass", "ipVersion": 6, "notProtocol": "udplite", "protocol": "ICMPv6",
      "notICMP": {"type": 1, "code": 2}, "source": {"nets": ["fd00::/8"], "notNets": ["fd00:1::1"]},
      "destination": {"services": {"name": "dns", "namespace": "kube"}})j");
  ASSERT_TRUE(all) << diagnostics();
  EXPECT_EQ(all->action, RuleAction::kPass);
  EXPECT_EQ(all->not_protocol, (Protocol{symbol("udplite"), 136}));
  EXPECT_EQ(all->not_icmp, (IcmpMatch{1, 2}));
  EXPECT_THAT(all->source.nets, ElementsAre(cidr("fd00::/8")));
  EXPECT_THAT(all->source.not_nets, ElementsAre(cidr("fd00:1::1/128")));
  EXPECT_EQ(all->destination.service, "kube/dns");
  EXPECT_EQ(rule(R"j("action": "Log", "source": {"services": {"name": "dns"}})j")->source.service, "ns/dns");
  EXPECT_EQ(rule(R"j("action": "Deny", "source": null)j")->action, RuleAction::kDeny);
  EXPECT_EQ(rule(R"j("action": "Allow", "icmp": {})j")->icmp, std::nullopt);
  EXPECT_THAT(
      rule(R"j("action": "Allow", "destination": {"ports": ["http"], "notPorts": ["x"]})j")->destination.not_ports,
      ElementsAre(Port{0, 0, symbol("x")}));
}

TEST_F(PolicyTest, PortsAsTextOfDigits) {
  const auto found = rule(R"j("action": "Allow", "protocol": "TCP", "destination": {"ports": ["80", "080"]})j");
  ASSERT_TRUE(found) << diagnostics();
  EXPECT_THAT(found->destination.ports, ElementsAre(Port{80, 80, {}}, Port{80, 80, {}}));
  EXPECT_FALSE(rule(R"j("action": "Allow", "protocol": "TCP", "destination": {"ports": ["65536"]})j"));
}

// Alone it is just within the limit; joined with its namespace it is not.
TEST_F(PolicyTest, SelectorsThatNestTooDeepToBeJoinedRefuse) {
  const std::string deepest = std::string(256, '(') + "has(a)" + std::string(256, ')');
  EXPECT_TRUE(policy("globalnetworkpolicies/p", "{\"selector\": \"" + deepest + "\"}"));
  EXPECT_FALSE(policy("networkpolicies/ns/p", "{\"selector\": \"" + deepest + "\"}"));
  EXPECT_THAT(diagnostics(), HasSubstr("cannot be joined with its namespace"));
  EXPECT_FALSE(rule("\"action\": \"Allow\", \"source\": {\"selector\": \"" + deepest + "\"}"));
  EXPECT_EQ(last.diagnostics.at(0).field, "spec.ingress[0].source.selector");
}

// By number, an ICMP protocol does not say its family in the rendered rule, but the ICMP match needs one.
TEST_F(PolicyTest, NumericIcmpImpliesItsFamily) {
  EXPECT_EQ(rule(R"j("action": "Allow", "protocol": 1, "icmp": {"type": 8})j")->ip_version, base::Family::kIpv4);
  EXPECT_EQ(rule(R"j("action": "Allow", "protocol": 58, "notICMP": {"type": 8})j")->ip_version, base::Family::kIpv6);
  EXPECT_EQ(rule(R"j("action": "Allow", "protocol": 58)j")->ip_version, std::nullopt);
  EXPECT_EQ(rule(R"j("action": "Allow", "protocol": "ICMP", "icmp": {"type": 8})j")->ip_version, std::nullopt);
}

struct RefusedRule {
  std::string_view rule, field, text;
};

TEST_F(PolicyTest, RuleRefusals) {
  const RefusedRule kCases[] = {
      {R"j()j", ".action", "is not an action"},
      {R"j("action": "Reject")j", ".action", "'Reject' is not an action"},
      {R"j("action": "Allow", "ipVersion": 5)j", ".ipVersion", "use 4 or 6"},
      {R"j("action": "Allow", "ipVersion": "4")j", ".ipVersion", "wrong type"},
      {R"j("action": "Allow", "protocol": 0)j", ".protocol", "from 1 to 255"},
      {R"j("action": "Allow", "protocol": 256)j", ".protocol", "from 1 to 255"},
      {R"j("action": "Allow", "protocol": "0")j", ".protocol", "'0' is not a protocol"},
      {R"j("action": "Allow", "protocol": "256")j", ".protocol", "is not a protocol"},
      {R"j("action": "Allow", "protocol": "99999999999")j", ".protocol", "is not a protocol"},
      {R"j("action": "Allow", "protocol": "GRE")j", ".protocol", "is not a protocol"},
      {R"j("action": "Allow", "protocol": "")j", ".protocol", "is not a protocol"},
      {R"j("action": "Allow", "protocol": 6.5)j", ".protocol", "whole number"},
      {R"j("action": "Allow", "notProtocol": "x")j", ".notProtocol", "is not a protocol"},
      {R"j("action": "Allow", "protocol": "TCP", "destination": {"ports": [0]})j", ".destination.ports[0]",
       "from 1 to 65535"},
      {R"j("action": "Allow", "protocol": "TCP", "destination": {"ports": [65536]})j", ".destination.ports[0]",
       "from 1 to 65535"},
      {R"j("action": "Allow", "protocol": "TCP", "destination": {"ports": ["8:0"]})j", ".destination.ports[0]",
       "'8:0' is not a port"},
      {R"j("action": "Allow", "protocol": "TCP", "destination": {"ports": ["8:None"]})j", ".destination.ports[0]",
       "is not a port"},
      {R"j("action": "Allow", "protocol": "TCP", "destination": {"ports": ["0:5"]})j", ".destination.ports[0]",
       "is not a port"},
      {R"j("action": "Allow", "protocol": "TCP", "source": {"notPorts": ["a b"]})j", ".source.notPorts[0]",
       "is not a port"},
      {R"j("action": "Allow", "protocol": "TCP", "source": {"ports": [null]})j", ".source.ports[0]", "is null"},
      {R"j("action": "Allow", "destination": {"ports": [80]})j", "", "numeric ports but no protocol"},
      {R"j("action": "Allow", "protocol": "UDPLite", "destination": {"ports": [80]})j", "",
       "ports with a protocol that has none"},
      {R"j("action": "Allow", "protocol": 33, "source": {"notPorts": [80]})j", "",
       "ports with a protocol that has none"},
      {R"j("action": "Allow", "protocol": "ICMP", "source": {"ports": ["http"]})j", "",
       "ports with a protocol that has none"},
      {R"j("action": "Allow", "protocol": "ICMP", "icmp": {"type": 255})j", ".icmp.type", "from 0 to 254"},
      {R"j("action": "Allow", "protocol": "ICMP", "icmp": {"type": 3, "code": 256})j", ".icmp.code", "from 0 to 255"},
      {R"j("action": "Allow", "protocol": "ICMP", "icmp": {"code": 0})j", ".icmp", "a code but no type"},
      {R"j("action": "Allow", "icmp": {"type": 8})j", "", "ICMP match without an ICMP protocol"},
      {R"j("action": "Allow", "notICMP": {"type": 8})j", "", "ICMP match without an ICMP protocol"},
      {R"j("action": "Allow", "protocol": "ICMP", "ipVersion": 6, "icmp": {"type": 8})j", "", "other IP version"},
      {R"j("action": "Allow", "source": {"nets": ["10.0.0.0/33"]})j", ".source.nets[0]", "is not a CIDR"},
      {R"j("action": "Allow", "source": {"nets": [null]})j", ".source.nets[0]", "is null"},
      {R"j("action": "Allow", "destination": {"notNets": ["x"]})j", ".destination.notNets[0]", "is not a CIDR"},
      {R"j("action": "Allow", "source": {"selector": "a"})j", ".source.selector", "is not a selector"},
      {R"j("action": "Allow", "source": {"notSelector": "a"})j", ".source.notSelector", "is not a selector"},
      {R"j("action": "Allow", "source": {"namespaceSelector": "a"})j", ".source.namespaceSelector",
       "is not a selector"},
      {R"j("action": "Allow", "source": {"serviceAccounts": {"selector": "a"}})j", ".source.serviceAccounts.selector",
       "is not a selector"},
      {R"j("action": "Allow", "source": {"serviceAccounts": {"names": ["'\""]}})j", ".source.serviceAccounts.names[0]",
       "quotes"},
      {R"j("action": "Allow", "source": {"services": {}})j", ".source.services", "has no name"},
      {R"j("action": "Allow", "http": {"methods": ["GET"]})j", ".http", "cannot be enforced"},
  };
  for (const RefusedRule& c : kCases) {
    EXPECT_FALSE(rule(c.rule)) << c.rule;
    ASSERT_GE(last.diagnostics.size(), 1u) << c.rule;
    EXPECT_EQ(last.diagnostics[0].field, std::string("spec.ingress[0]").append(c.field)) << c.rule;
    EXPECT_THAT(last.diagnostics[0].text, HasSubstr(c.text)) << c.rule;
    EXPECT_THAT(last.diagnostics[0].text, HasSubstr("no rule of the policy is applied")) << c.rule;
  }
  EXPECT_FALSE(policy("networkpolicies/ns/p", R"j({"ingress": [null]})j"));
  EXPECT_FALSE(policy("networkpolicies/ns/p", R"j({"types": ["Sideways"]})j"));
  EXPECT_EQ(last.diagnostics.at(0).field, "spec.types[0]");
}

TEST_F(PolicyTest, OneBadRuleRefusesAllOfThem) {
  EXPECT_FALSE(policy("networkpolicies/ns/p",
                      R"j({"ingress": [{"action": "Allow"}], "egress": [{"action": "Allow"}, {"action": "x"}]})j"));
  EXPECT_EQ(last.diagnostics.at(0).field, "spec.egress[1].action");
}

class TierTest : public DecoderFixture {};

TEST_F(TierTest, Reads) {
  EXPECT_EQ(*decode<TierChange>("tiers/t", R"j({"spec": {"order": 10, "defaultAction": "Pass"}, "status": {}})j"),
            (Tier{10.0, TierAction::kPass}));
  EXPECT_EQ(*decode<TierChange>("tiers/t", R"j({"spec": {"defaultAction": "pass"}})j"),
            (Tier{std::nullopt, TierAction::kDeny}));
  EXPECT_EQ(*decode<TierChange>("tiers/t", R"j({})j"), Tier());
}

class ProfileTest : public DecoderFixture {};

TEST_F(ProfileTest, Reads) {
  const auto profile = decode<ProfileChange>("profiles/p", R"j({"spec": {"ingress": [{"action": "Allow"}],
      "egress": [{"action": "Deny"}, {"action": "Allow"}], "labelsToApply": {"a": "b"}}})j");
  ASSERT_TRUE(profile);
  EXPECT_EQ(profile->ingress.size(), 1u);
  EXPECT_EQ(profile->egress.size(), 2u);
  EXPECT_EQ(profile->labels_to_apply, labels({{"a", "b"}}));
}

TEST_F(ProfileTest, TheBuiltInOneCannotBeReplaced) {
  const std::string key = std::string(kRoot) + "profiles/projectcalico-default-allow";
  for (const Decoder::Output& out : {put(key, R"j({"spec": {}})j"), put(key, "junk"), erase(key)})
    EXPECT_TRUE(out.updates.empty());
}

TEST_F(ProfileTest, BadLabelsRefuse) {
  EXPECT_FALSE(decode<ProfileChange>("profiles/p", R"j({"spec": {"labelsToApply": {"a": "b c"}}})j"));
  EXPECT_THAT(diagnostics(), HasSubstr("endpoints that list the profile get no traffic"));
}

}  // namespace
}  // namespace model
