#include "reconcile/ip_set_planner.h"

#include <algorithm>

#include "base/check.h"

namespace reconcile {
namespace {

// What is known of one member.
constexpr std::uint8_t kWanted = 1;
constexpr std::uint8_t kActual = 2;
constexpr std::uint8_t kQueued = 4;   // in Set::queued
constexpr std::uint8_t kRefused = 8;  // the kernel would not add it

// Reading a set costs about as much as so many members, on top of its own.
constexpr std::size_t kSetCost = 20;

std::uint8_t with(std::uint8_t state, std::uint8_t bits) { return static_cast<std::uint8_t>(state | bits); }
std::uint8_t without(std::uint8_t state, std::uint8_t bits) { return static_cast<std::uint8_t>(state & ~bits); }

}  // namespace

// ---- Wanted ----

IpSetPlanner::Set& IpSetPlanner::touch(std::string_view name) {
  const auto found = sets_.find(name);
  return found != sets_.end() ? found->second : sets_.emplace(name, Set{}).first->second;
}

void IpSetPlanner::mark_dirty(std::string_view name) {
  if (!dirty_.contains(name)) dirty_.emplace(name);
}

void IpSetPlanner::queue(Set& set, const IpSetMember& member, std::uint8_t& state) {
  if ((state & kQueued) != 0) return;
  state = with(state, kQueued);
  set.queued.push_back(member);
}

void IpSetPlanner::want_member(Set& set, const IpSetMember& member) {
  std::uint8_t& state = set.members[member];
  if ((state & kWanted) != 0) return;
  state = without(with(state, kWanted), kRefused);
  queue(set, member, state);
}

void IpSetPlanner::unwant_member(Set& set, const IpSetMember& member) {
  const auto found = set.members.find(member);
  if (found == set.members.end() || (found->second & kWanted) == 0) return;
  found->second = without(found->second, kWanted | kRefused);
  queue(set, member, found->second);
}

void IpSetPlanner::want(std::string_view name, const IpSetShape& shape, std::span<const IpSetMember> members) {
  Set& set = touch(name);
  if (!set.wanted) ++wanted_count_;
  set.wanted = true;
  set.wanted_shape = shape;
  set.aside = false;
  leftovers_.erase(std::string(name));

  MemberStates fresh;
  fresh.reserve(members.size());
  for (const IpSetMember& member : members) {
    if (accepts(member)) fresh.emplace(member, kWanted);
  }
  for (auto& [member, state] : set.members) {
    if ((state & kWanted) == 0 || fresh.contains(member)) continue;
    state = without(state, kWanted | kRefused);
    queue(set, member, state);
  }
  if (set.members.empty()) {
    // The common case, a new set: take the table over instead of growing another.
    set.members = std::move(fresh);
    set.queued.clear();
    if (set.exists && set.known) {  // otherwise all of it is planned anyway, or read first
      for (auto& [member, state] : set.members) queue(set, member, state);
    }
  } else {
    for (const auto& [member, state] : fresh) want_member(set, member);
  }
  mark_dirty(name);
}

void IpSetPlanner::unwant(std::string_view name) {
  const auto found = sets_.find(name);
  if (found == sets_.end() || !found->second.wanted) return;
  Set& set = found->second;
  set.wanted = false;
  set.aside = false;
  --wanted_count_;
  dirty_.erase(found->first);
  unchecked_.erase(found->first);
  for (auto it = rebuilds_.begin(); it != rebuilds_.end(); ++it) {
    if (it->second.main == name) {
      leftovers_.emplace(it->first, Leftover{.age = age_});
      rebuilds_.erase(it);
      break;
    }
  }
  if (!set.exists) {
    sets_.erase(found);
    return;
  }
  leftovers_.emplace(found->first, Leftover{.age = age_});
  // It may be wanted again before it is deleted; then its contents are read anew, which is rarer than memory is dear.
  set.known = false;
  set.members = {};
  set.queued = {};
}

void IpSetPlanner::change_members(std::string_view name, std::span<const IpSetMember> added,
                                  std::span<const IpSetMember> removed) {
  const auto found = sets_.find(name);
  CHECK(found != sets_.end() && found->second.wanted);
  Set& set = found->second;
  for (const IpSetMember& member : removed) {
    if (accepts(member)) unwant_member(set, member);
  }
  for (const IpSetMember& member : added) {
    if (accepts(member)) want_member(set, member);
  }
  if (!set.queued.empty()) mark_dirty(found->first);
}

bool IpSetPlanner::wanted(std::string_view name) const {
  const auto found = sets_.find(name);
  return found != sets_.end() && found->second.wanted;
}

std::vector<std::string> IpSetPlanner::wanted_names() const {
  std::vector<std::string> names;
  for (const auto& [name, set] : sets_) {
    if (set.wanted) names.push_back(name);
  }
  return names;
}

std::vector<IpSetMember> IpSetPlanner::all_wanted(const Set& set) {
  std::vector<IpSetMember> members;
  members.reserve(set.members.size());
  for (const auto& [member, state] : set.members) {
    if ((state & kWanted) != 0) members.push_back(member);
  }
  return members;
}

std::vector<IpSetMember> IpSetPlanner::wanted_members(std::string_view name) const {
  const auto found = sets_.find(name);
  if (found == sets_.end() || !found->second.wanted) return {};
  std::vector<IpSetMember> members = all_wanted(found->second);
  std::sort(members.begin(), members.end());
  return members;
}

// ---- Observed ----

void IpSetPlanner::forget_actual_members(Set& set) {
  set.queued.clear();
  erase_if(set.members, [](const auto& entry) { return (entry.second & kWanted) == 0; });
  for (auto& [member, state] : set.members) state = kWanted;
}

void IpSetPlanner::observe_all(std::span<const IpSetHeader> headers) {
  rebuilds_.clear();
  leftovers_.clear();
  std::set<std::string_view> seen;
  for (const IpSetHeader& header : headers) {
    if (!is_owned_ip_set_name(family_, header.name)) continue;
    seen.insert(header.name);
    const auto found = sets_.find(header.name);
    if (found == sets_.end() || !found->second.wanted) {
      leftovers_.emplace(header.name, Leftover{.age = age_});
      continue;
    }
    Set& set = found->second;
    if (set.exists && set.known && set.readable && !set.aside && header.plain && header.shape == set.actual_shape) {
      unchecked_.insert(header.name);
      continue;
    }
    set.exists = true;
    set.known = false;
    set.readable = true;
    set.aside = false;
    mark_dirty(header.name);
  }
  std::vector<std::string> missing;
  for (const auto& [name, set] : sets_) {
    if (!seen.contains(name)) missing.push_back(name);
  }
  for (const std::string& name : missing) observe_missing(name);
}

void IpSetPlanner::observe(const IpSetContents& contents) {
  unchecked_.erase(contents.header.name);
  const auto found = sets_.find(contents.header.name);
  if (found == sets_.end() || !found->second.wanted) return;
  Set& set = found->second;
  set.exists = true;
  set.known = true;
  set.readable = contents.header.plain && contents.header.family == family_;
  set.actual_shape = contents.header.shape;
  forget_actual_members(set);
  mark_dirty(found->first);
  if (!set.readable || set.actual_shape != set.wanted_shape) return;
  for (const IpSetMember& member : contents.members) {
    std::uint8_t& state = set.members[member];
    state = with(state, kActual);
    if ((state & kWanted) == 0) queue(set, member, state);
  }
  for (auto& [member, state] : set.members) {
    if ((state & kActual) == 0) queue(set, member, state);
  }
}

void IpSetPlanner::observe_missing(std::string_view name) {
  unchecked_.erase(std::string(name));
  leftovers_.erase(std::string(name));
  const auto found = sets_.find(name);
  if (found == sets_.end()) return;
  Set& set = found->second;
  if (!set.wanted) {
    sets_.erase(found);
    return;
  }
  set.exists = false;
  set.known = true;
  set.aside = false;
  forget_actual_members(set);
  mark_dirty(found->first);
}

void IpSetPlanner::observe_unreadable(std::string_view name) {
  unchecked_.erase(std::string(name));
  const auto found = sets_.find(name);
  if (found == sets_.end() || !found->second.wanted) return;
  Set& set = found->second;
  set.exists = true;
  set.known = true;
  set.readable = false;
  forget_actual_members(set);
  mark_dirty(found->first);
}

std::vector<std::string> IpSetPlanner::unread() const {
  std::vector<std::string> names;
  for (const std::string& name : dirty_) {
    const Set& set = sets_.find(name)->second;
    if (set.exists && !set.known) names.push_back(name);
  }
  return names;
}

std::vector<std::string> IpSetPlanner::unchecked(std::size_t members) const {
  std::vector<std::string> names;
  std::size_t sum = 0;
  for (const std::string& name : unchecked_) {
    if (!names.empty() && sum >= members) break;
    names.push_back(name);
    sum += kSetCost + sets_.find(name)->second.members.size();
  }
  return names;
}

// ---- Plans ----

std::vector<IpSetEdit> IpSetPlanner::plan_updates(std::size_t members) {
  std::vector<IpSetEdit> edits;
  std::size_t sum = 0;
  for (auto it = dirty_.begin(); it != dirty_.end() && sum < members;) {
    Set& set = sets_.find(*it)->second;
    if (set.exists && !set.known && !set.aside) {
      ++it;  // must be read first
      continue;
    }
    const std::size_t first = edits.size();
    if (!set.aside) plan_set(*it, set, edits);
    for (std::size_t i = first; i < edits.size(); ++i) sum += kSetCost + edits[i].members.size();
    it = dirty_.erase(it);
  }
  return edits;
}

void IpSetPlanner::plan_set(const std::string& name, Set& set, std::vector<IpSetEdit>& edits) {
  if (!set.exists) return plan_create(name, set, edits);
  if (!set.readable || set.actual_shape != set.wanted_shape) return plan_rebuild(name, set, edits);
  plan_members(name, set, edits);
}

void IpSetPlanner::plan_create(const std::string& name, Set& set, std::vector<IpSetEdit>& edits) {
  set.queued = {};
  for (auto& [member, state] : set.members) state = without(state, kQueued);
  std::vector<IpSetMember> members = all_wanted(set);
  edits.push_back({.kind = IpSetEdit::Kind::kCreate,
                   .set = name,
                   .shape = set.wanted_shape,
                   .expected_size = static_cast<std::uint32_t>(members.size())});
  if (members.empty()) return;
  edits.push_back({.kind = IpSetEdit::Kind::kAdd, .set = name, .members = std::move(members)});
}

void IpSetPlanner::plan_rebuild(const std::string& name, Set& set, std::vector<IpSetEdit>& edits) {
  const std::string temporary = next_temporary_name();
  const std::size_t first = edits.size();
  plan_create(temporary, set, edits);
  rebuilds_.emplace(
      temporary,
      Rebuild{.main = name, .state = edits.size() - first > 1 ? RebuildState::kFilling : RebuildState::kFilled});
}

void IpSetPlanner::plan_members(const std::string& name, Set& set, std::vector<IpSetEdit>& edits) {
  IpSetEdit remove{.kind = IpSetEdit::Kind::kDelete, .set = name};
  IpSetEdit add{.kind = IpSetEdit::Kind::kAdd, .set = name};
  for (const IpSetMember& member : set.queued) {
    const auto found = set.members.find(member);
    std::uint8_t& state = found->second;
    state = without(state, kQueued);
    const bool is_wanted = (state & kWanted) != 0;
    const bool actual = (state & kActual) != 0;
    if (is_wanted && !actual && (state & kRefused) == 0) add.members.push_back(member);
    if (!is_wanted && actual) remove.members.push_back(member);
    if (!is_wanted && !actual) set.members.erase(found);
  }
  set.queued.clear();
  if (set.queued.capacity() > 64) set.queued.shrink_to_fit();
  if (!remove.members.empty()) edits.push_back(std::move(remove));
  if (!add.members.empty()) edits.push_back(std::move(add));
}

std::string IpSetPlanner::next_temporary_name() {
  std::string name;
  do {
    name = temporary_ip_set_name(family_, next_temporary_++);
  } while (leftovers_.contains(name) || rebuilds_.contains(name));
  return name;
}

std::vector<IpSetEdit> IpSetPlanner::plan_swaps() {
  std::vector<IpSetEdit> edits;
  std::vector<std::string> failed;
  for (auto& [temporary, rebuild] : rebuilds_) {
    switch (rebuild.state) {
      case RebuildState::kFilling: break;
      case RebuildState::kFilled:
        edits.push_back({.kind = IpSetEdit::Kind::kSwap, .set = rebuild.main, .other = temporary});
        break;
      case RebuildState::kReplacing:
        edits.push_back({.kind = IpSetEdit::Kind::kDestroy, .set = rebuild.main});
        edits.push_back({.kind = IpSetEdit::Kind::kRename, .set = temporary, .other = rebuild.main});
        break;
      case RebuildState::kFailed: failed.push_back(temporary); break;
    }
  }
  for (const std::string& temporary : failed) give_up_rebuild(temporary, true);
  return edits;
}

std::vector<IpSetEdit> IpSetPlanner::plan_deletions(std::size_t limit, std::uint64_t mark) const {
  std::vector<IpSetEdit> edits;
  const auto collect = [&](bool temporary) {
    for (const auto& [name, left] : leftovers_) {
      if (edits.size() >= limit) return;
      if (left.age >= mark || left.attempts >= kDeletionAttempts ||
          is_temporary_ip_set_name(family_, name) != temporary)
        continue;
      edits.push_back({.kind = IpSetEdit::Kind::kDestroy, .set = name});
    }
  };
  collect(true);
  collect(false);
  return edits;
}

// ---- Outcomes ----

void IpSetPlanner::record(const IpSetEdit& edit, const IpSetOutcome& outcome) {
  switch (edit.kind) {
    case IpSetEdit::Kind::kCreate:
    case IpSetEdit::Kind::kAdd:
    case IpSetEdit::Kind::kDelete: {
      const auto rebuild = rebuilds_.find(edit.set);
      if (rebuild != rebuilds_.end()) return record_rebuild(edit, rebuild->second, outcome);
      if (edit.kind == IpSetEdit::Kind::kCreate) return record_create(edit, outcome);
      return record_members(edit, outcome);
    }
    case IpSetEdit::Kind::kSwap: return record_swap(edit, outcome);
    case IpSetEdit::Kind::kRename: return record_rename(edit, outcome);
    case IpSetEdit::Kind::kDestroy: return record_destroy(edit, outcome);
  }
}

void IpSetPlanner::record_rebuild(const IpSetEdit& edit, Rebuild& rebuild, const IpSetOutcome& outcome) {
  if (outcome.failure != IpSetFailure::kNone) {
    rebuild.state = RebuildState::kFailed;
    return;
  }
  if (edit.kind == IpSetEdit::Kind::kCreate || rebuild.state == RebuildState::kFailed) return;
  rebuild.state = RebuildState::kFilled;
  Set& set = sets_.find(rebuild.main)->second;
  for (const std::size_t index : outcome.refused_members) {
    std::uint8_t& state = set.members[edit.members[index]];
    state = with(state, kRefused);
  }
}

void IpSetPlanner::record_create(const IpSetEdit& edit, const IpSetOutcome& outcome) {
  Set& set = sets_.find(edit.set)->second;
  if (outcome.failure == IpSetFailure::kNone) {
    set.exists = true;
    set.known = true;
    set.readable = true;
    set.actual_shape = edit.shape;
    return;
  }
  if (outcome.failure == IpSetFailure::kRefused) {
    set.aside = true;
    return;
  }
  // Somebody else created it, or nothing is known: read it.
  set.exists = true;
  set.known = false;
  mark_dirty(edit.set);
}

void IpSetPlanner::record_members(const IpSetEdit& edit, const IpSetOutcome& outcome) {
  Set& set = sets_.find(edit.set)->second;
  if (set.aside) return;  // its creation was refused just now
  if (outcome.failure != IpSetFailure::kNone) {
    set.exists = true;
    set.known = false;  // how much was done is not known
    mark_dirty(edit.set);
    return;
  }
  std::size_t next_refused = 0;
  for (std::size_t i = 0; i < edit.members.size(); ++i) {
    const bool refused = next_refused < outcome.refused_members.size() && outcome.refused_members[next_refused] == i;
    if (refused) ++next_refused;
    const auto found = set.members.find(edit.members[i]);
    if (found == set.members.end()) continue;
    std::uint8_t& state = found->second;
    if (edit.kind == IpSetEdit::Kind::kAdd) {
      state = with(state, refused ? kRefused : kActual);
    } else {
      state = without(state, kActual);
      if (state == 0) set.members.erase(found);
    }
  }
}

void IpSetPlanner::record_swap(const IpSetEdit& edit, const IpSetOutcome& outcome) {
  const auto found = rebuilds_.find(edit.other);
  if (found == rebuilds_.end()) return;
  switch (outcome.failure) {
    case IpSetFailure::kNone:
      leftovers_.emplace(edit.other, Leftover{.age = age_});
      rebuilds_.erase(found);
      finish_rebuild(edit.set);
      return;
    case IpSetFailure::kTypeMismatch: found->second.state = RebuildState::kReplacing; return;
    case IpSetFailure::kMissing:
    case IpSetFailure::kExists:
    case IpSetFailure::kReferenced:
    case IpSetFailure::kRefused:
    case IpSetFailure::kUnknown: break;
  }
  give_up_rebuild(edit.other, true);
}

void IpSetPlanner::record_rename(const IpSetEdit& edit, const IpSetOutcome& outcome) {
  const auto found = rebuilds_.find(edit.set);
  if (found == rebuilds_.end()) return;
  if (outcome.failure != IpSetFailure::kNone) {
    // The old set is still referred to by a rule and has another type; only a change of the rules can free it.
    const std::string main = found->second.main;
    give_up_rebuild(edit.set, true);
    sets_.find(main)->second.aside = true;
    dirty_.erase(main);
    return;
  }
  rebuilds_.erase(found);
  finish_rebuild(edit.other);
}

// The set under its main name is now the one just built.
void IpSetPlanner::finish_rebuild(const std::string& main) {
  Set& set = sets_.find(main)->second;
  set.exists = true;
  set.known = true;
  set.readable = true;
  set.actual_shape = set.wanted_shape;
  erase_if(set.members, [](const auto& entry) { return (entry.second & kWanted) == 0; });
  for (auto& [member, state] : set.members) {
    if ((state & kRefused) == 0) state = with(state, kActual);
  }
}

void IpSetPlanner::give_up_rebuild(const std::string& temporary, bool exists) {
  const auto found = rebuilds_.find(temporary);
  const std::string main = found->second.main;
  rebuilds_.erase(found);
  if (exists) leftovers_.emplace(temporary, Leftover{.age = age_});
  Set& set = sets_.find(main)->second;
  set.known = false;
  mark_dirty(main);
}

void IpSetPlanner::record_destroy(const IpSetEdit& edit, const IpSetOutcome& outcome) {
  const auto left = leftovers_.find(edit.set);
  if (left == leftovers_.end()) return;  // the first half of a replacement; the rename that follows decides
  if (outcome.failure == IpSetFailure::kNone || outcome.failure == IpSetFailure::kMissing) return gone(edit.set);
  ++left->second.attempts;
}

void IpSetPlanner::gone(const std::string& name) {
  leftovers_.erase(name);
  const auto found = sets_.find(name);
  if (found != sets_.end() && !found->second.wanted) sets_.erase(found);
}

}  // namespace reconcile
