// label_index.h: which label sets match which selectors, kept up to date under changes of either side. Used twice:
// endpoints and network sets of the whole cloud against IP set selectors, local endpoints against policy selectors.
//
// Endpoints are not matched one by one but by group: those with equal labels and equal profile lists. A cloud of a
// hundred thousand ports has a few thousand groups, and evaluating a selector once per group is evaluating it for all
// of them.
//
// Costs: a group looks only at the selectors filed under its labels, a selector only at the groups under its rarest
// label. Not thread-safe; deterministic for the same history of calls.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include "calc/containers/id_set.h"
#include "calc/containers/slab.h"
#include "calc/containers/small_ids.h"
#include "calc/labels/condition.h"
#include "calc/labels/group_content.h"
#include "calc/labels/index_work.h"
#include "calc/labels/profile_labels.h"
#include "calc/labels/selector_filing.h"
#include "model/labels.h"

namespace calc {

using GroupId = std::uint32_t;

class LabelIndex {
 public:
  // `profiles` outlives the index.
  explicit LabelIndex(const ProfileLabels& profiles);
  ~LabelIndex() = default;
  LabelIndex(const LabelIndex&) = delete;
  LabelIndex& operator=(const LabelIndex&) = delete;

  // One reference to the group of these labels and profiles; a new group has its matches when this returns.
  struct Acquired {
    GroupId group;
    bool is_new;
  };
  Acquired acquire(std::span<const model::Label> labels, std::span<const model::Symbol> profiles);
  // Gives the reference back. True if that was the last one: the number may be used again for another group.
  bool release(GroupId group);
  bool is(GroupId group, std::span<const model::Label> labels, std::span<const model::Symbol> profiles) const;
  std::span<const SelectorId> matches(GroupId group) const;  // no particular order
  std::span<const model::Symbol> profiles(GroupId group) const { return groups_[group].content.profiles(); }

  // Selectors are numbered by the caller. add() returns the matching groups.
  const IdSet& add(SelectorId id, Condition condition);
  void remove(SelectorId id);
  const IdSet& groups(SelectorId id) const { return selectors_[id].groups; }
  const Condition& condition(SelectorId id) const { return selectors_[id].condition; }
  // Optional, before adding many: finds out which label indexes they need and builds all of them in one pass.
  void prepare(std::span<const Condition* const> conditions);

  // A profile's labels are changed between these two calls. Returns what changed; each pair at most once.
  struct MatchChange {
    GroupId group;
    SelectorId selector;
    bool matches;
  };
  void before_profile_change(model::Symbol profile);
  std::vector<MatchChange> after_profile_change(model::Symbol profile);

  const IndexWork& work() const { return work_; }

 private:
  struct Group {
    std::uint32_t references = 0;
    std::uint32_t hash = 0;
    GroupContent content;
    SmallIds matches;
  };
  struct Content {
    std::span<const model::Label> labels;
    std::span<const model::Symbol> profiles;
    std::uint32_t hash;
  };
  struct ContentHash {
    using is_transparent = void;
    const Slab<Group>* groups;
    std::size_t operator()(GroupId id) const { return (*groups)[id].hash; }
    std::size_t operator()(const Content& content) const { return content.hash; }
  };
  struct ContentEqual {
    using is_transparent = void;
    const Slab<Group>* groups;
    bool operator()(GroupId a, GroupId b) const { return a == b; }
    bool operator()(GroupId a, const Content& b) const;
    bool operator()(const Content& a, GroupId b) const { return (*this)(b, a); }
  };
  struct Selector {
    Condition condition;
    SelectorFiling::Place place;
    IdSet groups;
  };
  using Symbols = boost::unordered_flat_set<model::Symbol, std::hash<model::Symbol>>;
  using GroupsByValue = boost::unordered_flat_map<model::Symbol, IdSet, std::hash<model::Symbol>>;
  // Every label name that some group has. The groups behind it are listed only once a selector asks for the name: most
  // labels of most clouds occur in no selector.
  struct Name {
    std::uint32_t groups = 0;
    std::unique_ptr<GroupsByValue> by_value;
  };
  // The label restriction that leaves the fewest groups to look at.
  struct Plan {
    enum class Kind : std::uint8_t { kNone, kAll, kPresent, kValues };
    Kind kind = Kind::kAll;
    const model::LabelRestriction* restriction = nullptr;
  };

  std::span<const model::Label> effective(const Group& group, model::Labels& scratch) const;
  void list(GroupId id, std::span<const model::Label> labels);
  void unlist(GroupId id, std::span<const model::Label> labels);
  Plan plan(const Condition& condition) const;
  void build(const Symbols& names);
  template <typename Visitor>
  void for_each_candidate(const Plan& plan, Visitor visit) const;
  bool evaluate(const Condition& condition, std::span<const model::Label> labels);
  void count_scan(const Plan& plan, const Group& candidate);

  const ProfileLabels& profiles_;
  Slab<Group> groups_;
  boost::unordered_flat_set<GroupId, ContentHash, ContentEqual> by_content_;
  boost::unordered_flat_map<model::Symbol, IdSet, std::hash<model::Symbol>> by_profile_;
  boost::unordered_flat_map<model::Symbol, Name, std::hash<model::Symbol>> names_;
  std::deque<Selector> selectors_;
  SelectorFiling filing_;
  model::Labels scratch_;
  IndexWork work_;
};

}  // namespace calc
