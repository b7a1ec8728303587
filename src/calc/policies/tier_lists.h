// tier_lists.h: the policies that apply to one endpoint, split by what they are for (spec felix-agent §2.7).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "calc/output.h"
#include "model/policy.h"

namespace calc {

struct TierLists {
  std::vector<TierPolicies> normal;
  std::vector<TierPolicies> untracked;  // host endpoints only, like the next two
  std::vector<TierPolicies> pre_dnat;
  std::vector<TierPolicies> forward;
  friend bool operator==(const TierLists&, const TierLists&) = default;
};

// What deciding the list of a policy needs to know about it.
struct PolicyUse {
  model::PolicyKey key;
  Symbol tier;
  model::TierAction default_action;
  bool ingress;
  bool egress;
  bool do_not_track;
  bool pre_dnat;
  bool apply_on_forward;
};

// REQUIRES: policies in final order, those of a tier next to each other.
TierLists split_into_lists(std::span<const PolicyUse> policies);

// Endpoints with the same policies share one copy of the lists, so that "did they change" is a comparison of pointers.
class TierListsPool {
 public:
  std::shared_ptr<const TierLists> share(TierLists lists);
  void sweep();  // forgets lists that nobody uses

 private:
  boost::unordered_flat_map<std::uint64_t, std::vector<std::shared_ptr<const TierLists>>> by_hash_;
};

}  // namespace calc
