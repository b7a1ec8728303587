// Decoding walks the document in the order of its member names (bytewise), because that order decides which of several
// mistakes is reported: a scalar of one of the special types that does not parse ends the walk and wins over
// everything; otherwise the first wrong type or unknown member is reported (spec cli §2.2). Texts imitate Go's JSON
// decoder, which scripts grep for.

#include "model/resource.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "model/kinds/kinds.h"
#include "model/resource_text.h"

namespace model {
namespace {

namespace json = boost::json;
using base::Error;
using base::ErrorKind;

constexpr std::string_view kDecodePrefix = "error unmarshaling JSON: while decoding JSON: ";

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }
std::string_view view(const json::string_view& text) { return {text.data(), text.size()}; }

std::string_view go_kind_of(const json::value& value) {
  switch (value.kind()) {
    case json::kind::string: return "string";
    case json::kind::bool_: return "bool";
    case json::kind::array: return "array";
    case json::kind::object: return "object";
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_: return "number";
    case json::kind::null: break;
  }
  return "null";
}

struct IntLimits {
  std::string_view go_type;
  std::int64_t min;
  std::int64_t max;
};

IntLimits limits_of(IntWidth width) {
  switch (width) {
    case IntWidth::kInt: break;
    case IntWidth::kInt32:
      return {"int32", std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()};
    case IntWidth::kUint8: return {"uint8", 0, std::numeric_limits<std::uint8_t>::max()};
    case IntWidth::kUint16: return {"uint16", 0, std::numeric_limits<std::uint16_t>::max()};
    case IntWidth::kUint32: return {"uint32", 0, std::numeric_limits<std::uint32_t>::max()};
  }
  return {"int", std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()};
}

std::string scalar_go_type(const Field& field) {
  switch (field.type) {
    case FieldType::kString:
    case FieldType::kAsNumber:
    case FieldType::kDuration: return "string";
    case FieldType::kBool: return "bool";
    case FieldType::kInt: return std::string(limits_of(field.width).go_type);
    case FieldType::kFloat: return "float64";
    case FieldType::kProtocol: return "numorstring.Protocol";
    case FieldType::kPort: return "numorstring.Port";
    case FieldType::kDscp: return "numorstring.DSCP";
    case FieldType::kStruct: return "v3." + std::string(field.members->go_type);
    case FieldType::kStringMap: return "map[string]string";
    case FieldType::kAny: break;
  }
  return "interface {}";
}

std::optional<std::int64_t> as_integer(const json::value& value) {
  if (value.is_int64()) return value.get_int64();
  if (value.is_uint64() && std::in_range<std::int64_t>(value.get_uint64()))
    return static_cast<std::int64_t>(value.get_uint64());
  // 1e3 and 80.0 are integers in YAML and JSON alike.
  if (value.is_double()) {
    const double number = value.get_double();
    if (number >= -9e15 && number <= 9e15 && number == static_cast<double>(static_cast<std::int64_t>(number))) {
      return static_cast<std::int64_t>(number);
    }
  }
  return std::nullopt;
}

std::string number_text(const json::value& value) {
  if (value.is_int64()) return std::to_string(value.get_int64());
  if (value.is_uint64()) return std::to_string(value.get_uint64());
  return format_float(value.get_double());
}

class Walk {
 public:
  explicit Walk(bool strict) : strict_(strict) {}

  // The struct in canonical form. Errors are kept; see error().
  json::object read_struct(const Struct& schema, const json::object& input);
  bool failed() const { return fatal_.has_value(); }
  std::optional<std::string> error() const { return fatal_ ? fatal_ : first_; }

  void descend(std::string_view name) { path_.emplace_back(name); }
  void ascend() { path_.pop_back(); }

