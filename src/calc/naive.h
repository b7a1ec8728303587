// naive.h: the calculation again, from scratch and without any index: every selector against every endpoint, every
// policy against every local endpoint. It is what the incremental Calculator must agree with after every flush, and it
// is short enough to be compared with the specification line by line (spec felix-agent §3, datamodel §6.4–6.6). It
// shares no code with the stages it checks.
#pragma once

#include <string_view>

#include "calc/network/route_resolver.h"
#include "calc/output.h"
#include "calc/world.h"

namespace calc {

State calculate_from_scratch(const World& world, std::string_view hostname, RouteSource routes = RouteSource::kNone);

}  // namespace calc
