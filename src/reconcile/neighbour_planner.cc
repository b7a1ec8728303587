#include "reconcile/neighbour_planner.h"

#include <algorithm>

namespace reconcile {

std::string to_string(const NeighbourEntry& entry, std::string_view interface_name) {
  std::string text =
      base::to_string(entry.neighbour.address) + " lladdr " + base::to_string(entry.neighbour.mac) + " dev ";
  text += interface_name.empty() ? std::to_string(entry.interface) : std::string(interface_name);
  return text + (entry.permanent ? " permanent" : "");
}

void NeighbourPlanner::own(std::string_view interface) {
  if (owned(interface)) return;
  ownership_.own_interfaces.emplace_back(interface);
  dirty_.emplace(interface);
}

void NeighbourPlanner::want(std::string_view interface, std::span<const Neighbour> neighbours) {
  std::map<base::IpAddress, base::MacAddress> fresh;
  for (const Neighbour& neighbour : neighbours) {
    if (neighbour.address.family() == ownership_.family) fresh.insert_or_assign(neighbour.address, neighbour.mac);
  }
  const auto found = interfaces_.find(interface);
  if (found == interfaces_.end()) {
    if (fresh.empty()) return;
    interfaces_[std::string(interface)].wanted = std::move(fresh);
    return;
  }
  if (found->second.wanted == fresh) return;
  found->second.wanted = std::move(fresh);
  dirty_.insert(found->first);
  if (found->second.index == 0 && found->second.wanted.empty()) interfaces_.erase(found);
}

std::size_t NeighbourPlanner::wanted_count() const {
  std::size_t count = 0;
  for (const auto& [name, interface] : interfaces_) count += interface.wanted.size();
  return count;
}

void NeighbourPlanner::interface_present(std::string_view name, IfIndex index, bool running) {
  if (const auto other = names_.find(index); other != names_.end() && other->second != name) {
    interface_gone(std::string(other->second));
  }
  if (const auto found = interfaces_.find(name);
      found != interfaces_.end() && found->second.index != 0 && found->second.index != index) {
    interface_gone(name);
  }
  Interface& interface = interfaces_[std::string(name)];
  names_[index] = name;
  if (interface.index == index && interface.running == running) return;
  interface.index = index;
  interface.running = running;
  if (!running) interface.actual.clear();
  dirty_.emplace(name);
}

void NeighbourPlanner::interface_gone(std::string_view name) {
  const auto found = interfaces_.find(name);
  if (found == interfaces_.end()) return;
  names_.erase(found->second.index);
  dirty_.erase(found->first);
  if (found->second.wanted.empty()) {
    interfaces_.erase(found);
    return;
  }
  found->second.index = 0;
  found->second.running = false;
  found->second.actual.clear();
}

bool NeighbourPlanner::owned(std::string_view name) const {
  const auto is_prefix = [&](const std::string& prefix) { return name.starts_with(prefix); };
  return std::any_of(ownership_.workload_prefixes.begin(), ownership_.workload_prefixes.end(), is_prefix) ||
         std::find(ownership_.own_interfaces.begin(), ownership_.own_interfaces.end(), name) !=
             ownership_.own_interfaces.end();
}

void NeighbourPlanner::observe_all(std::span<const NeighbourEntry> entries) {
  for (auto& [name, interface] : interfaces_) {
    interface.actual.clear();
    if (interface.index != 0) dirty_.insert(name);
  }
  for (const NeighbourEntry& entry : entries) {
    const auto name = names_.find(entry.interface);
    if (name == names_.end() || !entry.permanent || entry.neighbour.address.family() != ownership_.family) continue;
    interfaces_[name->second].actual.insert_or_assign(entry.neighbour.address, entry.neighbour.mac);
  }
}

std::vector<NeighbourEdit> NeighbourPlanner::plan() {
  std::vector<NeighbourEdit> edits;
  for (auto it = dirty_.begin(); it != dirty_.end();) {
    const auto found = interfaces_.find(*it);
    if (found == interfaces_.end() || !found->second.running || !owned(*it)) {
      it = dirty_.erase(it);
      continue;
    }
    const Interface& interface = found->second;
    const std::size_t before = edits.size();
    const auto add = [&](NeighbourEdit::Kind kind, const base::IpAddress& address, const base::MacAddress& mac) {
      edits.push_back(
          {.kind = kind, .entry = {.interface = interface.index, .neighbour = {.address = address, .mac = mac}}});
    };
    for (const auto& [address, mac] : interface.actual) {
      if (!interface.wanted.contains(address)) add(NeighbourEdit::Kind::kRemove, address, mac);
    }
    for (const auto& [address, mac] : interface.wanted) {
      const auto actual = interface.actual.find(address);
      if (actual == interface.actual.end() || actual->second != mac) add(NeighbourEdit::Kind::kReplace, address, mac);
    }
    it = edits.size() == before ? dirty_.erase(it) : std::next(it);
  }
  return edits;
}

void NeighbourPlanner::record(const NeighbourEdit& edit, bool done, bool interface_down) {
  const auto name = names_.find(edit.entry.interface);
  if (name == names_.end()) return;
  Interface& interface = interfaces_[name->second];
  if (interface_down) dirty_.erase(name->second);
  if (!done) return;
  if (edit.kind == NeighbourEdit::Kind::kRemove) {
    interface.actual.erase(edit.entry.neighbour.address);
  } else {
    interface.actual.insert_or_assign(edit.entry.neighbour.address, edit.entry.neighbour.mac);
  }
  if (interface.actual == interface.wanted) dirty_.erase(name->second);
}

std::string NeighbourPlanner::interface_name(IfIndex index) const {
  const auto found = names_.find(index);
  return found == names_.end() ? std::string() : found->second;
}

}  // namespace reconcile
