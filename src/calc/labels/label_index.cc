#include "calc/labels/label_index.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace calc {
namespace {

std::uint32_t mix(std::uint64_t hash, std::uint32_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15ull;
  return static_cast<std::uint32_t>(hash >> 32);
}

std::uint32_t hash_of(std::span<const model::Label> labels, std::span<const model::Symbol> profiles) {
  auto hash = static_cast<std::uint32_t>(labels.size());
  for (const model::Label& label : labels) hash = mix(mix(hash, label.name.id()), label.value.id());
  for (const model::Symbol profile : profiles) hash = mix(hash, profile.id());
  return hash;
}

}  // namespace

bool LabelIndex::ContentEqual::operator()(GroupId a, const Content& b) const {
  return (*groups)[a].content.is(b.labels, b.profiles);
}

LabelIndex::LabelIndex(const ProfileLabels& profiles)
    : profiles_(profiles), by_content_(0, ContentHash{&groups_}, ContentEqual{&groups_}) {}

bool LabelIndex::is(GroupId id, std::span<const model::Label> labels, std::span<const model::Symbol> profiles) const {
  return groups_[id].content.is(labels, profiles);
}

std::span<const SelectorId> LabelIndex::matches(GroupId id) const { return groups_[id].matches.items(); }

// Own labels win, then those of the first profile in the list that has the name (spec datamodel §5.3).
std::span<const model::Label> LabelIndex::effective(const Group& group, model::Labels& scratch) const {
  const auto own = group.content.labels();
  scratch.clear();
  for (const model::Symbol profile : group.content.profiles()) {
    const auto inherited = profiles_.of(profile);
    if (inherited.empty()) continue;
    if (scratch.empty()) scratch.assign(own.begin(), own.end());
    for (const model::Label& label : inherited) {
      if (model::find_label(scratch, label.name) == nullptr) scratch.push_back(label);
    }
  }
  if (scratch.empty()) return own;
  std::ranges::sort(scratch, {}, [](const model::Label& label) { return label.name.id(); });
  return scratch;
}

void LabelIndex::list(GroupId id, std::span<const model::Label> labels) {
  for (const model::Label& label : labels) {
    Name& name = names_[label.name];
    ++name.groups;
    if (name.by_value) (*name.by_value)[label.value].insert(id);
  }
}

void LabelIndex::unlist(GroupId id, std::span<const model::Label> labels) {
  for (const model::Label& label : labels) {
    const auto name = names_.find(label.name);
    CHECK(name != names_.end());
    if (--name->second.groups == 0) {
      names_.erase(name);
      continue;
    }
    if (!name->second.by_value) continue;
    const auto valued = name->second.by_value->find(label.value);
    valued->second.erase(id);
    if (valued->second.empty()) name->second.by_value->erase(valued);
  }
}

LabelIndex::Acquired LabelIndex::acquire(std::span<const model::Label> labels,
                                         std::span<const model::Symbol> profiles) {
  const Content content{labels, profiles, hash_of(labels, profiles)};
  if (const auto known = by_content_.find(content); known != by_content_.end()) {
    ++groups_[*known].references;
    return {*known, false};
  }
  const GroupId id = groups_.allocate();
  Group& group = groups_[id];
  group.references = 1;
  group.hash = content.hash;
  group.content = GroupContent(labels, profiles);
  by_content_.insert(id);
  for (const model::Symbol profile : profiles) by_profile_[profile].insert(id);

  const auto all_labels = effective(group, scratch_);
  list(id, all_labels);
  filing_.for_each_candidate(all_labels, [&](SelectorId selector) {
    if (!evaluate(selectors_[selector].condition, all_labels)) return;
    group.matches.push_back(selector);
    selectors_[selector].groups.insert(id);
  });
  return {id, true};
}

bool LabelIndex::release(GroupId id) {
  Group& group = groups_[id];
  CHECK(group.references > 0);
  if (--group.references > 0) return false;
  for (const SelectorId selector : group.matches.items()) selectors_[selector].groups.erase(id);
  unlist(id, effective(group, scratch_));
  for (const model::Symbol profile : group.content.profiles()) {
    const auto known = by_profile_.find(profile);
    if (known == by_profile_.end()) continue;  // listed twice
    known->second.erase(id);
    if (known->second.empty()) by_profile_.erase(known);
  }
  by_content_.erase(id);
  groups_.release(id);
  return true;
}

LabelIndex::Plan LabelIndex::plan(const Condition& condition) const {
  if (condition.selector.is_impossible()) return {Plan::Kind::kNone, nullptr};
  Plan best;
  std::size_t fewest = SIZE_MAX;
  for (const model::LabelRestriction& restriction : condition.selector.restrictions()) {
    if (!restriction.must_be_present() && !restriction.has_values()) continue;
    const auto name = names_.find(restriction.name());
    if (name == names_.end()) return {Plan::Kind::kNone, nullptr};
    std::size_t groups = name->second.groups;
    if (restriction.has_values() && name->second.by_value) {
      groups = 0;
      for (const model::Symbol value : restriction.values()) {
        const auto valued = name->second.by_value->find(value);
        if (valued != name->second.by_value->end()) groups += valued->second.size();
      }
    }
    if (groups >= fewest) continue;
    fewest = groups;
    best = {restriction.has_values() ? Plan::Kind::kValues : Plan::Kind::kPresent, &restriction};
  }
  return best;
}

