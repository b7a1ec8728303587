#include "calc/direct_reading.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "base/strings.h"

namespace calc {
namespace {

using model::Labels;

constexpr double kLast = std::numeric_limits<double>::infinity();

// Does anything with matching labels own the address (and offer the named port there)?
template <typename Wanted>
bool some_owner(const World& world, const base::IpAddress& address, Wanted wanted) {
  const auto owns = [&](const model::Membership& m) {
    return std::ranges::find(m.addresses, address) != m.addresses.end() &&
           wanted(effective_labels(world, m.labels, m.profiles), m.ports);
  };
  for (const auto& [key, endpoint] : world.workloads) {
    if (owns(endpoint.membership)) return true;
  }
  for (const auto& [key, endpoint] : world.host_endpoints) {
    if (owns(endpoint.membership)) return true;
  }
  for (const auto& [key, set] : world.network_sets) {
    const bool inside = std::ranges::any_of(set.nets, [&](const base::Prefix& net) { return net.contains(address); });
    if (inside && wanted(effective_labels(world, set.labels, set.profiles), std::vector<model::EndpointPort>()))
      return true;
  }
  return false;
}

class SideReader {
 public:
  SideReader(const World& world, const model::Rule& rule, const model::RuleEntity& entity, const Packet& packet,
             const base::IpAddress& address, std::uint16_t port)
      : world_(world), rule_(rule), entity_(entity), packet_(packet), address_(address), port_(port) {}

  bool matches() const { return entity_.service.empty() && nets_match() && selectors_match() && ports_match(); }

 private:
  static bool speaks_of(const std::vector<base::Prefix>& nets, base::Family family) {
    return nets.empty() || std::ranges::any_of(nets, [&](const auto& net) { return net.family() == family; });
  }
  bool inside(const std::vector<base::Prefix>& nets) const {
    return std::ranges::any_of(nets, [&](const auto& net) { return net.contains(address_); });
  }
  bool nets_match() const {
    if (!speaks_of(entity_.nets, packet_.family()) || !speaks_of(entity_.not_nets, packet_.family())) return false;
    return (entity_.nets.empty() || inside(entity_.nets)) && !inside(entity_.not_nets);
  }

  bool wanted(const Labels& labels) const {
    if (!entity_.selector) return true;
    return entity_.selector->matches(labels) && !(entity_.not_selector && entity_.not_selector->matches(labels));
  }
  bool selectors_match() const {
    if (entity_.selector) return some_owner(world_, address_, [&](const Labels& l, const auto&) { return wanted(l); });
    if (!entity_.not_selector) return true;
    return !some_owner(world_, address_,
                       [&](const Labels& l, const auto&) { return entity_.not_selector->matches(l); });
  }

  bool is_port(const model::Port& port) const {
    if (!packet_.has_ports()) return false;
    if (!port.is_named()) return port.first <= port_ && port_ <= port.last;
    return some_owner(world_, address_, [&](const Labels& labels, const std::vector<model::EndpointPort>& ports) {
      return wanted(labels) && std::ranges::any_of(ports, [&](const model::EndpointPort& p) {
               return p.name == port.name && p.port == port_ && p.protocol == packet_.protocol && may_be(p.protocol);
             });
    });
  }
  // The rule's protocol looks up named ports; one that has no named ports looks up those of tcp.
  bool may_be(std::uint8_t protocol) const {
    if (!rule_.protocol) return true;
    const auto number = rule_.protocol->number;
    return protocol == (number == 17 || number == 132 ? number : 6);
  }
  bool ports_match() const {
    const auto hit = [&](const model::Port& port) { return is_port(port); };
    return (entity_.ports.empty() || std::ranges::any_of(entity_.ports, hit)) &&
           std::ranges::none_of(entity_.not_ports, hit);
  }

