#include "calc/evaluator.h"

#include <algorithm>

#include "base/check.h"

namespace calc {
namespace {

// One side of the packet, to be held against one side of a rule.
struct PacketSide {
  const base::IpAddress& address;
  std::uint16_t port;
};

const IpSet& set_of(const State& state, const SetId& id) {
  const auto known = state.sets.find(id);
  CHECK(known != state.sets.end());
  return known->second;
}

bool net_set_contains(const State& state, const SetId& id, const base::IpAddress& address) {
  return std::ranges::any_of(set_of(state, id).members, [&](const SetMember& m) { return m.prefix.contains(address); });
}

bool port_set_contains(const State& state, const SetId& id, const PacketSide& side, std::uint8_t protocol) {
  const SetMember wanted{base::Prefix::host(side.address), protocol, side.port};
  return std::ranges::binary_search(set_of(state, id).members, wanted);
}

bool any_net_contains(const std::vector<base::Prefix>& nets, const base::IpAddress& address) {
  return std::ranges::any_of(nets, [&](const base::Prefix& net) { return net.contains(address); });
}

// A rule whose list has nothing of the packet's family is not programmed for that family at all, negated lists included
// (spec dataplane §11.1).
bool applies_to_family(const std::vector<base::Prefix>& nets, base::Family family) {
  return nets.empty() || std::ranges::any_of(nets, [&](const base::Prefix& net) { return net.family() == family; });
}

bool nets_match(const RuleSide& rule, const base::IpAddress& address) {
  if (!applies_to_family(rule.nets, address.family()) || !applies_to_family(rule.not_nets, address.family()))
    return false;
  if (!rule.nets.empty() && !any_net_contains(rule.nets, address)) return false;
  return !any_net_contains(rule.not_nets, address);
}

bool sets_match(const State& state, const RuleSide& rule, const base::IpAddress& address) {
  const auto in_set = [&](const SetId& id) { return net_set_contains(state, id, address); };
  return std::ranges::all_of(rule.sets, in_set) && std::ranges::none_of(rule.not_sets, in_set);
}

bool ports_match(const State& state, const RuleSide& rule, const PacketSide& side, const Packet& packet) {
  const auto in_range = [&](const PortRange& range) {
    return packet.has_ports() && range.first <= side.port && side.port <= range.last;
  };
  const auto in_set = [&](const SetId& id) {
    return packet.has_ports() && port_set_contains(state, id, side, packet.protocol);
  };
  const bool restricted = !rule.ports.empty() || !rule.port_sets.empty();
  if (restricted && std::ranges::none_of(rule.ports, in_range) && std::ranges::none_of(rule.port_sets, in_set))
    return false;
  return std::ranges::none_of(rule.not_ports, in_range) && std::ranges::none_of(rule.not_port_sets, in_set);
}

bool side_matches(const State& state, const RuleSide& rule, const PacketSide& side, const Packet& packet) {
  return nets_match(rule, side.address) && sets_match(state, rule, side.address) &&
         ports_match(state, rule, side, packet);
}

std::optional<base::Family> family_of(const Rule& rule) {
  if (rule.ip_version) return rule.ip_version;
  if (!rule.protocol) return std::nullopt;
  if (rule.protocol->name.view() == "icmp") return base::Family::kIpv4;
  if (rule.protocol->name.view() == "icmpv6") return base::Family::kIpv6;
  return std::nullopt;
}

bool icmp_is(const model::IcmpMatch& icmp, const Packet& packet) {
  return icmp.type == packet.icmp_type && (!icmp.code || *icmp.code == packet.icmp_code);
}

bool protocol_matches(const Rule& rule, const Packet& packet) {
  if (rule.protocol && rule.protocol->number != packet.protocol) return false;
  if (rule.not_protocol && rule.not_protocol->number == packet.protocol) return false;
  if (rule.icmp && !(packet.is_icmp() && icmp_is(*rule.icmp, packet))) return false;
  // The kernel can only ask ICMP packets for their type, so the negation is about those as well.
  return !rule.not_icmp || (packet.is_icmp() && !icmp_is(*rule.not_icmp, packet));
}

struct RuleHit {
  model::RuleAction action;
  std::size_t index;
};

// The first rule that matches and ends the list. Log rules let the packet go on.
std::optional<RuleHit> first_hit(const State& state, const std::vector<Rule>& rules, const Packet& packet) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (rules[i].action == model::RuleAction::kLog || !matches(state, rules[i], packet)) continue;
    return RuleHit{rules[i].action, i};
  }
  return std::nullopt;
}

