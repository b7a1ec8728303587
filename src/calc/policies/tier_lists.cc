#include "calc/policies/tier_lists.h"

#include <algorithm>

namespace calc {
namespace {

void append(std::vector<TierPolicies>& list, const PolicyUse& policy, bool ingress, bool egress,
            model::TierAction default_action) {
  if (!ingress && !egress) return;
  if (list.empty() || list.back().tier != policy.tier) {
    list.push_back({.tier = policy.tier, .default_action = default_action, .ingress = {}, .egress = {}});
  }
  if (ingress) list.back().ingress.push_back(policy.key);
  if (egress) list.back().egress.push_back(policy.key);
}

std::uint64_t hash_of(const TierLists& lists) {
  std::uint64_t hash = 0;
  const auto mix = [&](std::uint64_t value) { hash = (hash ^ value) * 0x9E3779B97F4A7C15ull + (hash >> 29); };
  for (const auto* list : {&lists.normal, &lists.untracked, &lists.pre_dnat, &lists.forward}) {
    mix(list->size());
    for (const TierPolicies& tier : *list) {
      mix(tier.tier.id());
      for (const auto* direction : {&tier.ingress, &tier.egress}) {
        mix(direction->size());
        for (const model::PolicyKey& key : *direction) mix(std::uint64_t{key.name.id()} << 32 | key.ns.id());
      }
    }
  }
  return hash;
}

}  // namespace

TierLists split_into_lists(std::span<const PolicyUse> policies) {
  TierLists lists;
  for (const PolicyUse& policy : policies) {
    if (policy.do_not_track) {
      append(lists.untracked, policy, policy.ingress, policy.egress, model::TierAction::kPass);
    } else if (policy.pre_dnat) {
      append(lists.pre_dnat, policy, policy.ingress, false, model::TierAction::kPass);
    } else {
      append(lists.normal, policy, policy.ingress, policy.egress, policy.default_action);
      if (policy.apply_on_forward) append(lists.forward, policy, policy.ingress, policy.egress, policy.default_action);
    }
  }
  return lists;
}

std::shared_ptr<const TierLists> TierListsPool::share(TierLists lists) {
  auto& candidates = by_hash_[hash_of(lists)];
  for (const auto& candidate : candidates) {
    if (*candidate == lists) return candidate;
  }
  candidates.push_back(std::make_shared<const TierLists>(std::move(lists)));
  return candidates.back();
}

void TierListsPool::sweep() {
  erase_if(by_hash_, [](auto& entry) {
    std::erase_if(entry.second, [](const auto& lists) { return lists.use_count() == 1; });
    return entry.second.empty();
  });
}

}  // namespace calc
