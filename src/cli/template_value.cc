#include "cli/template_value.h"

#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "model/resource_checks.h"
#include "model/resource_text.h"

namespace cli {
namespace {

namespace json = boost::json;
using model::Field;
using model::FieldType;
using model::Presence;

TemplateValue struct_value(const model::Struct& schema, const json::object& object);

std::string text_of_json(const json::value& value) {
  if (value.is_string()) return {value.get_string().data(), value.get_string().size()};
  return model::to_go_json(value);
}

TemplateValue any_value(const json::value& value) {
  if (value.is_bool()) return TemplateValue(value.get_bool());
  if (value.is_int64()) return TemplateValue(value.get_int64());
  if (value.is_uint64()) return TemplateValue(static_cast<std::int64_t>(value.get_uint64()));
  if (value.is_double()) return TemplateValue(value.get_double());
  if (value.is_string()) return TemplateValue(text_of_json(value));
  if (value.is_array()) {
    TemplateValue::List list;
    for (const json::value& element : value.get_array()) list.push_back(any_value(element));
    return TemplateValue(std::move(list));
  }
  if (value.is_object()) {
    TemplateValue::Map map;
    for (const json::key_value_pair& member : value.get_object())
      map.emplace(std::string(member.key()), any_value(member.value()));
    return TemplateValue(std::move(map));
  }
  return {};
}

TemplateValue one_value(const Field& field, const json::value& value) {
  switch (field.type) {
    case FieldType::kStruct:
      if (value.is_object()) return struct_value(*field.members, value.get_object());
      break;
    case FieldType::kFloat:
      if (value.is_number()) return TemplateValue(value.to_number<double>());
      break;
    case FieldType::kProtocol:
    case FieldType::kPort:
    case FieldType::kDscp: return TemplateValue(text_of_json(value));  // number or name: they print as text
    case FieldType::kString:
    case FieldType::kBool:
    case FieldType::kInt:
    case FieldType::kAsNumber:
    case FieldType::kDuration:
    case FieldType::kStringMap:
    case FieldType::kAny: break;
  }
  return any_value(value);
}

// A member that is not given: nil where Go has a pointer, else zero.
TemplateValue absent_value(const Field& field) {
  if (field.list) return TemplateValue(TemplateValue::List{});
  if (field.type == FieldType::kStringMap) return TemplateValue(TemplateValue::Map{});
  if (field.presence == Presence::kOmitAbsent) return {};
  switch (field.type) {
    case FieldType::kBool: return TemplateValue(false);
    case FieldType::kInt:
    case FieldType::kAsNumber: return TemplateValue(std::int64_t{0});
    case FieldType::kFloat: return TemplateValue(0.0);
    case FieldType::kString: return TemplateValue(std::string());
    case FieldType::kStruct: return struct_value(*field.members, {});
    case FieldType::kProtocol:
    case FieldType::kPort:
    case FieldType::kDscp:
    case FieldType::kDuration:
    case FieldType::kStringMap:
    case FieldType::kAny: break;
  }
  return {};
}

TemplateValue field_value(const Field& field, const json::value* value) {
  if (value == nullptr || value->is_null()) return absent_value(field);
  if (!field.list || !value->is_array()) return one_value(field, *value);
  TemplateValue::List list;
  for (const json::value& element : value->get_array()) list.push_back(one_value(field, element));
  return TemplateValue(std::move(list));
}

TemplateValue struct_value(const model::Struct& schema, const json::object& object) {
  TemplateValue::Struct out{"v3." + std::string(schema.go_type), {}};
  for (const Field& field : schema.fields)
    out.members.emplace_back(model::go_name(field), field_value(field, object.if_contains(field.name)));
  return TemplateValue(std::move(out));
}

// "2026-01-15T10:20:30Z" as Go prints a time.
std::string printed_time(std::string text) {
  if (text.size() != 20 || text[10] != 'T' || text.back() != 'Z') return text;
  text[10] = ' ';
  text.pop_back();
  return text + " +0000 UTC";
}

const json::object& part(const model::Resource& resource, std::string_view name) {
  static const json::object kNothing;
  const json::value* found = resource.body.if_contains(name);
  return found != nullptr && found->is_object() ? found->get_object() : kNothing;
}

TemplateValue type_meta(std::string kind) {
  return TemplateValue(TemplateValue::Struct{
      "v1.TypeMeta",
      {{"Kind", TemplateValue(std::move(kind))}, {"APIVersion", TemplateValue(std::string(model::kApiVersion))}}});
}

template <typename Values, typename Print>
std::string printed_all(const Values& values, std::string_view open, std::string_view close, Print print) {
  std::string text(open);
  for (const auto& value : values) {
    if (text.size() > open.size()) text += " ";
    text += print(value);
  }
  return text.append(close);
}

}  // namespace

TemplateValue TemplateValue::missing() {
  TemplateValue value;
  value.content_ = Missing{};
  return value;
}

bool TemplateValue::truth() const {
  if (boolean() != nullptr) return *boolean();
  if (integer() != nullptr) return *integer() != 0;
  if (real() != nullptr) return *real() != 0;
  if (text() != nullptr) return !text()->empty();
  if (list() != nullptr) return !list()->empty();
  if (map() != nullptr) return !map()->empty();
  return structure() != nullptr;
}

std::string TemplateValue::printed() const {
  if (is_missing()) return "<no value>";
  if (boolean() != nullptr) return *boolean() ? "true" : "false";
  if (integer() != nullptr) return std::to_string(*integer());
  if (real() != nullptr) return model::format_float_for_table(*real());
  if (text() != nullptr) return *text();
  if (list() != nullptr) return printed_all(*list(), "[", "]", [](const TemplateValue& v) { return v.printed(); });
  if (map() != nullptr)
    return printed_all(*map(), "map[", "]",
                       [](const auto& entry) { return entry.first + ":" + entry.second.printed(); });
  if (structure() != nullptr)
    return printed_all(structure()->members, "{", "}", [](const auto& member) { return member.second.printed(); });
  return "<nil>";
}

std::string TemplateValue::type() const {
  if (boolean() != nullptr) return "bool";
  if (integer() != nullptr) return "int";
  if (real() != nullptr) return "float64";
  if (text() != nullptr) return "string";
  if (list() != nullptr) return "[]interface {}";
  if (map() != nullptr) return "map[string]interface {}";
  return structure() != nullptr ? structure()->type : "nil";
}

const TemplateValue* TemplateValue::find(std::string_view name) const {
  static const TemplateValue kMissing = missing();
  if (map() != nullptr) {
    const auto found = map()->find(std::string(name));
    return found == map()->end() ? &kMissing : &found->second;
  }
  if (structure() == nullptr) return nullptr;
  const auto& members = structure()->members;
  const auto own = std::ranges::find(members, name, [](const auto& member) { return std::string_view(member.first); });
  if (own != members.end()) return &own->second;
  for (const auto& [member, value] : members) {
    const bool embedded = member == "TypeMeta" || member == "ObjectMeta" || member == "ListMeta";
    const TemplateValue* inner = embedded ? value.find(name) : nullptr;
    if (inner != nullptr) return inner;
  }
  return nullptr;
}

TemplateValue template_value(const model::Resource& resource) {
  const model::Kind& kind = *resource.kind;
  json::object metadata = part(resource, "metadata");
  if (const json::value* created = metadata.if_contains("creationTimestamp");
      created != nullptr && created->is_string())
    metadata["creationTimestamp"] = printed_time(text_of_json(*created));
  TemplateValue::Struct out{"v3." + std::string(kind.name), {}};
  out.members.emplace_back("TypeMeta", type_meta(std::string(kind.name)));
  out.members.emplace_back("ObjectMeta", struct_value(model::metadata_schema(), metadata));
  out.members.emplace_back("Spec", struct_value(*kind.spec, part(resource, "spec")));
  if (kind.status != nullptr) out.members.emplace_back("Status", struct_value(*kind.status, part(resource, "status")));
  return TemplateValue(std::move(out));
}

TemplateValue template_value(const ResourceList& list) {
  TemplateValue::List items;
  for (const model::Resource& item : list.items) items.push_back(template_value(item));
  const std::string kind = std::string(list.kind->name) + "List";
  return TemplateValue(TemplateValue::Struct{
      "v3." + kind,
      {{"TypeMeta", type_meta(kind)},
       {"ListMeta", TemplateValue(TemplateValue::Struct{"v1.ListMeta",
                                                        {{"ResourceVersion", TemplateValue(list.resource_version)}}})},
       {"Items", TemplateValue(std::move(items))}}});
}

}  // namespace cli