 private:
  std::optional<json::value> read_field(const Struct& owner, const Field& field, const json::value& input);
  std::optional<json::value> read_one(const Struct& owner, const Field& field, const json::value& input);
  std::optional<json::value> read_text(const Struct& owner, const Field& field, const json::value& input);
  std::optional<json::value> read_int(const Struct& owner, const Field& field, const json::value& input);
  std::optional<json::value> read_as_number(const Struct& owner, const json::value& input);
  std::optional<json::value> read_number_or_name(const Struct& owner, const Field& field, const json::value& input);
  std::optional<json::value> read_port(const Struct& owner, const json::value& input);
  std::optional<json::value> read_duration(const Struct& owner, const json::value& input);
  json::object read_map(const Struct& owner, const json::object& input);

  void remember(std::string text) {
    if (!first_) first_ = std::move(text);
  }
  std::string where(const Struct& owner, std::string_view go_type) const {
    return " into Go struct field " + std::string(owner.go_type) + "." + base::join(path_, ".") + " of type " +
           std::string(go_type);
  }
  void wrong_type(const Struct& owner, const json::value& input, std::string_view go_type) {
    remember("json: cannot unmarshal " + std::string(go_kind_of(input)) + where(owner, go_type));
  }
  void refuse(std::string text) { fatal_ = std::move(text); }

