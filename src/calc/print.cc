#include "calc/print.h"

#include <string_view>

#include "base/check.h"
#include "base/strings.h"

namespace calc {
namespace {

std::string text_of(Symbol symbol) { return std::string(symbol.view()); }

std::string_view protocol_name(std::uint8_t number) {
  switch (number) {
    case 6: return "tcp";
    case 17: return "udp";
    case 132: return "sctp";
    default: return "";
  }
}

std::string text_of(const model::Protocol& protocol) {
  return protocol.name.empty() ? std::to_string(protocol.number) : text_of(protocol.name);
}

std::string_view text_of(model::RuleAction action) {
  switch (action) {
    case model::RuleAction::kAllow: return "allow";
    case model::RuleAction::kDeny: return "deny";
    case model::RuleAction::kLog: return "log";
    case model::RuleAction::kPass: return "pass";
  }
  return "?";
}

std::string text_of(const model::IcmpMatch& icmp) {
  std::string text = std::to_string(icmp.type);
  if (icmp.code) text += "/" + std::to_string(*icmp.code);
  return text;
}

std::string text_of(const PortRange& range) {
  return range.first == range.last ? std::to_string(range.first)
                                   : std::to_string(range.first) + ":" + std::to_string(range.last);
}
std::string text_of(const base::Prefix& prefix) { return base::to_string(prefix); }
std::string text_of(const SetId& id) { return id; }

template <typename List>
void append_list(std::string& text, std::string_view word, const List& list) {
  if (list.empty()) return;
  std::vector<std::string> parts;
  for (const auto& item : list) parts.push_back(text_of(item));
  text.append(" ").append(word).append(" ").append(base::join(parts, ","));
}

std::string text_of(const RuleSide& side) {
  std::string text;
  append_list(text, "net", side.nets);
  append_list(text, "set", side.sets);
  append_list(text, "ports", side.ports);
  append_list(text, "port-sets", side.port_sets);
  append_list(text, "not-net", side.not_nets);
  append_list(text, "not-set", side.not_sets);
  append_list(text, "not-ports", side.not_ports);
  append_list(text, "not-port-sets", side.not_port_sets);
  return text;
}

void append_tiers(std::string& text, std::string_view list, const std::vector<TierPolicies>& tiers) {
  for (const TierPolicies& tier : tiers) {
    text.append("  ").append(list).append(" tier ").append(tier.tier.view());
    text.append(tier.default_action == model::TierAction::kPass ? " (end: pass)" : " (end: deny)");
    for (const model::PolicyKey& key : tier.ingress) text.append(" in ").append(model::policy_id(key));
    for (const model::PolicyKey& key : tier.egress) text.append(" out ").append(model::policy_id(key));
    text.append("\n");
  }
}

void append_profiles(std::string& text, const std::vector<Symbol>& profiles) {
  append_list(text, "profiles", profiles);
  text.append("\n");
}

void append_rules(std::string& text, std::string_view direction, const std::vector<Rule>& rules) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    text.append("  ").append(direction).append("[").append(std::to_string(i)).append("] ");
    text.append(to_string(rules[i])).append("\n");
  }
}

}  // namespace

std::string to_string(const SetMember& member) {
  if (member.protocol == 0) return base::to_string(member.prefix);
  return base::to_string(member.prefix.address) + "," + std::string(protocol_name(member.protocol)) + ":" +
         std::to_string(member.port);
}

std::string to_string(const Rule& rule) {
  std::string text(text_of(rule.action));
  if (rule.never_matches) text += " never";
  if (rule.ip_version) text += *rule.ip_version == base::Family::kIpv4 ? " ipv4" : " ipv6";
  if (rule.protocol) text += " " + text_of(*rule.protocol);
  if (rule.not_protocol) text += " not " + text_of(*rule.not_protocol);
  if (rule.icmp) text += " icmp " + text_of(*rule.icmp);
  if (rule.not_icmp) text += " not icmp " + text_of(*rule.not_icmp);
  if (const std::string source = text_of(rule.source); !source.empty()) text += " from" + source;
  if (const std::string destination = text_of(rule.destination); !destination.empty()) text += " to" + destination;
  return text;
}