Verdict::Action as_verdict(model::RuleAction action) {
  return action == model::RuleAction::kAllow ? Verdict::Action::kAllow : Verdict::Action::kDeny;
}

const std::vector<model::PolicyKey>& policies_of(const TierPolicies& tier, Direction direction) {
  return direction == Direction::kIngress ? tier.ingress : tier.egress;
}

template <typename RuleOwner>
const std::vector<Rule>& rules_of(const RuleOwner& owner, Direction direction) {
  return direction == Direction::kIngress ? owner.ingress : owner.egress;
}

// Nothing if every tier that applies passes the packet on.
std::optional<Verdict> through_tier(const State& state, const TierPolicies& tier, Direction direction,
                                    const Packet& packet) {
  bool enforced = false;
  for (const model::PolicyKey& key : policies_of(tier, direction)) {
    if (model::is_staged(key.kind)) continue;
    enforced = true;
    const auto policy = state.policies.find(key);
    CHECK(policy != state.policies.end());
    const auto hit = first_hit(state, rules_of(*policy->second, direction), packet);
    if (!hit) continue;
    if (hit->action == model::RuleAction::kPass) return std::nullopt;
    return Verdict{.action = as_verdict(hit->action),
                   .reason = Verdict::Reason::kPolicyRule,
                   .tier = tier.tier,
                   .policy = key,
                   .profile = {},
                   .rule = hit->index};
  }
  if (!enforced || tier.default_action == model::TierAction::kPass) return std::nullopt;
  return Verdict{.action = Verdict::Action::kDeny,
                 .reason = Verdict::Reason::kEndOfTier,
                 .tier = tier.tier,
                 .policy = {},
                 .profile = {}};
}

std::optional<Verdict> through_tiers(const State& state, const std::vector<TierPolicies>& tiers, Direction direction,
                                     const Packet& packet) {
  for (const TierPolicies& tier : tiers) {
    if (auto verdict = through_tier(state, tier, direction, packet)) return verdict;
  }
  return std::nullopt;
}

Verdict through_profiles(const State& state, const std::vector<Symbol>& profiles, Direction direction,
                         const Packet& packet) {
  for (const Symbol name : profiles) {
    const auto profile = state.profiles.find(name);
    CHECK(profile != state.profiles.end());
    const auto hit = first_hit(state, rules_of(*profile->second, direction), packet);
    if (!hit || hit->action == model::RuleAction::kPass) continue;
    return {.action = as_verdict(hit->action),
            .reason = Verdict::Reason::kProfileRule,
            .tier = {},
            .policy = {},
            .profile = name,
            .rule = hit->index};
  }
  return {
      .action = Verdict::Action::kDeny, .reason = Verdict::Reason::kNoProfile, .tier = {}, .policy = {}, .profile = {}};
}

std::string_view word_of(Verdict::Action action) {
  switch (action) {
    case Verdict::Action::kAllow: return "allow";
    case Verdict::Action::kDeny: return "deny";
    case Verdict::Action::kUndecided: return "undecided";
  }
  return "?";
}

std::string protocol_word(const Packet& packet) {
  switch (packet.protocol) {
    case 6: return "tcp";
    case 17: return "udp";
    case 132: return "sctp";
    case 136: return "udplite";
    default: return packet.is_icmp() ? "icmp" : "protocol " + std::to_string(packet.protocol);
  }
}

std::string with_port(const base::IpAddress& address, std::uint16_t port) {
  const std::string text = base::to_string(address);
  return (address.is_v4() ? text : "[" + text + "]") + ":" + std::to_string(port);
}

}  // namespace