  bool strict_;
  std::vector<std::string> path_;
  std::optional<std::string> first_;
  std::optional<std::string> fatal_;
};

const Field* match_field(const Struct& schema, std::string_view name) {
  if (const Field* exact = find_field(schema, name)) return exact;
  for (const Field& field : schema.fields) {
    if (base::equal_ignoring_case(field.name, name)) return &field;
  }
  return nullptr;
}

std::vector<const json::key_value_pair*> in_byte_order(const json::object& input) {
  std::vector<const json::key_value_pair*> members;
  members.reserve(input.size());
  for (const json::key_value_pair& member : input) members.push_back(&member);
  std::ranges::sort(members, [](auto* a, auto* b) { return a->key() < b->key(); });
  return members;
}

json::object Walk::read_struct(const Struct& schema, const json::object& input) {
  json::object known, unknown;
  for (const json::key_value_pair* member : in_byte_order(input)) {
    const std::string_view name = view(member->key());
    const Field* field = match_field(schema, name);
    if (field == nullptr) {
      if (strict_) remember("json: unknown field \"" + std::string(name) + "\"");
      continue;
    }
    if (member->value().is_null()) continue;
    descend(field->name);
    std::optional<json::value> value = read_field(schema, *field, member->value());
    ascend();
    if (failed()) return known;
    if (value) known[field->name] = *std::move(value);
  }
  if (!strict_) {  // in the order they were stored in
    for (const json::key_value_pair& member : input) {
      if (match_field(schema, view(member.key())) == nullptr) known[member.key()] = member.value();
    }
  }
  return known;
}

std::optional<json::value> Walk::read_field(const Struct& owner, const Field& field, const json::value& input) {
  if (!field.list) return read_one(owner, field, input);
  if (!input.is_array()) {
    wrong_type(owner, input, "[]" + scalar_go_type(field));
    return std::nullopt;
  }
  json::array list;
  for (const json::value& element : input.get_array()) {
    std::optional<json::value> value = read_one(owner, field, element);
    if (failed()) return std::nullopt;
    if (value) list.push_back(*std::move(value));
  }
  return list;
}

std::optional<json::value> Walk::read_one(const Struct& owner, const Field& field, const json::value& input) {
  switch (field.type) {
    case FieldType::kString: return read_text(owner, field, input);
    case FieldType::kBool:
      if (input.is_bool()) return input;
      break;
    case FieldType::kInt: return read_int(owner, field, input);
    case FieldType::kFloat:
      if (input.is_number() && std::isfinite(input.to_number<double>())) return input.to_number<double>();
      break;
    case FieldType::kAsNumber: return read_as_number(owner, input);
    case FieldType::kProtocol:
    case FieldType::kDscp: return read_number_or_name(owner, field, input);
    case FieldType::kPort: return read_port(owner, input);
    case FieldType::kDuration: return read_duration(owner, input);
    case FieldType::kStruct:
      if (input.is_null()) return json::object();
      if (input.is_object()) return read_struct(*field.members, input.get_object());
      break;
    case FieldType::kStringMap:
      if (input.is_object()) return read_map(owner, input.get_object());
      break;
    case FieldType::kAny: return input;
  }
  wrong_type(owner, input, scalar_go_type(field));
  return std::nullopt;
}

std::optional<json::value> Walk::read_text(const Struct& owner, const Field& field, const json::value& input) {
  if (input.is_string()) return input;
  if (input.is_null()) return json::value(json::string());
  if (!field.strict_text && input.is_number()) return json::string(number_text(input));
  if (!field.strict_text && input.is_bool()) return json::string(input.get_bool() ? "true" : "false");
  wrong_type(owner, input, "string");
  return std::nullopt;
}

std::optional<json::value> Walk::read_int(const Struct& owner, const Field& field, const json::value& input) {
  const IntLimits limits = limits_of(field.width);
  if (!input.is_number()) {
    wrong_type(owner, input, limits.go_type);
    return std::nullopt;
  }
  const auto number = as_integer(input);
  if (!number || *number < limits.min || *number > limits.max) {
    remember("json: cannot unmarshal number " + number_text(input) + where(owner, limits.go_type));
    return std::nullopt;
  }
  return *number;
}

std::optional<json::value> Walk::read_as_number(const Struct& owner, const json::value& input) {
  if (input.is_string()) {
    const auto number = parse_as_number(view(input.get_string()));
    if (number) return *number;
    refuse("invalid AS Number format (" + std::string(view(input.get_string())) + ")");
    return std::nullopt;
  }
  // An unquoted 1.10 has reached us as the number 1.1; like upstream we cannot tell it from 1.1.
  if (input.is_double()) {
    const auto number = parse_as_number(format_float(input.get_double()));
    if (number) return *number;
  }
  const auto number = as_integer(input);
  if (number && *number >= 0 && *number <= std::numeric_limits<std::uint32_t>::max())
    return static_cast<std::uint32_t>(*number);
  refuse("json: cannot unmarshal " + std::string(go_kind_of(input)) + where(owner, "string"));
  return std::nullopt;
}

std::optional<json::value> Walk::read_number_or_name(const Struct& owner, const Field& field,
                                                     const json::value& input) {
  const std::int64_t limit = field.type == FieldType::kDscp ? 63 : 255;
  std::optional<std::int64_t> number = input.is_number() ? as_integer(input) : std::nullopt;
  if (input.is_string()) {
    const std::string_view text = view(input.get_string());
    const bool digits = !text.empty() && text.size() <= 3 && text.find_first_not_of("0123456789") == text.npos;
    if (!digits) return input;
    number = std::stoll(std::string(text));
  }
  if (number && *number >= 0 && *number <= limit) return *number;
  if (input.is_number()) {
    refuse("json: cannot unmarshal number " + number_text(input) + where(owner, "uint8"));
  } else {
    refuse("json: cannot unmarshal " + std::string(go_kind_of(input)) + where(owner, scalar_go_type(field)));
  }
  return std::nullopt;
}

std::optional<json::value> Walk::read_port(const Struct& owner, const json::value& input) {
  if (input.is_string()) {
    const auto range = parse_port(view(input.get_string()));
    if (!range) {
      refuse(range.error().text());
      return std::nullopt;
    }
    if (!range->name.empty()) return json::string(range->name);
    if (range->first == range->last) return static_cast<std::int64_t>(range->first);
    return json::string(std::to_string(range->first) + ":" + std::to_string(range->last));
  }
  const auto number = input.is_number() ? as_integer(input) : std::nullopt;
  if (number && *number >= 0 && *number <= 65535) return *number;
  const std::string shown = input.is_number() ? "number " + number_text(input) : std::string(go_kind_of(input));
  refuse("json: cannot unmarshal " + shown + where(owner, "uint16"));
  return std::nullopt;
}

std::optional<json::value> Walk::read_duration(const Struct& owner, const json::value& input) {
  if (!input.is_string()) {
    refuse("json: cannot unmarshal " + std::string(go_kind_of(input)) + where(owner, "string"));
    return std::nullopt;
  }
  const auto duration = parse_go_duration(view(input.get_string()));
  if (duration) return json::string(format_go_duration(*duration));
  refuse("time: invalid duration \"" + std::string(view(input.get_string())) + "\"");
  return std::nullopt;
}

json::object Walk::read_map(const Struct& owner, const json::object& input) {
  static constexpr Field kEntry = {.name = "entry"};
  json::object map;
  for (const json::key_value_pair* member : in_byte_order(input)) {
    std::optional<json::value> text = read_text(owner, kEntry, member->value());
    if (text) map[member->key()] = *std::move(text);
  }
  return map;
}

// The parts of a resource as one struct, so that one walk reports in the right order.
json::object read_resource(Walk& walk, const Kind& kind, const json::object& document) {
  const Field fields[] = {
      {.name = "kind"},
      {.name = "apiVersion"},
      {.name = "metadata", .type = FieldType::kStruct, .members = &metadata_schema()},
      {.name = "spec", .type = FieldType::kStruct, .members = kind.spec},
      {.name = "status", .type = kind.status != nullptr ? FieldType::kStruct : FieldType::kAny, .members = kind.status},
  };
  const Struct top = {.go_type = kind.name, .fields = std::span(fields).first(kind.status != nullptr ? 5 : 4)};
  return walk.read_struct(top, document);
}

Error decode_error(std::string_view text) {
  return Error(ErrorKind::kInvalid, std::string(kDecodePrefix) + std::string(text));
}

std::string_view member_text(const json::object& document, std::string_view name) {
  for (const json::key_value_pair& member : document) {
    if (base::equal_ignoring_case(view(member.key()), name) && member.value().is_string())
      return view(member.value().get_string());
  }
  return {};
}

}  // namespace

