// neighbour_planner.h: which edits bring the permanent neighbour entries of workload interfaces to what is wanted (spec
// dataplane §16.5; for remote tunnel endpoints §18.5). Pure.
//
// Entries are written for interfaces that run only, and again after an interface went down (the kernel forgets them).
// Permanent entries on workload interfaces and on `own_interfaces` that nobody wants are removed; learnt entries and
// other interfaces are left alone.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "reconcile/route_types.h"

namespace reconcile {

struct Neighbour {
  base::IpAddress address;
  base::MacAddress mac;
  friend bool operator==(const Neighbour&, const Neighbour&) = default;
  friend auto operator<=>(const Neighbour&, const Neighbour&) = default;
};

// One entry of the kernel's table.
struct NeighbourEntry {
  IfIndex interface = 0;
  Neighbour neighbour;
  bool permanent = true;
  friend bool operator==(const NeighbourEntry&, const NeighbourEntry&) = default;
};
std::string to_string(const NeighbourEntry& entry, std::string_view interface_name = {});

struct NeighbourEdit {
  enum class Kind : std::uint8_t { kRemove, kReplace };
  Kind kind = Kind::kReplace;
  NeighbourEntry entry;
  friend bool operator==(const NeighbourEdit&, const NeighbourEdit&) = default;
};

struct NeighbourOwnership {
  base::Family family = base::Family::kIpv4;
  std::vector<std::string> workload_prefixes;
  std::vector<std::string> own_interfaces = {};
};

class NeighbourPlanner {
 public:
  explicit NeighbourPlanner(NeighbourOwnership ownership) : ownership_(std::move(ownership)) {}

  // One more interface whose permanent entries are ours.
  void own(std::string_view interface);
  // All entries wanted on `interface`; those of the other family are ignored.
  void want(std::string_view interface, std::span<const Neighbour> neighbours);
  void interface_present(std::string_view name, IfIndex index, bool running);
  void interface_gone(std::string_view name);
  void observe_all(std::span<const NeighbourEntry> entries);

  // In order of interface names, then addresses; removals of an interface first.
  std::vector<NeighbourEdit> plan();
  // kInterfaceDown: written again when the interface comes up.
  void record(const NeighbourEdit& edit, bool done, bool interface_down);
  std::string interface_name(IfIndex index) const;
  std::size_t wanted_count() const;

 private:
  struct Interface {
    IfIndex index = 0;  // 0: not there
    bool running = false;
    std::map<base::IpAddress, base::MacAddress> wanted;
    std::map<base::IpAddress, base::MacAddress> actual;  // permanent ones
  };
  bool owned(std::string_view name) const;

  NeighbourOwnership ownership_;
  std::map<std::string, Interface, std::less<>> interfaces_;
  std::map<IfIndex, std::string> names_;
  std::set<std::string> dirty_;
};

}  // namespace reconcile
