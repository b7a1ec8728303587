// fdb_planner.h: which edits bring the forwarding table of a VXLAN device (MAC of a remote device → address of its
// host) to what is wanted (spec dataplane §18.5). Pure.
//
// Only permanent entries of the given device are looked at; learnt ones do not occur, because learning is off. An entry
// that changes is replaced in one step, so that no packet finds it missing.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "reconcile/route_types.h"

namespace reconcile {

struct FdbEntry {
  IfIndex interface = 0;
  base::MacAddress mac;
  base::IpAddress host;
  friend bool operator==(const FdbEntry&, const FdbEntry&) = default;
  friend auto operator<=>(const FdbEntry&, const FdbEntry&) = default;
};
std::string to_string(const FdbEntry& entry, std::string_view interface_name = {});

struct FdbEdit {
  enum class Kind : std::uint8_t { kRemove, kReplace };
  Kind kind = Kind::kReplace;
  FdbEntry entry;
  friend bool operator==(const FdbEdit&, const FdbEdit&) = default;
};

using FdbTable = std::map<base::MacAddress, base::IpAddress>;

// In order of MAC addresses, additions and changes first. `actual`: as listed, of any devices.
std::vector<FdbEdit> plan_fdb(const FdbTable& wanted, IfIndex interface, std::span<const FdbEntry> actual);

}  // namespace reconcile
