// resource_text.h: documents as text: YAML and JSON in, YAML and JSON out, in the byte forms that Go's encoders produce
// (spec datamodel §2.1, spec cli §2.2 and §4).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/json/value.hpp>

#include "base/result.h"

namespace model {

// Splits at every newline followed by "---" (the rest of that line is dropped). Zero-length documents are left out.
std::vector<std::string_view> split_documents(std::string_view text);

// One YAML or JSON document. Plain scalars follow YAML 1.1 (yes, no, on, off, 0x10, 1_000), as upstream's parser does.
// A member repeated in one mapping is an error.
base::Result<boost::json::value> parse_document(std::string_view text);

// Strict JSON. Numbers that no double holds are errors, too.
base::Result<boost::json::value> parse_json(std::string_view text);
// Of a number, a truth value or null.
std::string scalar_text(const boost::json::value& value);
// Compact, `<`, `>` and `&` escaped, members in the order they have.
std::string to_go_json(const boost::json::value& value);
// Indented by two blanks, no newline at the end.
std::string to_go_json_indented(const boost::json::value& value);
// Members sorted at every level, indented by two blanks, dashes of lists not indented; ends with a newline.
std::string to_go_yaml(const boost::json::value& value);

}  // namespace model
