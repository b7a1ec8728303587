// ini.h: the configuration file's syntax (spec felix-agent §1.4): name = value or name : value, sections without
// meaning, comments from '#' or ';' (also inside a value), quotes around a value removed, a trailing backslash joins
// lines, no interpolation.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/resolve.h"

namespace config {

struct IniFile {
  RawMap values;
  Diagnostics diagnostics;  // names given in two sections: the later one counts
};

// A line that is none of these makes the whole file an error, named by its number: half a configuration is worse than
// none.
base::Result<IniFile> parse_ini(std::string_view text);

}  // namespace config
