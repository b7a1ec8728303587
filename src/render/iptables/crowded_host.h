// crowded_host.h: a host of many guests in OpenStack security groups; for benchmarks only.
#pragma once

#include <cstdio>

#include "render/iptables/test_support.h"

namespace render::iptables::support {

constexpr std::size_t kGroups = 1000;

inline model::PolicyKey group(std::size_t i) {
  return World::policy_key("openstack", "ossg.default." + std::to_string(i));
}

// Four ports of TCP in, everything out; from the members of `source_set`, or from anywhere when it is empty.
inline calc::ActivePolicy security_group(std::size_t i, std::uint16_t port, const std::string& source_set = {}) {
  calc::ActivePolicy policy;
  policy.tier = World::symbol("default");
  policy.selector = "has(sg.projectcalico.org/openstack-" + std::to_string(i) + ")";
  for (std::uint16_t n = 0; n < 4; ++n) {
    calc::Rule tcp = rule(model::RuleAction::kAllow, "tcp");
    tcp.ip_version = base::Family::kIpv4;
    tcp.destination.ports = {{static_cast<std::uint16_t>(port + n), static_cast<std::uint16_t>(port + n)}};
    if (!source_set.empty()) tcp.source.sets = {source_set};
    policy.ingress.push_back(tcp);
  }
  policy.egress = {rule(model::RuleAction::kAllow)};
  return policy;
}

// Guest i, a member of two groups.
inline std::shared_ptr<const calc::LocalWorkload> guest(std::size_t i) {
  char name[16];
  std::snprintf(name, sizeof(name), "tap%08zx-%02zx", (i * 2654435761u) & 0xffffffffu, i % 256);
  const std::vector keys{group(i % kGroups), group((i * 7 + 1) % kGroups)};
  return World::workload(name, {World::tier("default", keys, keys)});
}

}  // namespace render::iptables::support