  const World& world_;
  const model::Rule& rule_;
  const model::RuleEntity& entity_;
  const Packet& packet_;
  const base::IpAddress& address_;
  const std::uint16_t port_;
};

bool matches(const World& world, const model::Rule& rule, const Packet& packet) {
  const auto same_icmp = [&](const model::IcmpMatch& m) {
    return m.type == packet.icmp_type && m.code.value_or(packet.icmp_code) == packet.icmp_code;
  };
  std::optional<base::Family> family = rule.ip_version;
  if (!family && rule.protocol && rule.protocol->name.view() == "icmp") family = base::Family::kIpv4;
  if (!family && rule.protocol && rule.protocol->name.view() == "icmpv6") family = base::Family::kIpv6;
  if (family && *family != packet.family()) return false;
  if (rule.protocol && rule.protocol->number != packet.protocol) return false;
  if (rule.not_protocol && rule.not_protocol->number == packet.protocol) return false;
  if ((rule.icmp || rule.not_icmp) && !packet.is_icmp()) return false;
  if (rule.icmp && !same_icmp(*rule.icmp)) return false;
  if (rule.not_icmp && same_icmp(*rule.not_icmp)) return false;
  return SideReader(world, rule, rule.source, packet, packet.source, packet.source_port).matches() &&
         SideReader(world, rule, rule.destination, packet, packet.destination, packet.destination_port).matches();
}

bool belongs(PolicyList list, const model::Policy& policy) {
  const bool plain = !policy.do_not_track && !policy.pre_dnat;
  switch (list) {
    case PolicyList::kNormal: return plain;
    case PolicyList::kForward: return plain && policy.apply_on_forward;
    case PolicyList::kUntracked: return policy.do_not_track;
    case PolicyList::kPreDnat: return policy.pre_dnat && !policy.do_not_track;
  }
  return false;
}

struct Applying {
  const model::PolicyKey* key;
  const model::Policy* policy;
};

// Policies of the list that select these labels, in order, whatever their direction.
std::vector<Applying> applying_policies(const World& world, PolicyList list, const Labels& labels) {
  std::vector<Applying> applying;
  for (const auto& [key, policy] : world.policies) {
    if (belongs(list, policy) && policy.selector.matches(labels)) applying.push_back({&key, &policy});
  }
  const auto place = [&](const Applying& a) {
    const auto tier = world.tiers.find({a.policy->tier});
    const bool present = tier != world.tiers.end();
    return std::tuple(!present, present ? tier->second.order.value_or(kLast) : kLast, a.policy->tier,
                      a.policy->order.value_or(kLast),
                      std::string(a.key->name.view()) + "/" + std::string(a.key->ns.view()) + "/" +
                          std::string(model::to_string(a.key->kind)));
  };
  std::ranges::sort(applying, [&](const Applying& a, const Applying& b) { return place(a) < place(b); });
  return applying;
}

bool has_direction(const model::Policy& policy, PolicyList list, Direction direction) {
  if (direction == Direction::kIngress) return policy.applies_to_ingress;
  return policy.applies_to_egress && list != PolicyList::kPreDnat;
}

bool tier_passes(const World& world, PolicyList list, Symbol name) {
  if (list == PolicyList::kUntracked || list == PolicyList::kPreDnat) return true;
  const auto tier = world.tiers.find({name});
  return tier != world.tiers.end() && tier->second.default_action == model::TierAction::kPass;
}

template <typename Owner>
const std::vector<model::Rule>& rules_of(const Owner& owner, Direction direction) {
  return direction == Direction::kIngress ? owner.ingress : owner.egress;
}

struct Hit {
  model::RuleAction action;
  std::size_t rule;
};
std::optional<Hit> first_hit(const World& world, const std::vector<model::Rule>& rules, const Packet& packet) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (rules[i].action != model::RuleAction::kLog && matches(world, rules[i], packet)) return Hit{rules[i].action, i};
  }
  return std::nullopt;
}

Verdict::Action as_action(model::RuleAction action) {
  return action == model::RuleAction::kAllow ? Verdict::Action::kAllow : Verdict::Action::kDeny;
}

Verdict decision(Verdict::Action action, Verdict::Reason reason) {
  Verdict verdict;
  verdict.action = action;
  verdict.reason = reason;
  return verdict;
}

// Walks the policies once, remembering which tier it is in. Nothing if every tier passed.
std::optional<Verdict> read_policies(const World& world, const std::vector<Applying>& applying, PolicyList list,
                                     Direction direction, const Packet& packet) {
  for (std::size_t i = 0; i < applying.size();) {
    const Symbol tier = applying[i].policy->tier;
    bool enforced = false, passed = false;
    for (; i < applying.size() && applying[i].policy->tier == tier; ++i) {
      const auto& [key, policy] = applying[i];
      if (passed || model::is_staged(key->kind) || !has_direction(*policy, list, direction)) continue;
      enforced = true;
      const auto hit = first_hit(world, rules_of(*policy, direction), packet);
      if (!hit) continue;
      if (hit->action == model::RuleAction::kPass) {
        passed = true;
        continue;
      }
      Verdict verdict = decision(as_action(hit->action), Verdict::Reason::kPolicyRule);
      verdict.tier = tier;
      verdict.policy = *key;
      verdict.rule = hit->rule;
      return verdict;
    }
    if (enforced && !passed && !tier_passes(world, list, tier)) {
      Verdict verdict = decision(Verdict::Action::kDeny, Verdict::Reason::kEndOfTier);
      verdict.tier = tier;
      return verdict;
    }
  }
  return std::nullopt;
}

Verdict read_profiles(const World& world, const std::vector<Symbol>& names, Direction direction, const Packet& packet) {
  for (const Symbol name : names) {
    const auto profile = world.profiles.find({name});
    std::optional<Hit> hit;
    if (profile != world.profiles.end()) {
      hit = first_hit(world, rules_of(profile->second, direction), packet);
    } else {
      hit = Hit{name.view() == model::kDefaultAllowProfile ? model::RuleAction::kAllow : model::RuleAction::kDeny, 0};
    }
    if (!hit || hit->action == model::RuleAction::kPass) continue;
    Verdict verdict = decision(as_action(hit->action), Verdict::Reason::kProfileRule);
    verdict.profile = name;
    verdict.rule = hit->rule;
    return verdict;
  }
  return decision(Verdict::Action::kDeny, Verdict::Reason::kNoProfile);
}

