// json_patch.h: changes to a JSON document: RFC 7386 (merge patch) and RFC 6902 (operations).
#pragma once

#include <boost/json/value.hpp>

#include "base/result.h"

namespace cli {

// Objects are merged, null removes, everything else replaces.
void apply_merge_patch(boost::json::value& document, const boost::json::value& patch);

// REQUIRES operations.is_array(). On an error the document may be half changed.
base::Result<void> apply_json_patch(boost::json::value& document, const boost::json::value& operations);

}  // namespace cli
