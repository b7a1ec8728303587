// router.h: BIRD of the lab's routers. They stand for the fabric of a cloud, so their configuration is written by hand,
// not generated from resources.
#pragma once

#include <string>

#include "lab/plan.h"

namespace lab {

// Address of a rack's router on the spine, without a length.
base::IpAddress spine_address(const Plan& plan, const Segment& segment, base::Family family);

// REQUIRES: `router` is one of plan.speakers(). Fabric "reflector": the route reflector of all hosts. Fabric "racks":
// the router of one rack, which speaks eBGP with its hosts and with the routers of the other racks.
std::string router_configuration(const Plan& plan, std::string_view router);

}  // namespace lab
