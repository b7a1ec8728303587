// local_table.h: this host's endpoints of one kind, each with its group of labels and profiles, and what was last said
// about it. Used for workload and for host endpoints.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "calc/policies/policy_table.h"
#include "calc/profiles/profile_table.h"
#include "model/endpoint.h"

namespace calc {

// Own is the endpoint's own data, beside labels and profiles; it has ==.
template <typename Key, typename Own>
class LocalTable {
 public:
  // Both outlive the table.
  LocalTable(PolicyTable& policies, ProfileTable& profiles) : policies_(policies), profiles_(profiles) {}

  void put(const Key& key, Own own, const model::Membership& membership) {
    const auto [known, is_new] = entries_.try_emplace(key);
    Entry& entry = known->second;
    const GroupId group = policies_.acquire(membership.labels, membership.profiles);
    for (const Symbol profile : membership.profiles) profiles_.acquire(profile);
    if (is_new) {
      entry.announced = removed_.erase(key) > 0;
    } else {
      let_go(entry.group);
    }
    entry.group = group;
    entry.own = std::move(own);
    entry.generation = generation_;
    dirty_.insert(key);
  }

  void erase(const Key& key) {
    const auto known = entries_.find(key);
    if (known == entries_.end()) return;
    let_go(known->second.group);
    if (known->second.announced) removed_.insert(key);
    dirty_.erase(key);
    entries_.erase(known);
  }

  // Adds the endpoints that differ from what was last said. build(own, profiles, lists) makes the value. True if any
  // endpoint came, went or changed its own data.
  template <typename Updated, typename Build>
  bool collect(const std::set<GroupId>& changed_groups, Updated& updated, std::set<Key>& removed, Build build) {
    if (!changed_groups.empty()) {
      for (const auto& [key, entry] : entries_) {
        if (changed_groups.contains(entry.group)) dirty_.insert(key);
      }
    }
    bool any = !removed_.empty();
    for (const Key& key : dirty_) {
      Entry& entry = entries_.at(key);
      const auto& lists = policies_.lists(entry.group);
      const auto profiles = policies_.profiles(entry.group);
      const bool same_own = entry.announced && entry.said_own == entry.own;
      if (same_own && entry.said_lists == lists && std::ranges::equal(entry.said_profiles, profiles)) continue;
      any |= !same_own;
      entry.announced = true;
      entry.said_own = entry.own;
      entry.said_lists = lists;
      entry.said_profiles.assign(profiles.begin(), profiles.end());
      updated.emplace(key, build(entry.own, entry.said_profiles, *lists));
    }
    dirty_.clear();
    removed.merge(removed_);
    removed_.clear();
    return any;
  }

  template <typename Visitor>
  void for_each(Visitor visit) const {
    for (const auto& [key, entry] : entries_) visit(key, entry.own);
  }

  void begin_resync() { ++generation_; }
  void keep(const Key& key) {
    if (const auto known = entries_.find(key); known != entries_.end()) known->second.generation = generation_;
  }
  std::vector<Key> stale() const {
    std::vector<Key> keys;
    for (const auto& [key, entry] : entries_) {
      if (entry.generation != generation_) keys.push_back(key);
    }
    return keys;
  }

 private:
  struct Entry {
    Own own;
    GroupId group = kNoIndex;
    std::uint8_t generation = 0;
    bool announced = false;
    Own said_own;
    std::vector<Symbol> said_profiles;
    std::shared_ptr<const TierLists> said_lists;  // null forces the next look to speak
  };

  void let_go(GroupId group) {
    for (const Symbol profile : policies_.profiles(group)) profiles_.release(profile);
    policies_.release(group);
  }

  PolicyTable& policies_;
  ProfileTable& profiles_;
  std::map<Key, Entry> entries_;
  std::set<Key> dirty_;
  std::set<Key> removed_;  // announced, then erased
  std::uint8_t generation_ = 0;
};

}  // namespace calc