std::string to_string(const ClusterRoute& route) {
  std::string text;
  switch (route.kind) {
    case ClusterRoute::Kind::kRemoteWorkload: text = "workload"; break;
    case ClusterRoute::Kind::kRemoteTunnel: text = "tunnel"; break;
    case ClusterRoute::Kind::kLocalBlock: text = "own-block"; break;
  }
  switch (route.pool) {
    case PoolKind::kNoEncap: text += " plain"; break;
    case PoolKind::kVxlan: text += " vxlan"; break;
    case PoolKind::kIpip: text += " ipip"; break;
  }
  text.append(route.same_subnet ? " same-subnet node " : " node ").append(route.node.view());
  if (route.node_address) text += " " + base::to_string(*route.node_address);
  return text;
}

std::string to_text(const State& state) {
  std::string text;
  for (const auto& [id, set] : state.sets) {
    text.append("set ").append(id).append(set.type == SetType::kNet ? " net" : " ip,port");
    for (const SetMember& member : set.members) text.append(" ").append(to_string(member));
    text.append("\n");
  }
  for (const auto& [key, policy] : state.policies) {
    text.append("policy ").append(model::policy_id(key)).append(" tier ").append(policy->tier.view());
    text.append(" selector ").append(policy->selector);
    if (policy->untracked) text.append(" untracked");
    if (policy->pre_dnat) text.append(" pre-dnat");
    if (policy->force_programmed) text.append(" force-programmed");
    text.append("\n");
    append_rules(text, "in", policy->ingress);
    append_rules(text, "out", policy->egress);
  }
  for (const auto& [name, profile] : state.profiles) {
    text.append("profile ").append(name.view()).append("\n");
    append_rules(text, "in", profile->ingress);
    append_rules(text, "out", profile->egress);
  }
  for (const auto& [key, endpoint] : state.workloads) {
    text.append("workload ").append(key.ns.view()).append("/").append(key.name);
    text.append(" interface ").append(endpoint->interface->name);
    append_profiles(text, endpoint->profiles);
    append_tiers(text, "normal", endpoint->tiers);
  }
  for (const auto& [key, endpoint] : state.host_endpoints) {
    text.append("host-endpoint ").append(key.name.view()).append(" interface ").append(endpoint->interface_name);
    for (const base::IpAddress& address : endpoint->expected_addresses)
      text.append(" ").append(base::to_string(address));
    append_profiles(text, endpoint->profiles);
    append_tiers(text, "normal", endpoint->tiers);
    append_tiers(text, "untracked", endpoint->untracked_tiers);
    append_tiers(text, "pre-dnat", endpoint->pre_dnat_tiers);
    append_tiers(text, "forward", endpoint->forward_tiers);
  }
  for (const auto& [cidr, pool] : state.pools) {
    text.append("pool ").append(base::to_string(cidr)).append(" ipip ");
    text.append(std::to_string(static_cast<int>(pool.ipip))).append(" vxlan ");
    text.append(std::to_string(static_cast<int>(pool.vxlan))).append(pool.nat_outgoing ? " nat-outgoing" : "");
    text.append(pool.disabled ? " disabled" : "").append(pool.disable_bgp_export ? " no-bgp" : "").append("\n");
  }
  for (const base::Prefix& range : state.service_ranges) {
    text.append("services ").append(base::to_string(range)).append("\n");
  }
  for (const auto& [prefix, route] : state.routes) {
    text.append("route ").append(base::to_string(prefix)).append(" ").append(to_string(route)).append("\n");
  }
  for (const auto& [name, node] : state.nodes) {
    text.append("node ").append(name.view());
    if (node.host_ipv4) text.append(" ").append(base::to_string(*node.host_ipv4));
    if (node.host_ipv6) text.append(" ").append(base::to_string(*node.host_ipv6));
    text.append("\n");
  }
  return text;
}

}  // namespace calc
