// environment.h: what the environment says (spec felix-agent §1.4). The variables are handed in as "NAME=value"
// entries.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/log_level.h"
#include "config/resolve.h"

namespace config {

using Environment = std::map<std::string, std::string, std::less<>>;

Environment environment_from(const std::vector<std::string>& entries);
// The FELIX_ variables, in any case, as raw parameters with lower-case names. Of two spellings of one variable the one
// that sorts last counts.
RawMap felix_parameters(const Environment& environment);
// Lowest severity on the screen before the configuration is known: FELIX_EARLYLOGSEVERITYSCREEN, else
// FELIX_LOGSEVERITYSCREEN, else ERROR.
base::LogLevel early_log_level(const Environment& environment);

}  // namespace config
