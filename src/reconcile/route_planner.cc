#include "reconcile/route_planner.h"

#include <algorithm>
#include <utility>

namespace reconcile {
namespace {

bool same_attributes(const RouteKey& key, const RouteAttributes& a, const RouteAttributes& b) {
  return same_route({.key = key, .attributes = a}, {.key = key, .attributes = b});
}

}  // namespace

// ---- Wanted ----

void RoutePlanner::want(RouteClass owner, std::string_view interface, std::span<const Route> routes) {
  std::set<RouteKey> fresh;
  for (const Route& route : routes) fresh.insert(make_route_key(route.key.prefix, route.key.metric, route.key.tos));
  std::vector<RouteKey> gone;
  if (const auto old = wanted_.find({owner, std::string(interface)}); old != wanted_.end()) {
    old->second.for_each([&](const RouteKey& key, base::NoValue) {
      if (!fresh.contains(key)) gone.push_back(key);
    });
  }
  change(owner, interface, routes, gone);
}

void RoutePlanner::change(RouteClass owner, std::string_view interface, std::span<const Route> set,
                          std::span<const RouteKey> gone) {
  Candidate candidate{.owner = owner, .interface = std::string(interface), .attributes = {}};
  Keys& list = wanted_[{owner, candidate.interface}];
  for (const RouteKey& key : gone) {
    if (!list.erase(key)) continue;
    Entry& entry = *entries_.find(key);
    drop_candidate(entry, candidate_of(entry, owner, interface));
    dirty_.insert(key);
  }
  for (const Route& route : set) {
    if (route.key.prefix.family() != ownership_.family) continue;
    const RouteKey key = make_route_key(route.key.prefix, route.key.metric, route.key.tos);
    candidate.attributes = route.attributes;
    candidate.attributes.interface = 0;
    Entry& entry = entries_[key];
    const base::PooledId before = candidate_of(entry, owner, interface);
    if (before != base::kNotPooled) {
      if (candidates_[before].attributes == candidate.attributes) continue;
      drop_candidate(entry, before);
    }
    entry.candidates.push_back(candidates_.acquire(candidate));
    entry.ever_wanted = true;
    list.insert(key);
    dirty_.insert(key);
  }
  if (list.empty()) {
    wanted_.erase({owner, candidate.interface});
  } else if (const auto found = interfaces_.find(interface); found != interfaces_.end()) {
    found->second.ever_wanted = true;
  }
}

base::PooledId RoutePlanner::candidate_of(const Entry& entry, RouteClass owner, std::string_view interface) const {
  for (const base::PooledId id : entry.candidates.items()) {
    if (candidates_[id].owner == owner && candidates_[id].interface == interface) return id;
  }
  return base::kNotPooled;
}

void RoutePlanner::drop_candidate(Entry& entry, base::PooledId candidate) {
  entry.candidates.erase(candidate);
  candidates_.release(candidate);
}

std::size_t RoutePlanner::wanted_count() const {
  std::size_t count = 0;
  for (const auto& [owner, routes] : wanted_) count += routes.size();
  return count;
}

std::size_t RoutePlanner::own_interface_count() const {
  return static_cast<std::size_t>(std::count_if(interfaces_.begin(), interfaces_.end(), [&](const auto& entry) {
    const auto& own = ownership_.own_interfaces;
    return is_workload(entry.first) || std::find(own.begin(), own.end(), entry.first) != own.end();
  }));
}

// ---- Interfaces ----

void RoutePlanner::interface_present(std::string_view name, IfIndex index, bool running, base::Instant now) {
  const auto found = interfaces_.find(name);
  if (found != interfaces_.end() && found->second.index != index) interface_gone(name);
  if (const auto other = names_.find(index); other != names_.end() && other->second != name) {
    interface_gone(std::string(other->second));  // renamed
  }
  auto [it, added] = interfaces_.try_emplace(std::string(name));
  Interface& interface = it->second;
  if (!added && interface.running == running) return;
  if (added) {
    interface.index = index;
    interface.first_seen = now;
    interface.ever_wanted =
        std::any_of(wanted_.begin(), wanted_.end(), [&](const auto& item) { return item.first.second == name; });
    names_[index] = it->first;
  }
  // What stands on an interface that came up, or that was not known when the table was read, is not known.
  if (running) unread_.insert(index);
  interface.running = running;
  mark_interface_dirty(name, index);
}

void RoutePlanner::interface_gone(std::string_view name) {
  const auto found = interfaces_.find(name);
  if (found == interfaces_.end()) return;
  const IfIndex index = found->second.index;
  mark_interface_dirty(name, index);
  forget_actual_on(index);  // the kernel removes an interface's routes with it
  names_.erase(index);
  unread_.erase(index);
  interfaces_.erase(found);
}

std::string RoutePlanner::interface_name(IfIndex index) const {
  const auto found = names_.find(index);
  return found == names_.end() ? std::string() : found->second;
}

void RoutePlanner::mark_interface_dirty(std::string_view name, IfIndex index) {
  for (int owner = 0; owner <= static_cast<int>(RouteClass::kIpamBlockDrop); ++owner) {
    const auto list = wanted_.find({static_cast<RouteClass>(owner), std::string(name)});
    if (list == wanted_.end()) continue;
    list->second.for_each([this](const RouteKey& key, base::NoValue) { dirty_.insert(key); });
  }
  if (const auto there = actual_on_.find(index); there != actual_on_.end()) {
    there->second.for_each([this](const RouteKey& key, base::NoValue) { dirty_.insert(key); });
  }
}

// ---- Observed ----

bool RoutePlanner::is_workload(std::string_view interface) const {
  return std::any_of(ownership_.workload_prefixes.begin(), ownership_.workload_prefixes.end(),
                     [&](const std::string& prefix) { return interface.starts_with(prefix); });
}

bool RoutePlanner::owned(const Route& route) const {
  const RouteAttributes& attributes = route.attributes;
  const std::uint8_t exclusive =
      ownership_.device_protocol == kProtocolBoot ? kProtocolOwnExclusive : ownership_.device_protocol;
  static const base::Prefix kLinkLocal = *base::parse_cidr("fe80::/64");
  if (route.key.prefix == kLinkLocal) return false;
  const bool deviceless = attributes.interface == 0 || attributes.type != RouteType::kUnicast;
  if (deviceless) return attributes.protocol == exclusive;
  const auto name = names_.find(attributes.interface);
  if (name == names_.end()) return false;
  if (attributes.protocol == exclusive) return true;
  if (is_workload(name->second)) {
    return ownership_.remove_external || attributes.protocol == ownership_.device_protocol;
  }
  return std::find(ownership_.own_interfaces.begin(), ownership_.own_interfaces.end(), name->second) !=
         ownership_.own_interfaces.end();
}

void RoutePlanner::add_actual(const Route& route) {
  bool ours = owned(route);
  if (const Entry* const known = entries_.find(route.key); !ours && known != nullptr) {
    const auto best = winner(*known);
    ours = best && same_attributes(route.key, best->attributes, route.attributes);
  }
  if (ours) put_actual(route.key, route.attributes);
}

void RoutePlanner::put_actual(const RouteKey& key, const RouteAttributes& attributes) {
  entries_[key].actual.push_back(attributes_.acquire(attributes));
  if (attributes.interface != 0) actual_on_[attributes.interface].insert(key);
}

RoutePlanner::Vanished RoutePlanner::leaving(const Route& route) const {
  return {.route = route, .from_workload = is_workload(interface_name(route.attributes.interface))};
}

void RoutePlanner::note_vanished(Route route) {
  if (route.key.prefix.is_host()) vanished_.push_back(leaving(route));
}

void RoutePlanner::drop_actual(const RouteKey& key, const RouteAttributes& attributes) {
  Entry* const entry = entries_.find(key);
  if (entry == nullptr) return;
  const auto is = [&](base::PooledId id) { return attributes_[id] == attributes; };
  const auto found = std::ranges::find_if(entry->actual.items(), is);
  if (found == entry->actual.items().end()) return;
  const base::PooledId id = *found;
  const IfIndex interface = attributes.interface;  // `attributes` may be the pool's
  entry->actual.erase(id);
  const auto there = actual_on_.find(interface);
  const bool another = std::ranges::any_of(
      entry->actual.items(), [&](base::PooledId other) { return attributes_[other].interface == interface; });
  attributes_.release(id);
  if (there == actual_on_.end()) return;
  if (!another) there->second.erase(key);
  if (there->second.empty()) actual_on_.erase(there);
}

void RoutePlanner::forget_actual_on(IfIndex index) {
  const auto there = actual_on_.find(index);
  if (there == actual_on_.end()) return;
  const Keys keys = std::move(there->second);
  actual_on_.erase(there);
  keys.for_each([&](const RouteKey& key, base::NoValue) {
    Entry& entry = *entries_.find(key);
    const auto all = entry.actual.items();
    for (const base::PooledId id : std::vector(all.begin(), all.end())) {
      if (attributes_[id].interface != index) continue;
      note_vanished({.key = key, .attributes = attributes_[id]});
      entry.actual.erase(id);
      attributes_.release(id);
    }
    dirty_.insert(key);
  });
}

void RoutePlanner::observe_all(std::span<const Route> routes, base::Instant now) {
  if (!first_reading_) first_reading_ = now;
  std::vector<std::pair<RouteKey, base::PooledId>> before;
  entries_.for_each([&](const RouteKey& key, Entry& entry) {
    for (const base::PooledId id : entry.actual.items()) before.emplace_back(key, id);
    entry.actual = base::IdList();
  });
  actual_on_.clear();
  unread_.clear();
  for (const Route& route : routes) add_actual(route);
  for (const auto& [key, id] : before) {
    if (entries_.find(key)->actual.empty()) note_vanished({.key = key, .attributes = attributes_[id]});
    attributes_.release(id);
  }
  entries_.erase_if([this](const RouteKey& key, const Entry& entry) {
    if (!settled(key, entry)) {
      dirty_.insert(key);
      return false;
    }
    const bool leaves = entry.candidates.empty() && entry.actual.empty();
    if (leaves) dirty_.erase(key);
    return leaves;
  });
}

void RoutePlanner::observe_interface(IfIndex interface, std::span<const Route> routes, base::Instant) {
  unread_.erase(interface);
  const std::size_t vanished_before = vanished_.size();
  forget_actual_on(interface);
  for (const Route& route : routes) {
    if (route.attributes.interface != interface) continue;
    add_actual(route);
    if (entries_.contains(route.key)) dirty_.insert(route.key);
  }
  // What is still there has not vanished.
  const auto first = vanished_.begin() + static_cast<std::ptrdiff_t>(vanished_before);
  vanished_.erase(std::remove_if(first, vanished_.end(),
                                 [&](const Vanished& gone) { return !entries_.find(gone.route.key)->actual.empty(); }),
                  vanished_.end());
}

// ---- Plan ----

std::optional<RoutePlanner::Winner> RoutePlanner::winner(const Entry& entry) const {
  std::optional<Winner> best;
  for (const base::PooledId id : entry.candidates.items()) {
    const Candidate& candidate = candidates_[id];
    IfIndex index = 0;
    if (!candidate.interface.empty()) {
      const auto found = interfaces_.find(candidate.interface);
      if (found == interfaces_.end() || !found->second.running) continue;
      index = found->second.index;
    }
    if (best &&
        (best->owner < candidate.owner || (best->owner == candidate.owner && best->attributes.interface >= index))) {
      continue;
    }
    best = Winner{.owner = candidate.owner, .attributes = candidate.attributes};
    best->attributes.interface = index;
  }
  return best;
}

bool RoutePlanner::settled(const RouteKey& key, const Entry& entry) const {
  const auto best = winner(entry);
  if (!best) return entry.actual.empty();
  return entry.actual.size() == 1 && is_in_place(key, entry, best->attributes);
}

bool RoutePlanner::is_in_place(const RouteKey& key, const Entry& entry, const RouteAttributes& wanted) const {
  return std::ranges::any_of(entry.actual.items(),
                             [&](base::PooledId id) { return same_attributes(key, attributes_[id], wanted); });
}

void RoutePlanner::settle(const RouteKey& key) {
  const Entry* const found = entries_.find(key);
  if (found == nullptr || settled(key, *found)) dirty_.erase(key);
  if (found != nullptr && found->candidates.empty() && found->actual.empty()) entries_.erase(key);
}

std::optional<base::Instant> RoutePlanner::end_of_grace(const Entry& entry, const RouteAttributes& actual) const {
  const auto name = names_.find(actual.interface);
  if (name != names_.end() && is_workload(name->second)) {
    const Interface& interface = interfaces_.find(name->second)->second;
    return interface.ever_wanted ? std::nullopt : std::optional(interface.first_seen + kGrace);
  }
  if (entry.ever_wanted || !first_reading_) return std::nullopt;
  return *first_reading_ + ownership_.hand_over;
}

bool RoutePlanner::in_grace(const Entry& entry, const RouteAttributes& actual, base::Instant now,
                            std::optional<base::Instant>& next) const {
  const auto end = end_of_grace(entry, actual);
  if (!end || now >= *end) return false;
  next = next ? std::min(*next, *end) : *end;
  return true;
}

// §16.6. The address of `removed` may have connections through a place it no longer lives at.
bool RoutePlanner::needs_clean(const Vanished& gone) const {
  const Route& removed = gone.route;
  const RouteKey& key = removed.key;
  if (!key.prefix.is_host() || removed.attributes.type != RouteType::kUnicast) return false;
  std::optional<Winner> best;  // of all metrics: the lowest
  bool stays = false;
  entries_.for_each_from({.prefix = key.prefix, .tos = 0, .metric = 0}, [&](const RouteKey& other, const Entry& entry) {
    if (other.prefix != key.prefix) return false;
    const auto candidate = winner(entry);
    if (!candidate) return true;
    stays = candidate->attributes.interface == removed.attributes.interface ||  // only the metric changes
            is_in_place(other, entry, candidate->attributes);
    if (!best) best = candidate;
    return !stays;
  });
  if (stays) return false;
  // An address elsewhere that loses its route may have got one from BIRD: its connections go on.
  if (!best) return gone.from_workload;
  return best->owner == RouteClass::kLocalWorkload || gone.from_workload;
}

RoutePlan RoutePlanner::plan(base::Instant now) {
  RoutePlan plan;
  std::vector<RouteEdit> replacements;
  for (const Vanished& gone : vanished_) {
    if (needs_clean(gone)) plan.forgotten.push_back(gone.route.key.prefix.address);
  }
  vanished_.clear();
  std::vector<RouteKey> keys;
  keys.reserve(dirty_.size());
  dirty_.for_each([&](const RouteKey& key, base::NoValue) { keys.push_back(key); });
  for (const RouteKey& key : keys) {
    settle(key);
    const Entry* const entry = entries_.find(key);
    if (entry != nullptr && dirty_.contains(key)) plan_key(key, *entry, now, plan, replacements);
  }
  if (plan.edits.empty()) {
    plan.edits = std::move(replacements);
  } else {
    plan.edits.insert(plan.edits.end(), replacements.begin(), replacements.end());
  }
  return plan;
}

void RoutePlanner::plan_key(const RouteKey& key, const Entry& entry, base::Instant now, RoutePlan& plan,
                            std::vector<RouteEdit>& replacements) const {
  const auto best = winner(entry);
  bool in_place = false;
  std::vector<RouteEdit> removals;
  for (const base::PooledId id : entry.actual.items()) {
    const RouteAttributes& actual = attributes_[id];
    if (best && !in_place && same_attributes(key, actual, best->attributes)) {
      in_place = true;
      continue;
    }
    if (!best && in_grace(entry, actual, now, plan.next)) continue;
    const Route route{.key = key, .attributes = actual};
    removals.push_back(
        {.kind = RouteEdit::Kind::kRemove, .route = route, .clean_conntrack = needs_clean(leaving(route))});
  }
  // One route that only changes is replaced in one step, so that no packet finds it missing.
  const bool in_one_step = best && !in_place && removals.size() == 1 && !removals.front().clean_conntrack;
  if (!in_one_step) plan.edits.insert(plan.edits.end(), removals.begin(), removals.end());
  if (best && !in_place) {
    replacements.push_back({.kind = RouteEdit::Kind::kReplace, .route = {.key = key, .attributes = best->attributes}});
  }
}

void RoutePlanner::record(const RouteEdit& edit, RouteOutcome outcome) {
  const RouteKey& key = edit.route.key;
  switch (outcome) {
    case RouteOutcome::kFailed: return;
    case RouteOutcome::kInterfaceDown: dirty_.erase(key); return;
    case RouteOutcome::kDone: break;
  }
  if (edit.kind == RouteEdit::Kind::kRemove) {
    drop_actual(key, edit.route.attributes);
  } else {
    if (const Entry* const entry = entries_.find(key); entry != nullptr && entry->actual.size() == 1) {
      drop_actual(key, attributes_[entry->actual.items().front()]);
    }
    put_actual(key, edit.route.attributes);
  }
  settle(key);
}

}  // namespace reconcile
