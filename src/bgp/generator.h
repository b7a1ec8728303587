// generator.h: a node's complete BIRD 2 configuration (spec bgp §3). Pure: equal inputs give byte-identical text.
//
// One file for one daemon and both address families, for clouds with and without IP pools (spec §3.12).
// Nothing from a resource reaches the file as text, except passwords, interface patterns and names of BGPFilters, which
// are checked; addresses, prefixes and numbers are printed from their binary form. So no resource can add a statement
// or spoil the whole file.
//
// Sessions with local workloads (localWorkloadSelector) are refused and reported.
//
// The text contains passwords: write it with mode 0640 and never log it.
#pragma once

#include <string>
#include <vector>

#include "bgp/inputs.h"

namespace bgp {

struct Generated {
  std::string text;
  Diagnostics diagnostics;
  // Sessions, in order, whose filters depend on whether the neighbour can send its routes again:
  // Inputs::can_refresh.
  std::vector<std::string> routers;
};

Generated generate(const Inputs& inputs);

// A configuration without any session, for a first start when the real one is refused: the daemon and its control
// socket must exist for anybody to see why (spec §4.2 step 8).
std::string minimal_configuration(const Settings& settings);

// Spec §2.12: unset: the node's IPv4 address; "hash" or no IPv4 address: from the node's name; else the value itself.
base::IpAddress router_id(const Inputs& inputs, Diagnostics& out);
base::IpAddress hashed_router_id(std::string_view node_name);

}  // namespace bgp
