// policy_chains.h: chains of policies, profiles and policy groups, and the rendering of one policy rule (spec dataplane
// §10, §11).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/ip.h"
#include "calc/output.h"
#include "render/iptables/context.h"
#include "render/iptables/names.h"
#include "render/iptables/rule.h"
#include "render/objects.h"

namespace render::iptables {

// What a rule's LOG prefix may name.
struct RuleOwner {
  std::string tier;              // %t, empty for profiles
  std::string kind;              // %k
  std::string name;              // %n
  std::string full_name;         // %p
  Table table = Table::kFilter;  // decides only whether a deny may REJECT
};

// The iptables rules for one policy rule in one family: none if the rule cannot match packets of that family.
std::vector<Rule> render_rule(const Context& context, Family family, const calc::Rule& rule, const RuleOwner& owner);

// `policy` is not staged. Unless the deny action is REJECT, the chain of one table serves all.
Chain render_policy(const Context& context, Family family, Table table, Direction direction,
                    const model::PolicyKey& key, const calc::ActivePolicy& policy);
Chain render_profile(const Context& context, Family family, Table table, Direction direction, base::Symbol name,
                     const calc::ActiveProfile& profile);

// Consecutive policies of a tier with one selector. Named by its members, staged ones included.
struct PolicyGroup {
  std::string chain;                     // empty if the policies are jumped to directly
  std::vector<model::PolicyKey> active;  // without staged ones
};
// Groups of one tier, in order. A policy unknown to `policies` counts as one of its own selector "".
std::vector<PolicyGroup> group_policies(
    const std::map<model::PolicyKey, std::shared_ptr<const calc::ActivePolicy>>& policies, Direction direction,
    std::span<const model::PolicyKey> members);
Chain render_group(const Context& context, Direction direction, const PolicyGroup& group);

}  // namespace render::iptables
