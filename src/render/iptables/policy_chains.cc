// Rules with lists need more than one iptables rule. A rule "tcp from A or B to ports 1…16" becomes blocks: each block
// of alternatives sets a scratch mark when one of them matches, and the final rule asks for the mark:
//
//   clear S0, S1 · ports 1…15 ⇒ S0 · port 16 ⇒ S0 · source A ⇒ S1 · source B ⇒ S1 · no S1 ⇒ clear S0 · tcp and S0 ⇒
//   accept
//
// Negated lists work the other way round: S0 starts set, and each excluded net clears it.
#include "render/iptables/policy_chains.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <fmt/core.h>

namespace render::iptables {
namespace {

constexpr int kMaxPortSlots = 15;  // of the kernel's multiport match; a range takes two

using PortGroup = std::vector<calc::PortRange>;

std::vector<PortGroup> pack_ports(const std::vector<calc::PortRange>& ports) {
  std::vector<PortGroup> groups;
  int used = kMaxPortSlots;
  for (const calc::PortRange& range : ports) {
    const int slots = range.first == range.last ? 1 : 2;
    if (used + slots > kMaxPortSlots) {
      groups.emplace_back();
      used = 0;
    }
    groups.back().push_back(range);
    used += slots;
  }
  return groups;
}

// Family-filtered view of one side of a rule.
struct SideParts {
  Side side;
  const calc::RuleSide* rule = nullptr;
  std::vector<base::Prefix> nets;
  std::vector<base::Prefix> not_nets;
  std::vector<PortGroup> port_groups;
  bool ports_in_block = false;
  bool nets_in_block = false;
  bool not_nets_in_block = false;
};

// Nothing if a list has members, but none of this family, or excludes everything: the rule then matches no packet.
std::optional<SideParts> split_side(Side side, const calc::RuleSide& rule, Family family) {
  SideParts parts{.side = side, .rule = &rule, .nets = {}, .not_nets = {}, .port_groups = {}};
  for (const base::Prefix& net : rule.nets) {
    if (net.family() == family) parts.nets.push_back(net);
  }
  for (const base::Prefix& net : rule.not_nets) {
    if (net.family() != family) continue;
    if (net.length == 0) return std::nullopt;
    parts.not_nets.push_back(net);
  }
  if (parts.nets.empty() && !rule.nets.empty()) return std::nullopt;
  if (parts.not_nets.empty() && !rule.not_nets.empty()) return std::nullopt;
  parts.port_groups = pack_ports(rule.ports);
  parts.ports_in_block = parts.port_groups.size() + rule.port_sets.size() > 1;
  parts.nets_in_block = parts.nets.size() > 1;
  const std::size_t nets_left = parts.nets_in_block ? 0 : parts.nets.size();
  parts.not_nets_in_block = !parts.not_nets.empty() && nets_left + parts.not_nets.size() > 1;
  return parts;
}

bool same_protocol(const model::Protocol& a, const model::Protocol& b) {
  return a.number != 0 && b.number != 0 ? a.number == b.number : a.name == b.name;
}

Match protocol_match(const model::Protocol& protocol, bool negated) {
  return ProtocolIs{std::string(protocol.name.view()), protocol.number, negated};
}

class RuleBuilder {
 public:
  RuleBuilder(const Context& context, Family family, const calc::Rule& rule)
      : context_(context), marks_(context.marks), family_(family), rule_(rule) {}

  // False if the rule cannot match in this family.
  bool prepare() {
    if (rule_.never_matches) return false;
    if (const auto version = version_of(); version && *version != family_) return false;
    // Two protocol flags in one iptables rule are refused (spec Q26): equal ones contradict, others leave the first.
    if (rule_.protocol && rule_.not_protocol && same_protocol(*rule_.protocol, *rule_.not_protocol)) return false;
    source_ = split_side(Side::kSource, rule_.source, family_);
    destination_ = split_side(Side::kDestination, rule_.destination, family_);
    return source_ && destination_;
  }

  std::vector<Rule> build(const RuleOwner& owner) {
    for (const SideParts* side : {&*source_, &*destination_}) {
      if (side->ports_in_block) port_block(*side);
    }
    for (const SideParts* side : {&*source_, &*destination_}) {
      if (side->nets_in_block) net_block(*side);
    }
    for (const SideParts* side : {&*source_, &*destination_}) {
      if (side->not_nets_in_block) negated_block(*side);
    }
    std::vector<Match> matches = final_matches();
    if (block_started_) matches.push_back(marked(marks_.scratch0));
    finish(std::move(matches), owner);
    annotate();
    return std::move(rules_);
  }

 private:
  std::optional<Family> version_of() const {
    if (rule_.ip_version) return rule_.ip_version;
    if (!rule_.protocol) return std::nullopt;
    if (rule_.protocol->name.view() == "icmp") return Family::kIpv4;
    if (rule_.protocol->name.view() == "icmpv6") return Family::kIpv6;
    return std::nullopt;
  }

  static Match marked(std::uint32_t bit) { return MarkEquals{bit, bit}; }
  void emit(std::vector<Match> matches, Action action) { rules_.push_back({std::move(matches), std::move(action)}); }

