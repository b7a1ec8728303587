#include "calc/policies/policy_table.h"

#include <algorithm>

#include "base/check.h"
#include "calc/rules/rule_scanner.h"

namespace calc {

PolicyTable::SlotId PolicyTable::slot_for(const model::Selector& selector) {
  const auto known = by_selector_.find(selector.identity());
  if (known != by_selector_.end()) return *known;
  const SlotId slot = slots_.allocate();
  local_.add(slot, {selector, std::nullopt});
  by_selector_.insert(slot);
  return slot;
}

void PolicyTable::leave_slot(PolicyId id) {
  const SlotId slot_id = policies_[id].slot;
  Slot& slot = slots_[slot_id];
  slot.policies.erase(id);
  if (!slot.policies.empty()) return;
  by_selector_.erase(slot_id);
  local_.remove(slot_id);
  slots_.release(slot_id);
}

void PolicyTable::mark_policies(SlotId slot) {
  slots_[slot].policies.for_each([&](PolicyId id) {
    dirty_policies_.insert(id);
    mark_order(id);
  });
}

void PolicyTable::mark_groups(SlotId slot) {
  local_.groups(slot).for_each([&](GroupId group) { dirty_groups_.insert(group); });
}

void PolicyTable::mark_order(PolicyId id) { unranked_.insert(id); }

void PolicyTable::put(const model::PolicyKey& key, const model::Policy& policy) {
  const auto known = by_key_.find(key);
  const bool is_new = known == by_key_.end();
  const PolicyId id = is_new ? policies_.allocate() : *known;
  Entry& entry = policies_[id];
  if (is_new) {
    entry.key = key;
    entry.announced = removed_.erase(key) > 0;
    entry.changed = true;
    by_key_.insert(id);
  }
  entry.generation = generation_;

  const Flags flags{.ingress = policy.applies_to_ingress,
                    .egress = policy.applies_to_egress,
                    .do_not_track = policy.do_not_track,
                    .pre_dnat = policy.pre_dnat,
                    .apply_on_forward = policy.apply_on_forward};
  StoredRules rules(policy.ingress, policy.egress);
  const bool same_selector = !is_new && selector_of(entry.slot) == policy.selector;
  const bool same_place =
      same_selector && entry.tier == policy.tier && entry.order == policy.order && entry.flags == flags;
  const bool same_content = same_selector && entry.tier == policy.tier && entry.flags == flags &&
                            entry.needed_everywhere == policy.needed_on_every_node && entry.rules == rules;
  if (same_place && same_content) return;

  if (!same_place && !is_new) mark_groups(entry.slot);
  if (!same_selector) {
    const SlotId slot = slot_for(policy.selector);
    slots_[slot].policies.insert(id);
    if (!is_new) leave_slot(id);
    entry.slot = slot;
  }
  entry.tier = policy.tier;
  entry.order = policy.order;
  entry.flags = flags;
  entry.needed_everywhere = policy.needed_on_every_node;
  entry.rules = std::move(rules);
  if (!same_content) {
    entry.changed = true;
    if (is_active(entry) || entry.announced) dirty_policies_.insert(id);
  }
  if (!same_place) {
    mark_groups(entry.slot);
    mark_order(id);
  }
}

void PolicyTable::erase(const model::PolicyKey& key) {
  const auto known = by_key_.find(key);
  if (known == by_key_.end()) return;
  const PolicyId id = *known;
  Entry& entry = policies_[id];
  mark_groups(entry.slot);
  mark_order(id);
  if (entry.announced) removed_.insert(key);
  orphans_.push_back(std::move(entry.sets));
  leave_slot(id);
  dirty_policies_.erase(id);
  by_key_.erase(known);
  policies_.release(id);
}

void PolicyTable::put_tier(Symbol name, const model::Tier& tier) {
  if (tiers_.put(name, tier)) all_unranked_ = true;
}

void PolicyTable::erase_tier(Symbol name) {
  if (tiers_.erase(name)) all_unranked_ = true;
}

GroupId PolicyTable::acquire(std::span<const model::Label> labels, std::span<const Symbol> profiles) {
  const auto [group, is_new] = local_.acquire(labels, profiles);
  if (is_new) {
    groups_.insert(group);
    dirty_groups_.insert(group);
    for (const SlotId slot : local_.matches(group)) {
      if (local_.groups(slot).size() == 1) mark_policies(slot);
    }
    if (lists_.size() <= group) lists_.resize(group + 1);
  }
  return group;
}

void PolicyTable::release(GroupId group) {
  std::vector<SlotId> last_match;
  for (const SlotId slot : local_.matches(group)) {
    if (local_.groups(slot).size() == 1) last_match.push_back(slot);
  }
  if (!local_.release(group)) return;
  groups_.erase(group);
  dirty_groups_.erase(group);
  lists_[group].reset();
  for (const SlotId slot : last_match) mark_policies(slot);
}

void PolicyTable::after_profile_change(Symbol profile) {
  for (const LabelIndex::MatchChange& change : local_.after_profile_change(profile)) {
    dirty_groups_.insert(change.group);
    mark_policies(change.selector);
  }
}

std::shared_ptr<const ActivePolicy> PolicyTable::build(const Entry& entry, std::vector<SetSpec>& needed) const {
  ActivePolicy active;
  active.tier = entry.tier;
  active.selector = selector_of(entry.slot).canonical();
  if (!model::is_staged(entry.key.kind)) {
    const StoredRules::Lists rules = entry.rules.read();
    active.ingress = scan_rules(rules.ingress, needed);
    active.egress = scan_rules(rules.egress, needed);
  }
  active.untracked = entry.flags.do_not_track;
  active.pre_dnat = entry.flags.pre_dnat;
  active.force_programmed = entry.needed_everywhere;
  return std::make_shared<const ActivePolicy>(std::move(active));
}

void PolicyTable::collect(SetIndex& sets, Changes& changes) {
  for (const PolicyId id : dirty_policies_) {
    Entry& entry = policies_[id];
    if (!is_active(entry)) {
      if (!entry.announced) continue;
      entry.announced = false;
      entry.sets.clear(sets);
      changes.policies_removed.insert(entry.key);
      continue;
    }
    if (entry.announced && !entry.changed) continue;
    std::vector<SetSpec> needed;
    changes.policies.emplace(entry.key, build(entry, needed));
    entry.sets.replace(sets, needed);
    entry.announced = true;
    entry.changed = false;
  }
  dirty_policies_.clear();
  for (RuleSets& orphan : orphans_) orphan.clear(sets);
  orphans_.clear();
  changes.policies_removed.merge(removed_);
  removed_.clear();
}

bool PolicyTable::comes_before(PolicyId a, PolicyId b) const {
  const Entry& first = policies_[a];
  const Entry& second = policies_[b];
  if (first.tier != second.tier) return tiers_.before(first.tier, second.tier);
  return policy_before(first.order, first.key, second.order, second.key);
}

void PolicyTable::refresh_ranks() {
  if (unranked_.empty() && !all_unranked_) return;
  std::erase_if(ranked_, [&](PolicyId id) { return unranked_.contains(id); });
  const auto before = [&](PolicyId a, PolicyId b) { return comes_before(a, b); };
  std::vector<PolicyId> arrived;
  for (const PolicyId id : unranked_) {
    if (policies_[id].slot != kNoIndex && is_matched(policies_[id])) arrived.push_back(id);
  }
  // A few arrivals are inserted, many are sorted together with the rest.
  constexpr std::size_t kFew = 8;
  if (!all_unranked_ && arrived.size() <= kFew) {
    for (const PolicyId id : arrived) ranked_.insert(std::ranges::lower_bound(ranked_, id, before), id);
  } else {
    ranked_.insert(ranked_.end(), arrived.begin(), arrived.end());
    std::ranges::sort(ranked_, before);
  }
  rank_.resize(policies_.end());
  for (std::uint32_t rank = 0; rank < ranked_.size(); ++rank) rank_[ranked_[rank]] = rank;
  if (all_unranked_) dirty_groups_.insert(groups_.begin(), groups_.end());
  unranked_.clear();
  all_unranked_ = false;
}

std::shared_ptr<const TierLists> PolicyTable::compute_lists(GroupId group) {
  std::vector<std::uint32_t> ranks;
  for (const SlotId slot : local_.matches(group)) {
    slots_[slot].policies.for_each([&](PolicyId id) { ranks.push_back(rank_[id]); });
  }
  std::ranges::sort(ranks);
  std::vector<PolicyUse> policies;
  policies.reserve(ranks.size());
  for (const std::uint32_t rank : ranks) {
    const Entry& entry = policies_[ranked_[rank]];
    policies.push_back({.key = entry.key,
                        .tier = entry.tier,
                        .default_action = tiers_.default_action(entry.tier),
                        .ingress = entry.flags.ingress,
                        .egress = entry.flags.egress,
                        .do_not_track = entry.flags.do_not_track,
                        .pre_dnat = entry.flags.pre_dnat,
                        .apply_on_forward = entry.flags.apply_on_forward});
  }
  return pool_.share(split_into_lists(policies));
}

std::vector<GroupId> PolicyTable::refresh_lists() {
  refresh_ranks();
  std::vector<GroupId> changed;
  for (const GroupId group : dirty_groups_) {
    auto lists = compute_lists(group);
    if (lists == lists_[group]) continue;
    lists_[group] = std::move(lists);
    changed.push_back(group);
  }
  dirty_groups_.clear();
  if (!changed.empty()) pool_.sweep();
  return changed;
}

void PolicyTable::begin_resync() {
  ++generation_;
  tiers_.begin_resync();
}

void PolicyTable::keep(const model::PolicyKey& key) {
  if (const auto known = by_key_.find(key); known != by_key_.end()) policies_[*known].generation = generation_;
}

std::vector<model::PolicyKey> PolicyTable::stale_policies() const {
  std::vector<model::PolicyKey> keys;
  for (const PolicyId id : by_key_) {
    if (policies_[id].generation != generation_) keys.push_back(policies_[id].key);
  }
  return keys;
}

}  // namespace calc
