// router.h: BIRD of the lab's router: route reflector for the hosts and gateway between their subnets. It stands for
// the fabric of a cloud, so its configuration is written by hand, not generated from resources.
#pragma once

#include <string>

#include "lab/plan.h"

namespace lab {

std::string router_configuration(const Plan& plan);

}  // namespace lab
