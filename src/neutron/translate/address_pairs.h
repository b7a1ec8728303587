// address_pairs.h: allowed address pairs (spec openstack §3.8). Pure.
//
// A pair's address is routed to the port and allowed as its source. Only single addresses can be routed to an
// interface, so a small prefix is written out address by address. A large one means a router or firewall in the
// machine: it can be allowed as source, where agents run with WorkloadSourceSpoofing=Any, and is not routed.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "neutron/translate/json.h"

namespace neutron {

inline constexpr std::size_t kMostAddressesOfAPair = 64;  // a /26 or a /122: each becomes a route on every host

struct AddressPairs {
  std::vector<std::string> routed;         // "10.65.0.9/32", in the order upstream writes them
  std::vector<std::string> source_only;    // prefixes
  std::vector<std::string> problems = {};  // pairs that cannot be honoured, and are left out
};

AddressPairs read_address_pairs(const json::array& pairs, bool spoofing_allowed);

}  // namespace neutron
