#include "render/iptables/policy_chains.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "render/iptables/test_support.h"

namespace render::iptables {
namespace {

using namespace support;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const Context kContext{openstack_settings(), allocate_marks(0xffff0000).value()};
constexpr Family kV4 = Family::kIpv4;
constexpr Family kV6 = Family::kIpv6;

std::vector<std::string> texts(const calc::Rule& rule, Family family = kV4, const Context& context = kContext,
                               Table table = Table::kFilter) {
  std::vector<std::string> out;
  const RuleOwner owner{"default", "np", "web", "openstack/web", table};
  for (const Rule& rendered : render_rule(context, family, rule, owner)) {
    std::string body;
    append_body(body, rendered);
    out.push_back(body.substr(1));
  }
  return out;
}

constexpr auto kAllow = model::RuleAction::kAllow;
const std::string kReturnIfAccepted = "-m mark --mark 0x10000/0x10000 --jump RETURN";

TEST(PolicyRule, Actions) {
  EXPECT_THAT(texts(rule(kAllow)), ElementsAre("--jump MARK --set-mark 0x10000/0x10000", kReturnIfAccepted));
  EXPECT_THAT(texts(rule(model::RuleAction::kPass)),
              ElementsAre("--jump MARK --set-mark 0x20000/0x20000", "-m mark --mark 0x20000/0x20000 --jump RETURN"));
  EXPECT_THAT(texts(rule(model::RuleAction::kDeny, "udp")), ElementsAre("-p udp --jump MARK --set-mark 0x40000/0x40000",
                                                                        "-m mark --mark 0x40000/0x40000 --jump DROP"));
  EXPECT_THAT(texts(rule(model::RuleAction::kLog, "tcp")),
              ElementsAre("-p tcp --jump LOG --log-prefix \"calico-packet: \" --log-level 5"));
}

TEST(PolicyRule, LogPrefixAndRate) {
  Context context = kContext;
  context.settings.log_prefix = "%t|%k|%p";
  context.settings.log_rate_limit = "10/minute";
  EXPECT_THAT(
      texts(rule(model::RuleAction::kLog), kV4, context),
      ElementsAre("-m limit --limit 10/minute --limit-burst 5 --jump LOG --log-prefix \"default|np|openstack/web: \""
                  " --log-level 5"));
  context.settings.log_rate_limit.clear();
  context.settings.log_prefix = "a\"b\\c%n and much more than the kernel holds";
  EXPECT_THAT(texts(rule(model::RuleAction::kLog), kV4, context),
              ElementsAre("--jump LOG --log-prefix \"a_b_cweb and much more than the kernel holds: \" --log-level 5"));
}

TEST(PolicyRule, RejectOnlyInFilter) {
  Context context = kContext;
  context.settings.deny = DenyAction::kReject;
  EXPECT_EQ(texts(rule(model::RuleAction::kDeny), kV4, context)[1], "-m mark --mark 0x40000/0x40000 --jump REJECT");
  EXPECT_EQ(texts(rule(model::RuleAction::kDeny), kV4, context, Table::kMangle)[1],
            "-m mark --mark 0x40000/0x40000 --jump DROP");
}

TEST(PolicyRule, FamilyFilter) {
  calc::Rule r = rule(kAllow);
  r.ip_version = kV6;
  EXPECT_THAT(texts(r), IsEmpty());
  EXPECT_FALSE(texts(r, kV6).empty());
  EXPECT_THAT(texts(rule(kAllow, "icmp"), kV6), IsEmpty());
  EXPECT_THAT(texts(rule(kAllow, "icmpv6"), kV4), IsEmpty());

  calc::Rule nets = rule(kAllow);
  nets.source.nets = {net("10.0.0.0/8")};
  EXPECT_FALSE(texts(nets, kV4).empty());
  EXPECT_THAT(texts(nets, kV6), IsEmpty());

  calc::Rule all = rule(kAllow);
  all.destination.not_nets = {net("0.0.0.0/0")};
  EXPECT_THAT(texts(all), IsEmpty());

  calc::Rule service = rule(kAllow);
  service.never_matches = true;
  EXPECT_THAT(texts(service), IsEmpty());
}

TEST(PolicyRule, MatchesInTheirOrder) {
  calc::Rule r = rule(kAllow, "tcp");
  r.source = {.nets = {net("10.0.0.0/8")},
              .not_nets = {},
              .ports = {{1, 1}},
              .not_ports = {{2, 3}},
              .sets = {"s:a", "s:b"},
              .not_sets = {"s:c"},
              .port_sets = {},
              .not_port_sets = {"n:d"}};
  r.destination = {.nets = {},
                   .not_nets = {net("11.0.0.0/8")},
                   .ports = {},
                   .not_ports = {},
                   .sets = {"s:e"},
                   .not_sets = {},
                   .port_sets = {"n:f"},
                   .not_port_sets = {}};
  EXPECT_EQ(
      texts(r)[0],
      "-p tcp --source 10.0.0.0/8 -m set --match-set cali40s:a src -m set --match-set cali40s:b src"
      " -m multiport --source-ports 1 -m set --match-set cali40s:e dst -m set --match-set cali40n:f dst,dst"
      " -m set ! --match-set cali40s:c src -m multiport ! --source-ports 2:3 -m set ! --match-set cali40n:d src,src"
      " ! --destination 11.0.0.0/8 --jump MARK --set-mark 0x10000/0x10000");
}

TEST(PolicyRule, Icmp) {
  calc::Rule r = rule(kAllow, "icmp");
  r.icmp = model::IcmpMatch{8, 0};
  EXPECT_EQ(texts(r)[0], "-p icmp -m icmp --icmp-type 8/0 --jump MARK --set-mark 0x10000/0x10000");
  calc::Rule six = rule(kAllow, "icmpv6");
  six.not_icmp = model::IcmpMatch{135, std::nullopt};
  EXPECT_EQ(texts(six, kV6)[0], "-p icmpv6 -m icmp6 ! --icmpv6-type 135 --jump MARK --set-mark 0x10000/0x10000");
}

TEST(PolicyRule, ProtocolAndItsNegation) {
  calc::Rule r = rule(kAllow, "tcp");
  r.not_protocol = model::Protocol{World::symbol("udp"), 17};
  EXPECT_EQ(texts(r)[0], "-p tcp --jump MARK --set-mark 0x10000/0x10000");
  r.not_protocol = model::Protocol{{}, 6};
  EXPECT_THAT(texts(r), IsEmpty());
  r.protocol.reset();
  EXPECT_EQ(texts(r)[0], "! -p 6 --jump MARK --set-mark 0x10000/0x10000");
}

// The worked example of spec §11.2.
TEST(PolicyRule, PositiveBlocks) {
  calc::Rule r = rule(kAllow, "tcp");
  r.source.nets = {net("10.0.0.0/8"), net("11.0.0.0/8")};
  for (std::uint16_t port = 1; port <= 16; ++port) r.destination.ports.push_back({port, port});
  EXPECT_THAT(texts(r), ElementsAre("--jump MARK --set-mark 0x0/0x180000",
                                    "-p tcp -m multiport --destination-ports 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"
                                    " --jump MARK --set-mark 0x80000/0x80000",
                                    "-p tcp -m multiport --destination-ports 16 --jump MARK --set-mark 0x80000/0x80000",
                                    "--source 10.0.0.0/8 --jump MARK --set-mark 0x100000/0x100000",
                                    "--source 11.0.0.0/8 --jump MARK --set-mark 0x100000/0x100000",
                                    "-m mark --mark 0/0x100000 --jump MARK --set-mark 0/0x80000",
                                    "-p tcp -m mark --mark 0x80000/0x80000 --jump MARK --set-mark 0x10000/0x10000",
                                    kReturnIfAccepted));
}

TEST(PolicyRule, TheThirdBlockStartsFromAClearMark) {
  calc::Rule r = rule(kAllow, "tcp");
  r.source.nets = {net("10.0.0.0/8"), net("11.0.0.0/8")};
  r.destination.nets = {net("12.0.0.0/8"), net("13.0.0.0/8")};
  r.destination.ports = {{1, 1}};
  r.destination.port_sets = {"n:p"};
  const auto lines = texts(r);
  EXPECT_EQ(lines[2], "-m set --match-set cali40n:p dst,dst --jump MARK --set-mark 0x80000/0x80000");
  // ports: 0–2 · sources: 3–5 · clear S1 · destinations.
  EXPECT_EQ(lines[6], "--jump MARK --set-mark 0/0x100000");
  EXPECT_EQ(lines[7], "--destination 12.0.0.0/8 --jump MARK --set-mark 0x100000/0x100000");
}

TEST(PolicyRule, NegatedBlocks) {
  calc::Rule r = rule(kAllow, "udp");
  r.source.nets = {net("10.0.0.0/8")};
  r.source.not_nets = {net("10.1.0.0/16")};
  EXPECT_THAT(texts(r), ElementsAre("--jump MARK --set-mark 0x80000/0x180000",
                                    "--source 10.1.0.0/16 --jump MARK --set-mark 0/0x80000",
                                    "-p udp --source 10.0.0.0/8 -m mark --mark 0x80000/0x80000 --jump MARK --set-mark"
                                    " 0x10000/0x10000",
                                    kReturnIfAccepted));
  // A positive block leaves no net behind, so one negated net stays in the final rule.
  r.source.nets.push_back(net("11.0.0.0/8"));
  EXPECT_EQ(texts(r)[3],
            "-p udp ! --source 10.1.0.0/16 -m mark --mark 0x80000/0x80000 --jump MARK --set-mark 0x10000/0x10000");
}

TEST(PolicyRule, RangesTakeTwoSlots) {
  calc::Rule r = rule(kAllow, "tcp");
  for (std::uint16_t port = 0; port < 8; ++port) {
    r.source.not_ports.push_back({static_cast<std::uint16_t>(port * 10), static_cast<std::uint16_t>(port * 10 + 1)});
  }
  EXPECT_EQ(texts(r)[0],
            "-p tcp -m multiport ! --source-ports 0:1,10:11,20:21,30:31,40:41,50:51,60:61"
            " -m multiport ! --source-ports 70:71 --jump MARK --set-mark 0x10000/0x10000");
}

TEST(PolicyChain, CommentsAnnotationsAndTrailingReturns) {
  calc::Rule annotated = rule(model::RuleAction::kDeny, "tcp");
  annotated.annotations = {{"a", "b\"c"}, {"d", "é"}};
  calc::ActivePolicy policy;
  policy.tier = World::symbol("default");
  policy.ingress = {annotated, rule(kAllow)};
  const auto key = World::policy_key("", "x", model::PolicyKind::kGlobalNetworkPolicy);
  const auto bodies =
      bodies_of(*render_chain(render_policy(kContext, kV4, Table::kFilter, Direction::kIngress, key, policy)));
  EXPECT_THAT(
      bodies,
      ElementsAre("-m comment --comment \"a=b_c\" -m comment --comment \"d=_\" -m comment --comment"
                  " \"GlobalNetworkPolicy x ingress\" -p tcp --jump MARK --set-mark 0x40000/0x40000",
                  "-m comment --comment \"a=b_c\" -m comment --comment \"d=_\" -m mark --mark 0x40000/0x40000 --jump"
                  " DROP",
                  "--jump MARK --set-mark 0x10000/0x10000"));
  EXPECT_THAT(bodies_of(*render_chain(render_policy(kContext, kV4, Table::kFilter, Direction::kEgress, key, policy))),
              ElementsAre("-m comment --comment \"GlobalNetworkPolicy x egress\""));
}

TEST(PolicyGroups, ConsecutivePoliciesOfOneSelector) {
  std::map<model::PolicyKey, std::shared_ptr<const calc::ActivePolicy>> policies;
  std::vector<model::PolicyKey> members;
  const auto add = [&](const std::string& name, const std::string& selector, model::PolicyKind kind) {
    const auto key = World::policy_key("", name, kind);
    calc::ActivePolicy policy;
    policy.selector = selector;
    policies[key] = std::make_shared<const calc::ActivePolicy>(policy);
    members.push_back(key);
  };
  using enum model::PolicyKind;
  add("a", "has(x)", kGlobalNetworkPolicy);
  add("b", "has(x)", kStagedGlobalNetworkPolicy);
  add("c", "all()", kGlobalNetworkPolicy);
  for (const char* name : {"d", "e", "f", "g", "h", "i", "j"}) add(name, "has(y)", kGlobalNetworkPolicy);
  add("k", "has(z)", kStagedGlobalNetworkPolicy);
  const auto groups = group_policies(policies, Direction::kIngress, members);
  ASSERT_EQ(groups.size(), 4u);
  EXPECT_EQ(groups[0].chain, "");  // one active policy: jumped to directly
  EXPECT_EQ(groups[0].active.size(), 1u);
  EXPECT_EQ(groups[1].chain, "");
  EXPECT_TRUE(groups[2].chain.starts_with("cali-gi-"));
  EXPECT_TRUE(groups[3].active.empty());

  const auto bodies = bodies_of(*render_chain(render_group(kContext, Direction::kIngress, groups[2])));
  ASSERT_EQ(bodies.size(), 8u);
  EXPECT_EQ(bodies[0], "--jump " + policy_chain(groups[2].active[0], Direction::kIngress));
  EXPECT_EQ(bodies[1], "-m mark --mark 0/0x30000 --jump " + policy_chain(groups[2].active[1], Direction::kIngress));
  EXPECT_EQ(bodies[5], "-m comment --comment \"Return on verdict\" -m mark ! --mark 0/0x30000 --jump RETURN");
  EXPECT_EQ(bodies[6], "--jump " + policy_chain(groups[2].active[5], Direction::kIngress));
}

TEST(Comments, AreCutAndCleaned) {
  std::string out;
  append_body(out, {{}, {}, {std::string(300, 'x')}});
  EXPECT_EQ(out, " -m comment --comment \"" + std::string(256, 'x') + "\"");
  out.clear();
  append_body(out, {{}, {}, {"a\xff\xe2\x82\xac$\xe2\x82z"}});
  EXPECT_EQ(out, " -m comment --comment \"a_____z\"");
}

}  // namespace
}  // namespace render::iptables