  // --- Blocks

  // The bit that this positive block's alternatives set.
  std::uint32_t open_positive() {
    if (!block_started_) {
      block_started_ = true;
      emit({}, SetMaskedMark{0, marks_.scratch0 | marks_.scratch1});
      return marks_.scratch0;
    }
    // S1 may still be set from the block before; left so, this block would always pass (spec Q1).
    if (second_block_seen_) emit({}, ClearMark{marks_.scratch1});
    second_block_seen_ = true;
    return marks_.scratch1;
  }
  void close_positive(std::uint32_t bit) {
    if (bit == marks_.scratch1) emit({MarkClear{marks_.scratch1}}, ClearMark{marks_.scratch0});
  }

  void port_block(const SideParts& side) {
    const std::uint32_t bit = open_positive();
    for (const PortGroup& group : side.port_groups) {
      std::vector<Match> matches;
      if (rule_.protocol) matches.push_back(protocol_match(*rule_.protocol, false));
      matches.push_back(Ports{side.side, group});
      emit(std::move(matches), SetMark{bit});
    }
    for (const calc::SetId& set : side.rule->port_sets) {
      emit({InSet{set_name(family_, set), side.side, true}}, SetMark{bit});
    }
    close_positive(bit);
  }

  void net_block(const SideParts& side) {
    const std::uint32_t bit = open_positive();
    for (const base::Prefix& net : side.nets) emit({Net{side.side, net}}, SetMark{bit});
    close_positive(bit);
  }

  void negated_block(const SideParts& side) {
    if (!block_started_) {
      block_started_ = true;
      emit({}, SetMaskedMark{marks_.scratch0, marks_.scratch0 | marks_.scratch1});
    }
    for (const base::Prefix& net : side.not_nets) emit({Net{side.side, net}}, ClearMark{marks_.scratch0});
  }

  // --- The final rule, in the order of spec §11.3

  void positive_side(const SideParts& side, std::vector<Match>& out) const {
    if (!side.nets_in_block && !side.nets.empty()) out.push_back(Net{side.side, side.nets.front()});
    for (const calc::SetId& set : side.rule->sets) out.push_back(InSet{set_name(family_, set), side.side});
    if (side.ports_in_block) return;
    if (!side.port_groups.empty()) out.push_back(Ports{side.side, side.port_groups.front()});
    for (const calc::SetId& set : side.rule->port_sets) out.push_back(InSet{set_name(family_, set), side.side, true});
  }

  void negated_side(const SideParts& side, std::vector<Match>& out) const {
    if (!side.not_nets_in_block && !side.not_nets.empty()) {
      out.push_back(Net{side.side, side.not_nets.front(), true});
    }
    for (const calc::SetId& set : side.rule->not_sets)
      out.push_back(InSet{set_name(family_, set), side.side, false, true});
    for (const PortGroup& group : pack_ports(side.rule->not_ports)) out.push_back(Ports{side.side, group, true});
    for (const calc::SetId& set : side.rule->not_port_sets) {
      out.push_back(InSet{set_name(family_, set), side.side, true, true});
    }
  }

  std::vector<Match> final_matches() const {
    std::vector<Match> out;
    if (rule_.protocol) out.push_back(protocol_match(*rule_.protocol, false));
    positive_side(*source_, out);
    positive_side(*destination_, out);
    if (rule_.icmp) out.push_back(Icmp{family_, *rule_.icmp});
    if (rule_.not_protocol && !rule_.protocol) out.push_back(protocol_match(*rule_.not_protocol, true));
    negated_side(*source_, out);
    negated_side(*destination_, out);
    if (rule_.not_icmp) out.push_back(Icmp{family_, *rule_.not_icmp, true});
    return out;
  }

  void finish(std::vector<Match> matches, const RuleOwner& owner) {
    switch (rule_.action) {
      case model::RuleAction::kAllow: return mark_and(std::move(matches), marks_.accept, Return{});
      case model::RuleAction::kPass: return mark_and(std::move(matches), marks_.pass, Return{});
      case model::RuleAction::kDeny: return mark_and(std::move(matches), marks_.drop, context_.deny(owner.table));
      case model::RuleAction::kLog: return log(std::move(matches), owner);
    }
  }

  void mark_and(std::vector<Match> matches, std::uint32_t bit, Action action) {
    emit(std::move(matches), SetMark{bit});
    emit({marked(bit)}, std::move(action));
  }

  void log(std::vector<Match> matches, const RuleOwner& owner) {
    const Settings& settings = context_.settings;
    if (!settings.log_rate_limit.empty()) {
      matches.insert(matches.begin(), RateLimit{settings.log_rate_limit, settings.log_rate_burst});
    }
    emit(std::move(matches), Log{log_prefix(settings.log_prefix, owner)});
  }

