// policy_table.h: which policies apply to which local endpoints, and in which order (spec felix-agent §3.3, §3.4,
// §3.7).
//
// Local endpoints appear as groups of equal labels and profiles; a policy is active when its selector matches a group,
// or when it asks to be programmed everywhere. Policies with the same selector share one entry in the label index, so
// matching costs by distinct selectors, not by policies.
//
// Staged policies are listed with the others but never programmed; see output.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <boost/container_hash/hash.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include "calc/containers/slab.h"
#include "calc/labels/label_index.h"
#include "calc/output.h"
#include "calc/policies/order.h"
#include "calc/policies/tier_lists.h"
#include "calc/rules/stored_rules.h"
#include "calc/sets/rule_sets.h"
#include "model/policy.h"
#include "model/update.h"

namespace calc {

class PolicyTable {
 public:
  explicit PolicyTable(const ProfileLabels& profiles)
      : local_(profiles),
        by_key_(0, KeyHash{&policies_}, KeyEqual{&policies_}),
        by_selector_(0, SlotHash{&local_}, SlotEqual{&local_}) {}

  void put(const model::PolicyKey& key, const model::Policy& policy);
  void erase(const model::PolicyKey& key);
  void put_tier(Symbol name, const model::Tier& tier);
  void erase_tier(Symbol name);

  // One reference to the group of a local endpoint's labels and profiles.
  GroupId acquire(std::span<const model::Label> labels, std::span<const Symbol> profiles);
  void release(GroupId group);
  std::span<const Symbol> profiles(GroupId group) const { return local_.profiles(group); }

  void before_profile_change(Symbol profile) { local_.before_profile_change(profile); }
  void after_profile_change(Symbol profile);

  // Adds what happened to active policies since the last call, and takes and gives back their sets.
  void collect(SetIndex& sets, Changes& changes);
  // Brings the tier lists of all groups up to date; returns the groups where they changed.
  std::vector<GroupId> refresh_lists();
  const std::shared_ptr<const TierLists>& lists(GroupId group) const { return lists_[group]; }

  std::size_t policy_count() const { return by_key_.size(); }
  std::size_t tier_count() const { return tiers_.count(); }

  void begin_resync();
  void keep(const model::PolicyKey& key);  // counts as put
  void keep_tier(Symbol name) { tiers_.keep(name); }
  std::vector<model::PolicyKey> stale_policies() const;
  std::vector<Symbol> stale_tiers() const { return tiers_.stale(); }

 private:
  using PolicyId = std::uint32_t;
  using SlotId = SelectorId;

  struct Flags {
    bool ingress : 1 = false;
    bool egress : 1 = false;
    bool do_not_track : 1 = false;
    bool pre_dnat : 1 = false;
    bool apply_on_forward : 1 = false;
    friend bool operator==(const Flags&, const Flags&) = default;
  };
  // Most of them never become active here, so the members are in an order without gaps.
  struct Entry {
    model::PolicyKey key;
    Symbol tier;
    std::optional<double> order;
    StoredRules rules;
    RuleSets sets;
    SlotId slot = kNoIndex;  // kNoIndex: no policy here
    Flags flags;
    bool needed_everywhere : 1 = false;
    bool announced : 1 = false;
    bool changed : 1 = false;  // what was announced, if anything, is out of date
    std::uint8_t generation = 0;
  };
  struct Slot {  // its selector is in the label index under the same number
    IdSet policies;
  };
  // The table of keys holds numbers; the keys themselves are in the entries.
  struct KeyHash {
    using is_transparent = void;
    const Slab<Entry>* policies;
    std::size_t operator()(PolicyId id) const { return (*this)((*policies)[id].key); }
    std::size_t operator()(const model::PolicyKey& key) const {
      return std::hash<Symbol>{}(key.name) * 31 + std::hash<Symbol>{}(key.ns) + static_cast<std::size_t>(key.kind);
    }
  };
  struct KeyEqual {
    using is_transparent = void;
    const Slab<Entry>* policies;
    bool operator()(PolicyId a, PolicyId b) const { return a == b; }
    bool operator()(PolicyId a, const model::PolicyKey& b) const { return (*policies)[a].key == b; }
    bool operator()(const model::PolicyKey& a, PolicyId b) const { return (*policies)[b].key == a; }
  };
  // A table of slots by the identity of their selectors: two of equal text that are not copies only mean one slot more.
  struct SlotHash {
    using is_transparent = void;
    const LabelIndex* selectors;
    std::size_t operator()(SlotId slot) const { return (*this)(selectors->condition(slot).selector.identity()); }
    std::size_t operator()(const void* identity) const { return boost::hash<const void*>{}(identity); }
  };
  struct SlotEqual {
    using is_transparent = void;
    const LabelIndex* selectors;
    bool operator()(SlotId a, SlotId b) const { return a == b; }
    bool operator()(SlotId a, const void* b) const { return selectors->condition(a).selector.identity() == b; }
    bool operator()(const void* a, SlotId b) const { return (*this)(b, a); }
  };
  using Ids = boost::unordered_flat_set<std::uint32_t>;

  const model::Selector& selector_of(SlotId slot) const { return local_.condition(slot).selector; }
  SlotId slot_for(const model::Selector& selector);
  void leave_slot(PolicyId id);
  bool is_matched(const Entry& entry) const { return !local_.groups(entry.slot).empty(); }
  bool is_active(const Entry& entry) const { return entry.needed_everywhere || is_matched(entry); }
  void mark_policies(SlotId slot);
  void mark_groups(SlotId slot);
  void mark_order(PolicyId id);
  bool comes_before(PolicyId a, PolicyId b) const;
  void refresh_ranks();
  std::shared_ptr<const TierLists> compute_lists(GroupId group);
  std::shared_ptr<const ActivePolicy> build(const Entry& entry, std::vector<SetSpec>& needed) const;

  LabelIndex local_;
  TierTable tiers_;
  Slab<Entry> policies_;
  boost::unordered_flat_set<PolicyId, KeyHash, KeyEqual> by_key_;
  Slab<Slot> slots_;
  boost::unordered_flat_set<SlotId, SlotHash, SlotEqual> by_selector_;

  Ids dirty_policies_;
  std::set<model::PolicyKey> removed_;  // announced, then erased
  std::vector<RuleSets> orphans_;       // sets of erased policies

  // Matched policies in order. A rank is a position here, so sorting an endpoint's policies is sorting numbers.
  std::vector<PolicyId> ranked_;
  std::vector<std::uint32_t> rank_;  // by policy
  Ids unranked_;                     // came, went or changed place
  bool all_unranked_ = false;

  Ids groups_;
  Ids dirty_groups_;
  std::vector<std::shared_ptr<const TierLists>> lists_;  // by group
  TierListsPool pool_;
  std::uint8_t generation_ = 0;
};

}  // namespace calc
