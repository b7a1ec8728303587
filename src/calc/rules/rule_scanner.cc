#include "calc/rules/rule_scanner.h"

#include <algorithm>

namespace calc {
namespace {

constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;
constexpr std::uint8_t kSctp = 132;

// The protocol that a rule's named ports are looked up with: that of the rule, and any if it has none.
std::uint8_t named_port_protocol(const std::optional<model::Protocol>& protocol) {
  if (!protocol) return 0;
  return protocol->number == kUdp || protocol->number == kSctp ? protocol->number : kTcp;
}

std::vector<PortRange> numeric(const std::vector<model::Port>& ports) {
  std::vector<PortRange> ranges;
  for (const model::Port& port : ports) {
    if (!port.is_named()) ranges.push_back({port.first, port.last});
  }
  return ranges;
}

class SideScanner {
 public:
  SideScanner(const model::RuleEntity& entity, std::uint8_t protocol, std::vector<SetSpec>& needed)
      : entity_(entity), protocol_(protocol), needed_(needed) {
    if (entity.selector) condition_ = {*entity.selector, entity.not_selector};
  }

  RuleSide scan() {
    RuleSide side;
    side.nets = entity_.nets;
    side.not_nets = entity_.not_nets;
    side.ports = numeric(entity_.ports);
    side.not_ports = numeric(entity_.not_ports);
    side.port_sets = named(entity_.ports);
    // Also within the positive selector: outside it the rule does not match anyway.
    side.not_port_sets = named(entity_.not_ports);
    // A side with nothing but named ports is restricted to the selector by their sets already.
    const bool implied_by_ports = side.ports.empty() && !side.port_sets.empty();
    if (entity_.selector && !implied_by_ports) side.sets.push_back(need(selector_set(condition_)));
    if (!entity_.selector && entity_.not_selector) {
      side.not_sets.push_back(need(selector_set({*entity_.not_selector, std::nullopt})));
    }
    return side;
  }

 private:
  SetId need(SetSpec spec) {
    SetId id = spec.id;
    needed_.push_back(std::move(spec));
    return id;
  }

  std::vector<SetId> named(const std::vector<model::Port>& ports) {
    std::vector<SetId> ids;
    for (const model::Port& port : ports) {
      if (port.is_named()) ids.push_back(need(named_port_set(condition_, port.name, protocol_)));
    }
    return ids;
  }

  const model::RuleEntity& entity_;
  const std::uint8_t protocol_;
  std::vector<SetSpec>& needed_;
  Condition condition_;  // all() if the side has no positive selector
};

}  // namespace

Rule scan_rule(const model::Rule& rule, std::vector<SetSpec>& needed) {
  const std::uint8_t protocol = named_port_protocol(rule.protocol);
  Rule scanned;
  scanned.action = rule.action;
  scanned.ip_version = rule.ip_version;
  scanned.protocol = rule.protocol;
  scanned.not_protocol = rule.not_protocol;
  scanned.icmp = rule.icmp;
  scanned.not_icmp = rule.not_icmp;
  scanned.source = SideScanner(rule.source, protocol, needed).scan();
  scanned.destination = SideScanner(rule.destination, protocol, needed).scan();
  scanned.never_matches = !rule.source.service.empty() || !rule.destination.service.empty();
  scanned.annotations = rule.annotations;
  return scanned;
}

std::vector<Rule> scan_rules(const std::vector<model::Rule>& rules, std::vector<SetSpec>& needed) {
  std::vector<Rule> scanned;
  scanned.reserve(rules.size());
  for (const model::Rule& rule : rules) scanned.push_back(scan_rule(rule, needed));
  return scanned;
}

}  // namespace calc