  static std::string log_prefix(std::string_view pattern, const RuleOwner& owner) {
    std::string text;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
      const char next = pattern[i] == '%' && i + 1 < pattern.size() ? pattern[i + 1] : '\0';
      const std::string* value = next == 't'   ? &owner.tier
                                 : next == 'k' ? &owner.kind
                                 : next == 'n' ? &owner.name
                                 : next == 'p' ? &owner.full_name
                                               : nullptr;
      if (value != nullptr) {
        text += *value;
        ++i;
      } else {
        // A quote, backslash or control character would break the line for iptables-restore.
        const char c = pattern[i];
        text += c == '"' || c == '\\' || static_cast<unsigned char>(c) < ' ' ? '_' : c;
      }
    }
    return text;  // iptables cuts what the kernel cannot hold; the rule's id is of the whole (spec dataplane §11.4)
  }

  void annotate() {
    if (rule_.annotations.empty()) return;
    for (Rule& rule : rules_) {
      for (const auto& [key, value] : rule_.annotations) rule.comments.push_back(fmt::format("{}={}", key, value));
    }
  }

  const Context& context_;
  const Marks& marks_;
  Family family_;
  const calc::Rule& rule_;
  std::optional<SideParts> source_;
  std::optional<SideParts> destination_;
  std::vector<Rule> rules_;
  bool block_started_ = false;
  bool second_block_seen_ = false;
};

Chain render_rules(const Context& context, Family family, std::string name, const std::vector<calc::Rule>& rules,
                   const RuleOwner& owner, std::string comment) {
  Chain chain{std::move(name), {}};
  for (const calc::Rule& rule : rules) {
    for (Rule& rendered : render_rule(context, family, rule, owner)) chain.rules.push_back(std::move(rendered));
  }
  // Falling off the end returns anyway.
  while (!chain.rules.empty() && is_return(chain.rules.back())) chain.rules.pop_back();
  if (chain.rules.empty()) chain.rules.emplace_back();
  chain.rules.front().comments.push_back(std::move(comment));
  return chain;
}

const char* direction_word(Direction direction) { return direction == Direction::kIngress ? "ingress" : "egress"; }

}  // namespace

std::vector<Rule> render_rule(const Context& context, Family family, const calc::Rule& rule, const RuleOwner& owner) {
  RuleBuilder builder(context, family, rule);
  if (!builder.prepare()) return {};
  return builder.build(owner);
}

Chain render_policy(const Context& context, Family family, Table table, Direction direction,
                    const model::PolicyKey& key, const calc::ActivePolicy& policy) {
  std::string name(key.name.view());
  std::string full = key.ns.empty() ? name : fmt::format("{}/{}", key.ns.view(), name);
  const RuleOwner owner{std::string(policy.tier.view()), std::string(model::short_name(key.kind)), std::move(name),
                        full, table};
  return render_rules(context, family, policy_chain(key, direction),
                      direction == Direction::kIngress ? policy.ingress : policy.egress, owner,
                      fmt::format("{} {} {}", model::to_string(key.kind), full, direction_word(direction)));
}

Chain render_profile(const Context& context, Family family, Table table, Direction direction, base::Symbol name,
                     const calc::ActiveProfile& profile) {
  const RuleOwner owner{"", "pro", std::string(name.view()), std::string(name.view()), table};
  return render_rules(context, family, profile_chain(name, direction),
                      direction == Direction::kIngress ? profile.ingress : profile.egress, owner,
                      fmt::format("Profile {} {}", name.view(), direction_word(direction)));
}

std::vector<PolicyGroup> group_policies(
    const std::map<model::PolicyKey, std::shared_ptr<const calc::ActivePolicy>>& policies, Direction direction,
    std::span<const model::PolicyKey> members) {
  const auto selector_of = [&](const model::PolicyKey& key) -> std::string_view {
    const auto found = policies.find(key);
    return found == policies.end() ? std::string_view() : std::string_view(found->second->selector);
  };
  std::vector<PolicyGroup> groups;
  for (std::size_t begin = 0; begin < members.size();) {
    const std::string_view selector = selector_of(members[begin]);
    std::size_t end = begin + 1;
    while (end < members.size() && selector_of(members[end]) == selector) ++end;
    PolicyGroup group;
    for (std::size_t i = begin; i < end; ++i) {
      if (!model::is_staged(members[i].kind)) group.active.push_back(members[i]);
    }
    if (group.active.size() > 1) group.chain = group_chain(selector, direction, members.subspan(begin, end - begin));
    groups.push_back(std::move(group));
    begin = end;
  }
  return groups;
}

Chain render_group(const Context& context, Direction direction, const PolicyGroup& group) {
  // A verdict is looked for once per five policies; the jumps between are skipped by their own match.
  constexpr std::size_t kStride = 5;
  const std::uint32_t verdict = context.marks.accept | context.marks.pass;
  Chain chain{group.chain, {}};
  for (std::size_t n = 0; n < group.active.size(); ++n) {
    const bool first_of_stride = n % kStride == 0;
    if (first_of_stride && n > 0) {
      chain.rules.push_back({{MarkClear{verdict, true}}, Return{}, {"Return on verdict"}});
    }
    Rule jump{{}, Jump{policy_chain(group.active[n], direction)}};
    if (!first_of_stride) jump.matches.push_back(MarkClear{verdict});
    chain.rules.push_back(std::move(jump));
  }
  return chain;
}

}  // namespace render::iptables
