// plan.h: `percalectl plan --node NAME`: what an agent on that node would program, as text or JSON, without touching a
// kernel.
#pragma once

#include <string>
#include <string_view>

#include <boost/json/object.hpp>

#include "base/result.h"
#include "cli/world.h"

namespace cli {

struct Plan {
  std::string text;          // iptables-restore and ipset notation
  boost::json::object json;  // the same, by family
  std::vector<std::string> warnings;
};

// Settings come from the datastore and Calico's defaults; what the node's own file and environment add is not known
// here.
base::Result<Plan> make_plan(World& world, std::string_view node);

}  // namespace cli