Verdict read(const World& world, const model::Membership& member, PolicyList list, Direction direction,
             const Packet& packet) {
  const auto applying = applying_policies(world, list, effective_labels(world, member.labels, member.profiles));
  if (const auto verdict = read_policies(world, applying, list, direction, packet)) return *verdict;
  if (list == PolicyList::kNormal) return read_profiles(world, member.profiles, direction, packet);
  const bool any = std::ranges::any_of(
      applying, [&](const Applying& a) { return a.policy->applies_to_ingress || a.policy->applies_to_egress; });
  if (list == PolicyList::kForward && !any) return decision(Verdict::Action::kAllow, Verdict::Reason::kForwardDefault);
  return decision(Verdict::Action::kUndecided, Verdict::Reason::kEndOfList);
}

// --- text
// -------------------------------------------------------------------------------------------------------------------

std::string text_of(const model::Port& port) {
  if (port.is_named()) return std::string(port.name.view());
  return std::to_string(port.first) + (port.first == port.last ? "" : ":" + std::to_string(port.last));
}
std::string text_of(const base::Prefix& net) { return base::to_string(net); }
std::string text_of(const model::Protocol& protocol) {
  return protocol.name.empty() ? std::to_string(protocol.number) : std::string(protocol.name.view());
}
std::string text_of(const model::IcmpMatch& icmp) {
  return std::to_string(icmp.type) + (icmp.code ? "/" + std::to_string(*icmp.code) : "");
}

template <typename Item>
void append(std::string& text, std::string_view word, const std::vector<Item>& items) {
  if (items.empty()) return;
  std::vector<std::string> parts;
  for (const Item& item : items) parts.push_back(text_of(item));
  text.append(" ").append(word).append(base::join(parts, ","));
}

std::string text_of(const model::RuleEntity& entity) {
  std::string text;
  if (entity.selector) text += " " + entity.selector->canonical();
  if (entity.not_selector) text += " not " + entity.not_selector->canonical();
  append(text, "", entity.nets);
  append(text, "not ", entity.not_nets);
  append(text, "ports ", entity.ports);
  append(text, "not ports ", entity.not_ports);
  if (!entity.service.empty()) text += " service " + entity.service + " (never matches: no Kubernetes here)";
  return text;
}

}  // namespace

std::optional<Verdict> read_directly(const World& world, const model::WorkloadEndpointKey& key, Direction direction,
                                     const Packet& packet) {
  const auto known = world.workloads.find(key);
  if (known == world.workloads.end()) return std::nullopt;
  const model::WorkloadEndpoint& endpoint = known->second;
  if (endpoint.interface && !endpoint.interface->active)
    return decision(Verdict::Action::kDeny, Verdict::Reason::kAdminDown);
  return read(world, endpoint.membership, PolicyList::kNormal, direction, packet);
}

std::optional<Verdict> read_directly(const World& world, const model::HostEndpointKey& key, PolicyList list,
                                     Direction direction, const Packet& packet) {
  const auto known = world.host_endpoints.find(key);
  if (known == world.host_endpoints.end()) return std::nullopt;
  return read(world, known->second.membership, list, direction, packet);
}

std::string to_string(const model::Rule& rule) {
  std::string text;
  switch (rule.action) {
    case model::RuleAction::kAllow: text = "allow"; break;
    case model::RuleAction::kDeny: text = "deny"; break;
    case model::RuleAction::kLog: text = "log"; break;
    case model::RuleAction::kPass: text = "pass"; break;
  }
  if (rule.ip_version) text += *rule.ip_version == base::Family::kIpv4 ? " ipv4" : " ipv6";
  if (rule.protocol) text += " " + text_of(*rule.protocol);
  if (rule.not_protocol) text += " not " + text_of(*rule.not_protocol);
  if (rule.icmp) text += " type " + text_of(*rule.icmp);
  if (rule.not_icmp) text += " not type " + text_of(*rule.not_icmp);
  if (const std::string source = text_of(rule.source); !source.empty()) text += " from" + source;
  if (const std::string destination = text_of(rule.destination); !destination.empty()) text += " to" + destination;
  return text;
}

std::string deciding_rule(const World& world, const Verdict& verdict, Direction direction) {
  const auto text = [&](const std::vector<model::Rule>& rules) {
    return verdict.rule < rules.size() ? to_string(rules[verdict.rule]) : std::string();
  };
  if (verdict.reason == Verdict::Reason::kPolicyRule) {
    const auto policy = world.policies.find(verdict.policy);
    return policy == world.policies.end() ? std::string() : text(rules_of(policy->second, direction));
  }
  if (verdict.reason != Verdict::Reason::kProfileRule) return {};
  const auto profile = world.profiles.find({verdict.profile});
  if (profile != world.profiles.end()) return text(rules_of(profile->second, direction));
  return verdict.action == Verdict::Action::kAllow ? "allow (built in)" : "deny (stands for the missing profile)";
}

}  // namespace calc