base::Result<Resource> decode_document(const boost::json::value& document, const Kind* kind_hint) {
  static const json::object kNothing;
  const json::object& object = document.is_object() ? document.get_object() : kNothing;
  std::string_view kind_name = member_text(object, "kind");
  std::string_view version = member_text(object, "apiVersion");
  if (kind_hint != nullptr && kind_name.empty()) kind_name = kind_hint->name;
  if (kind_hint != nullptr && version.empty()) version = kApiVersion;
  const Kind* kind = find_kind(kind_name);
  const bool wrong_item = kind_hint != nullptr && kind != kind_hint;
  if (kind == nullptr || version != kApiVersion || wrong_item) {
    return base::fail(Error(ErrorKind::kInvalid, "unknown resource type (" + std::string(kind_name) +
                                                     ") and/or version (" + std::string(version) + ")"));
  }
  Walk walk(true);
  json::object body = read_resource(walk, *kind, object);
  if (const auto error = walk.error()) return base::fail(decode_error(*error));
  body["kind"] = kind->name;
  body["apiVersion"] = kApiVersion;
  return Resource{kind, std::move(body)};
}

base::Result<Resource> decode_stored(const Kind& kind, std::string_view value) {
  const auto document = parse_json(value);
  if (!document) return base::fail(document.error());
  if (!document->is_object()) return base::fail(Error(ErrorKind::kInvalid, "the value is not a JSON object"));
  Walk walk(false);
  json::object body = read_resource(walk, kind, document->get_object());
  if (const auto error = walk.error()) return base::fail(Error(ErrorKind::kInvalid, *error));
  body["kind"] = kind.name;
  body["apiVersion"] = kApiVersion;
  return Resource{&kind, std::move(body)};
}

}  // namespace model
