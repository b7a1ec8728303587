// test_support.h: short ways to build calculation output and to take rendered chains apart; for tests only.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/strings.h"
#include "base/symbol.h"
#include "calc/output.h"
#include "render/iptables/rendered_chain.h"
#include "render/settings.h"

namespace render::iptables::support {

struct Line {
  std::string id;
  std::string body;  // after the id comment, without the leading blank
};

inline std::vector<Line> lines_of(const RenderedChain& chain) {
  std::vector<Line> lines;
  const std::string start = "-A " + chain.name + " -m comment --comment \"cali:";
  for (const std::string_view text : base::split(chain.lines, '\n')) {
    if (text.empty()) continue;
    CHECK(text.starts_with(start));
    const std::string_view rest = text.substr(start.size() + kRuleIdLength + 1);  // after the closing quote
    lines.push_back(
        {std::string(text.substr(start.size(), kRuleIdLength)), std::string(rest.empty() ? rest : rest.substr(1))});
  }
  return lines;
}

// Bodies only, for tests of texts.
inline std::vector<std::string> bodies_of(const RenderedChain& chain) {
  std::vector<std::string> bodies;
  for (const Line& line : lines_of(chain)) bodies.push_back(line.body);
  return bodies;
}

inline base::IpAddress address(std::string_view text) { return base::parse_address(text).value(); }
inline base::Prefix net(std::string_view text) { return base::parse_cidr(text).value(); }

// Builds the calculation's output by hand. Symbols live as long as the process.
class World {
 public:
  static base::Symbol symbol(std::string_view text) {
    static base::Interner interner;
    return interner.intern(text);
  }

  calc::Changes changes;

  static model::PolicyKey policy_key(std::string_view ns, std::string_view name,
                                     model::PolicyKind kind = model::PolicyKind::kNetworkPolicy) {
    return {kind, symbol(ns), symbol(name)};
  }

  World& policy(const model::PolicyKey& key, calc::ActivePolicy policy) {
    changes.policies[key] = std::make_shared<const calc::ActivePolicy>(std::move(policy));
    return *this;
  }

  static model::WorkloadEndpointKey workload_key(std::string_view interface) {
    return {symbol("openstack"), std::string(interface)};
  }

  static std::shared_ptr<const calc::LocalWorkload> workload(std::string_view interface,
                                                             std::vector<calc::TierPolicies> tiers,
                                                             std::vector<base::Symbol> profiles = {},
                                                             model::WorkloadInterface more = {}) {
    more.name = interface;
    more.orchestrator = "openstack";
    if (more.workload.empty()) more.workload = "openstack/" + std::string(interface);
    more.endpoint = interface;
    auto endpoint = std::make_shared<calc::LocalWorkload>();
    endpoint->interface = std::make_shared<const model::WorkloadInterface>(std::move(more));
    endpoint->tiers = std::move(tiers);
    endpoint->profiles = std::move(profiles);
    return endpoint;
  }

  World& add(std::shared_ptr<const calc::LocalWorkload> endpoint) {
    changes.workloads[workload_key(endpoint->interface->name)] = std::move(endpoint);
    return *this;
  }

  static calc::TierPolicies tier(std::string_view name, std::vector<model::PolicyKey> ingress,
                                 std::vector<model::PolicyKey> egress) {
    return {symbol(name), model::TierAction::kDeny, std::move(ingress), std::move(egress)};
  }

  calc::Snapshot snapshot() const { return {changes}; }
  calc::Delta delta() const { return {changes}; }
};

inline calc::Rule rule(model::RuleAction action, std::string_view protocol = {}) {
  calc::Rule out;
  out.action = action;
  if (protocol.empty()) return out;
  const std::uint8_t number = protocol == "tcp"      ? 6
                              : protocol == "udp"    ? 17
                              : protocol == "icmp"   ? 1
                              : protocol == "icmpv6" ? 58
                                                     : 0;
  out.protocol = model::Protocol{World::symbol(protocol), number};
  return out;
}

// Prefix tap, IPIP with a tunnel address, metadata at 127.0.0.1: the configuration of the vectors.
inline Settings openstack_settings() {
  Settings settings;
  settings.hostname = World::symbol("compute-01");
  settings.interface_prefixes = {"tap"};
  settings.openstack = true;
  settings.metadata_address = address("127.0.0.1");
  settings.tunnels.ipip = true;
  settings.tunnels.ipip_address = true;
  return settings;
}

}  // namespace render::iptables::support
