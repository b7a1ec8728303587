// endpoint_chains.h: the chains of one endpoint (spec dataplane §9, §19, §22): state, limits, connection tracking,
// tiers, profiles.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "render/iptables/context.h"
#include "render/iptables/policy_chains.h"
#include "render/iptables/rule.h"
#include "render/objects.h"

namespace render::iptables {

using Policies = std::map<model::PolicyKey, std::shared_ptr<const calc::ActivePolicy>>;

// A chain and the policy groups it jumps to, which the caller must provide as chains too.
struct EndpointChain {
  Chain chain;
  std::vector<PolicyGroup> groups;  // only those with a chain of their own
  Direction direction = Direction::kIngress;
};

// cali-tw-X and cali-fw-X, in filter.
std::vector<EndpointChain> render_workload(const Context& context, const Policies& policies, std::string_view interface,
                                           const calc::LocalWorkload& endpoint);

// Chains of a host endpoint in one table: filter has cali-th-, fh-, thfw-, fhfw-; mangle th- and, with pre-DNAT policy,
// fh-; raw both if there is untracked policy. `interface` may be kAnyInterface.
std::vector<EndpointChain> render_host(const Context& context, const Policies& policies, Table table,
                                       std::string_view interface, const calc::LocalHostEndpoint& endpoint);

}  // namespace render::iptables
