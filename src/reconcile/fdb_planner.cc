#include "reconcile/fdb_planner.h"

#include <set>

namespace reconcile {

std::string to_string(const FdbEntry& entry, std::string_view interface_name) {
  return base::to_string(entry.mac) + " dst " + base::to_string(entry.host) + " dev " +
         (interface_name.empty() ? std::to_string(entry.interface) : std::string(interface_name));
}

std::vector<FdbEdit> plan_fdb(const FdbTable& wanted, IfIndex interface, std::span<const FdbEntry> actual) {
  std::set<FdbEntry> there;
  for (const FdbEntry& entry : actual) {
    if (entry.interface == interface) there.insert(entry);
  }
  std::vector<FdbEdit> edits;
  for (const auto& [mac, host] : wanted) {
    const FdbEntry entry{interface, mac, host};
    if (!there.contains(entry)) edits.push_back({FdbEdit::Kind::kReplace, entry});
  }
  for (const FdbEntry& entry : there) {
    const auto found = wanted.find(entry.mac);
    const bool right = found != wanted.end() && found->second == entry.host;
    // Replacing has already taken the place of a single wrong one.
    const bool replaced = found != wanted.end() && !there.contains({interface, entry.mac, found->second});
    if (!right && !replaced) edits.push_back({FdbEdit::Kind::kRemove, entry});
  }
  return edits;
}

}  // namespace reconcile
