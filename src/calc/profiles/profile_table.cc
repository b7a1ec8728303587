#include "calc/profiles/profile_table.h"

#include <algorithm>
#include <memory>

#include "base/check.h"
#include "calc/rules/rule_scanner.h"

namespace calc {

bool is_built_in_profile(Symbol name) { return name.view() == model::kDefaultAllowProfile; }

ActiveProfile stand_in_profile(Symbol name) {
  Rule rule;
  rule.action = is_built_in_profile(name) ? model::RuleAction::kAllow : model::RuleAction::kDeny;
  return {.ingress = {rule}, .egress = {rule}};
}

void ProfileTable::put(Symbol name, StoredRules rules) {
  if (is_built_in_profile(name)) return;  // a stored object of that name is not the profile everybody knows
  Entry& entry = entries_[name];
  entry.generation = generation_;
  if (entry.exists && entry.rules == rules) return;
  count_ += entry.exists ? 0 : 1;
  entry.rules = std::move(rules);
  entry.exists = true;
  entry.changed = true;
  if (entry.references > 0) dirty_.insert(name);
}

void ProfileTable::erase(Symbol name) {
  const auto known = entries_.find(name);
  if (known == entries_.end() || !known->second.exists) return;
  Entry& entry = known->second;
  entry.rules = StoredRules();
  entry.exists = false;
  --count_;
  entry.changed = true;
  if (entry.references > 0 || entry.announced) {
    dirty_.insert(name);
  } else {
    entries_.erase(known);
  }
}

void ProfileTable::acquire(Symbol name) {
  if (++entries_[name].references == 1) dirty_.insert(name);
}

void ProfileTable::release(Symbol name) {
  Entry& entry = entries_.at(name);
  CHECK(entry.references > 0);
  if (--entry.references == 0) dirty_.insert(name);
}

void ProfileTable::collect(SetIndex& sets, Changes& changes) {
  for (const Symbol name : dirty_) {
    const auto known = entries_.find(name);
    if (known == entries_.end()) continue;
    Entry& entry = known->second;
    if (entry.references == 0) {
      entry.sets.clear(sets);
      if (entry.announced) changes.profiles_removed.insert(name);
      entry.announced = false;
      if (!entry.exists) entries_.erase(known);
      continue;
    }
    if (entry.announced && !entry.changed) continue;
    ActiveProfile active;
    std::vector<SetSpec> needed;
    if (entry.exists) {
      const StoredRules::Lists rules = entry.rules.read();
      active.ingress = scan_rules(rules.ingress, needed);
      active.egress = scan_rules(rules.egress, needed);
    } else {
      active = stand_in_profile(name);
    }
    entry.sets.replace(sets, needed);
    entry.announced = true;
    entry.changed = false;
    changes.profiles.emplace(name, std::make_shared<const ActiveProfile>(std::move(active)));
  }
  dirty_.clear();
}

std::vector<Symbol> ProfileTable::missing() const {
  std::vector<Symbol> names;
  for (const auto& [name, entry] : entries_) {
    if (entry.references > 0 && !entry.exists && !is_built_in_profile(name)) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

void ProfileTable::keep(Symbol name) {
  if (const auto known = entries_.find(name); known != entries_.end()) known->second.generation = generation_;
}

std::vector<Symbol> ProfileTable::stale() const {
  std::vector<Symbol> names;
  for (const auto& [name, entry] : entries_) {
    if (entry.exists && entry.generation != generation_) names.push_back(name);
  }
  return names;
}

}  // namespace calc
