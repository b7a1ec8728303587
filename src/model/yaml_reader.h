// yaml_reader.h: one YAML document as a JSON value, as Go's YAML 1.1 reader takes it (spec datamodel §2.1).
//
// The text may be hostile: nesting is limited to 100 levels, and aliases may not make a document more than ten times as
// large as its text.
#pragma once

#include <string>
#include <string_view>

#include <boost/json/value.hpp>

#include "base/result.h"

namespace model {

// REQUIRES valid UTF-8. Errors are of yaml_error().
base::Result<boost::json::value> read_yaml(std::string_view text);

// What a scalar without quotes and tag means: null, a truth value, a number, or itself.
boost::json::value resolve_plain(std::string_view text);

// kInvalid; `reason` may begin with "line N: ".
base::Error yaml_error(std::string reason);

}  // namespace model