bool matches(const State& state, const Rule& rule, const Packet& packet) {
  if (rule.never_matches) return false;
  if (const auto family = family_of(rule); family && *family != packet.family()) return false;
  return protocol_matches(rule, packet) &&
         side_matches(state, rule.source, {packet.source, packet.source_port}, packet) &&
         side_matches(state, rule.destination, {packet.destination, packet.destination_port}, packet);
}

Verdict evaluate(const State& state, const LocalWorkload& endpoint, Direction direction, const Packet& packet) {
  if (!endpoint.interface->active) {
    return {.action = Verdict::Action::kDeny,
            .reason = Verdict::Reason::kAdminDown,
            .tier = {},
            .policy = {},
            .profile = {}};
  }
  if (const auto verdict = through_tiers(state, endpoint.tiers, direction, packet)) return *verdict;
  return through_profiles(state, endpoint.profiles, direction, packet);
}

Verdict evaluate(const State& state, const LocalHostEndpoint& endpoint, PolicyList list, Direction direction,
                 const Packet& packet) {
  Verdict undecided{.action = Verdict::Action::kUndecided,
                    .reason = Verdict::Reason::kEndOfList,
                    .tier = {},
                    .policy = {},
                    .profile = {}};
  switch (list) {
    case PolicyList::kNormal: {
      const auto verdict = through_tiers(state, endpoint.tiers, direction, packet);
      return verdict ? *verdict : through_profiles(state, endpoint.profiles, direction, packet);
    }
    case PolicyList::kForward:
      if (endpoint.forward_tiers.empty()) {
        return {.action = Verdict::Action::kAllow,
                .reason = Verdict::Reason::kForwardDefault,
                .tier = {},
                .policy = {},
                .profile = {}};
      }
      return through_tiers(state, endpoint.forward_tiers, direction, packet).value_or(undecided);
    case PolicyList::kUntracked:
      return through_tiers(state, endpoint.untracked_tiers, direction, packet).value_or(undecided);
    case PolicyList::kPreDnat:
      return through_tiers(state, endpoint.pre_dnat_tiers, direction, packet).value_or(undecided);
  }
  return undecided;
}

std::string to_string(const Verdict& verdict, Direction direction) {
  const std::string_view side = direction == Direction::kIngress ? "ingress" : "egress";
  std::string text(word_of(verdict.action));
  switch (verdict.reason) {
    case Verdict::Reason::kPolicyRule:
      text.append(" by ").append(side).append(" rule ").append(std::to_string(verdict.rule)).append(" of ");
      return text.append(model::policy_id(verdict.policy)).append(" in tier ").append(verdict.tier.view());
    case Verdict::Reason::kProfileRule:
      text.append(" by ").append(side).append(" rule ").append(std::to_string(verdict.rule)).append(" of profile ");
      return text.append(verdict.profile.view());
    case Verdict::Reason::kEndOfTier:
      return text.append(" at the end of tier ")
          .append(verdict.tier.view())
          .append(": no ")
          .append(side)
          .append(" rule matched");
    case Verdict::Reason::kNoProfile:
      return text.append(": no policy decided and no profile has a matching ").append(side).append(" rule");
    case Verdict::Reason::kAdminDown: return text.append(": the endpoint is disabled");
    case Verdict::Reason::kForwardDefault: return text.append(": no policy applies to forwarded traffic");
    case Verdict::Reason::kEndOfList: return text.append(": no rule matched, the next list decides");
  }
  return text;
}

std::string to_string(const Packet& packet) {
  const std::string protocol = protocol_word(packet);
  if (packet.has_ports()) {
    return protocol + " " + with_port(packet.source, packet.source_port) + " -> " +
           with_port(packet.destination, packet.destination_port);
  }
  std::string text = protocol + " " + base::to_string(packet.source) + " -> " + base::to_string(packet.destination);
  if (packet.is_icmp()) {
    text += " type " + std::to_string(packet.icmp_type) + " code " + std::to_string(packet.icmp_code);
  }
  return text;
}

}  // namespace calc