// Lists the groups behind each of the names.
void LabelIndex::build(const Symbols& names) {
  if (names.empty()) return;
  for (const model::Symbol name : names) names_[name].by_value = std::make_unique<GroupsByValue>();
  for (GroupId id = 0; id < groups_.end(); ++id) {
    const Group& group = groups_[id];
    if (group.references == 0) continue;
    for (const model::Label& label : effective(group, scratch_)) {
      if (!names.contains(label.name)) continue;
      (*names_[label.name].by_value)[label.value].insert(id);
    }
  }
}

void LabelIndex::prepare(std::span<const Condition* const> conditions) {
  Symbols wanted;
  for (const Condition* condition : conditions) {
    const Plan planned = plan(*condition);
    if (planned.restriction == nullptr || names_.at(planned.restriction->name()).by_value) continue;
    wanted.insert(planned.restriction->name());
  }
  build(wanted);
}

template <typename Visitor>
void LabelIndex::for_each_candidate(const Plan& plan, Visitor visit) const {
  switch (plan.kind) {
    case Plan::Kind::kNone: break;
    case Plan::Kind::kAll:
      for (GroupId id = 0; id < groups_.end(); ++id) {
        if (groups_[id].references > 0) visit(id);
      }
      break;
    case Plan::Kind::kPresent:
      for (const auto& [value, groups] : *names_.at(plan.restriction->name()).by_value) groups.for_each(visit);
      break;
    case Plan::Kind::kValues: {
      const GroupsByValue& by_value = *names_.at(plan.restriction->name()).by_value;
      for (const model::Symbol value : plan.restriction->values()) {
        const auto valued = by_value.find(value);
        if (valued != by_value.end()) valued->second.for_each(visit);
      }
      break;
    }
  }
}

bool LabelIndex::evaluate(const Condition& condition, std::span<const model::Label> labels) {
  const bool matches = condition.matches(labels);
  ++(matches ? work_.matches : work_.misses);
  return matches;
}

// One candidate tells where all have the label from: labels of profiles and of endpoints rarely share a name.
void LabelIndex::count_scan(const Plan& plan, const Group& candidate) {
  const bool own = model::find_label(candidate.content.labels(), plan.restriction->name()) != nullptr;
  IndexScan scan = own ? IndexScan::kEndpointLabelName : IndexScan::kParentLabelName;
  if (plan.kind == Plan::Kind::kValues && plan.restriction->values().size() == 1) {
    scan = own ? IndexScan::kEndpointSingleValue : IndexScan::kParentSingleValue;
  } else if (plan.kind == Plan::Kind::kValues) {
    scan = own ? IndexScan::kEndpointMultiValue : IndexScan::kParentMultiValue;
  }
  ++work_.scans[static_cast<std::size_t>(scan)];
}

const IdSet& LabelIndex::add(SelectorId id, Condition condition) {
  if (selectors_.size() <= id) selectors_.resize(id + 1);
  Selector& selector = selectors_[id];
  selector.condition = std::move(condition);
  selector.place = filing_.add(id, selector.condition);
  ++(selector.place.kind == SelectorFiling::Place::Kind::kAnywhere ? work_.unfiled : work_.filed);

  const Plan planned = plan(selector.condition);
  if (planned.restriction != nullptr && !names_.at(planned.restriction->name()).by_value) {
    build(Symbols{planned.restriction->name()});
  }
  bool counted = planned.kind == Plan::Kind::kAll;
  if (counted) ++work_.scans[static_cast<std::size_t>(IndexScan::kEndpointFullScan)];
  for_each_candidate(planned, [&](GroupId candidate) {
    Group& group = groups_[candidate];
    if (!std::exchange(counted, true)) count_scan(planned, group);
    if (!evaluate(selector.condition, effective(group, scratch_))) return;
    group.matches.push_back(id);
    selector.groups.insert(candidate);
  });
  return selector.groups;
}

void LabelIndex::remove(SelectorId id) {
  Selector& selector = selectors_[id];
  --(selector.place.kind == SelectorFiling::Place::Kind::kAnywhere ? work_.unfiled : work_.filed);
  filing_.remove(id, selector.condition, selector.place);
  selector.groups.for_each([&](GroupId group) { groups_[group].matches.erase(id); });
  selector = Selector{};
}

void LabelIndex::before_profile_change(model::Symbol profile) {
  const auto groups = by_profile_.find(profile);
  if (groups == by_profile_.end()) return;
  groups->second.for_each([&](GroupId id) { unlist(id, effective(groups_[id], scratch_)); });
}

std::vector<LabelIndex::MatchChange> LabelIndex::after_profile_change(model::Symbol profile) {
  std::vector<MatchChange> changes;
  const auto groups = by_profile_.find(profile);
  if (groups == by_profile_.end()) return changes;
  std::vector<SelectorId> now;
  groups->second.for_each([&](GroupId id) {
    Group& group = groups_[id];
    const auto labels = effective(group, scratch_);
    list(id, labels);
    now.clear();
    filing_.for_each_candidate(labels, [&](SelectorId selector) {
      if (evaluate(selectors_[selector].condition, labels)) now.push_back(selector);
    });
    std::ranges::sort(now);
    std::ranges::sort(group.matches.items());
    std::vector<SelectorId> difference;
    std::ranges::set_difference(now, group.matches.items(), std::back_inserter(difference));
    for (const SelectorId selector : difference) {
      selectors_[selector].groups.insert(id);
      changes.push_back({id, selector, true});
    }
    difference.clear();
    std::ranges::set_difference(group.matches.items(), now, std::back_inserter(difference));
    for (const SelectorId selector : difference) {
      selectors_[selector].groups.erase(id);
      changes.push_back({id, selector, false});
    }
    group.matches.assign(now);
  });
  return changes;
}

}  // namespace calc
