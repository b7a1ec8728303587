#include "model/resource.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "model/kinds/kinds.h"
#include "model/resource_text.h"

namespace model {
namespace {

namespace json = boost::json;

enum class Purpose { kStored, kDisplay };

std::string_view view(const json::string_view& text) { return {text.data(), text.size()}; }

json::object write_struct(const Struct& schema, const json::object& value, Purpose purpose);

bool is_zero(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return true;
    case json::kind::bool_: return !value.get_bool();
    case json::kind::int64: return value.get_int64() == 0;
    case json::kind::uint64: return value.get_uint64() == 0;
    case json::kind::double_: return value.get_double() == 0;
    case json::kind::string: return value.get_string().empty();
    case json::kind::array: return value.get_array().empty();
    case json::kind::object: return value.get_object().empty();
  }
  return false;
}

json::value zero_of(const Field& field, Purpose purpose) {
  if (field.zero_is_null) return nullptr;
  if (field.list) return json::array();
  switch (field.type) {
    case FieldType::kBool: return false;
    case FieldType::kInt:
    case FieldType::kFloat:
    case FieldType::kAsNumber:
    case FieldType::kPort: return 0;
    case FieldType::kStruct: return write_struct(*field.members, {}, purpose);
    case FieldType::kStringMap:
    case FieldType::kAny: return json::object();
    case FieldType::kString:
    case FieldType::kProtocol:
    case FieldType::kDscp:
    case FieldType::kDuration: break;
  }
  return json::string();
}

json::value write_one(const Field& field, const json::value& value, Purpose purpose) {
  if (field.type == FieldType::kStruct && value.is_object())
    return write_struct(*field.members, value.get_object(), purpose);
  if (field.type == FieldType::kStringMap && value.is_object()) {
    std::vector<const json::key_value_pair*> members;
    for (const json::key_value_pair& member : value.get_object()) members.push_back(&member);
    std::ranges::sort(members, [](auto* a, auto* b) { return a->key() < b->key(); });
    json::object sorted;
    for (const auto* member : members) sorted[member->key()] = member->value();
    return sorted;
  }
  return value;
}

json::value write_value(const Field& field, const json::value& value, Purpose purpose) {
  if (!field.list || !value.is_array()) return write_one(field, value, purpose);
  json::array list;
  for (const json::value& element : value.get_array()) list.push_back(write_one(field, element, purpose));
  return list;
}

void write_field(const Field& field, const json::object& value, Purpose purpose, json::object& out) {
  const json::value* member = value.if_contains(field.name);
  if (member == nullptr) {
    if (field.presence != Presence::kAlways) return;
    json::value zero = zero_of(field, purpose);
    if (purpose == Purpose::kStored || !field.hide_empty) out[field.name] = std::move(zero);
    return;
  }
  json::value written = write_value(field, *member, purpose);
  if (is_zero(written) && (field.presence == Presence::kOmitZero || (purpose == Purpose::kDisplay && field.hide_empty)))
    return;
  out[field.name] = std::move(written);
}

json::object write_struct(const Struct& schema, const json::object& value, Purpose purpose) {
  json::object out;
  for (const Field& field : schema.fields) write_field(field, value, purpose, out);
  if (purpose == Purpose::kDisplay) return out;
  for (const json::key_value_pair& member : value) {
    if (find_field(schema, view(member.key())) == nullptr) out[member.key()] = member.value();
  }
  return out;
}

json::object write_resource(const Resource& resource, Purpose purpose) {
  const Kind& kind = *resource.kind;
  json::object out{{"kind", kind.name}, {"apiVersion", kApiVersion}};
  const auto part = [&](std::string_view name) -> const json::object& {
    static const json::object kEmpty;
    const json::value* found = resource.body.if_contains(name);
    return found != nullptr && found->is_object() ? found->get_object() : kEmpty;
  };
  out["metadata"] = write_struct(metadata_schema(), part("metadata"), purpose);
  out["spec"] = write_struct(*kind.spec, part("spec"), purpose);
  if (kind.status != nullptr && (kind.status_presence == Presence::kAlways || !part("status").empty())) {
    out["status"] = write_struct(*kind.status, part("status"), purpose);
  }
  if (purpose == Purpose::kDisplay) return out;
  for (const json::key_value_pair& member : resource.body) {
    if (!out.contains(member.key())) out[member.key()] = member.value();
  }
  return out;
}

void carry(const Struct& schema, const json::object& before, json::object& after) {
  for (const json::key_value_pair& member : before) {
    const Field* field = find_field(schema, view(member.key()));
    json::value* kept = after.if_contains(member.key());
    if (field == nullptr) {
      if (kept == nullptr) after[member.key()] = member.value();
      continue;
    }
    const bool both_structs = field->type == FieldType::kStruct && !field->list && kept != nullptr && kept->is_object();
    if (both_structs && member.value().is_object())
      carry(*field->members, member.value().get_object(), kept->get_object());
  }
}

}  // namespace

std::string encode_stored(const Resource& resource) {
  Resource stored = resource;
  stored.metadata().erase("resourceVersion");
  stored.metadata().erase("selfLink");
  return to_go_json(write_resource(stored, Purpose::kStored));
}

boost::json::object display_object(const Resource& resource) { return write_resource(resource, Purpose::kDisplay); }

void carry_unknown_members(const Resource& before, Resource& after) {
  const auto part = [](const Resource& resource, std::string_view name) -> const json::object* {
    const json::value* found = resource.body.if_contains(name);
    return found != nullptr && found->is_object() ? &found->get_object() : nullptr;
  };
  if (const json::object* metadata = part(before, "metadata")) carry(metadata_schema(), *metadata, after.metadata());
  if (const json::object* spec = part(before, "spec")) carry(*before.kind->spec, *spec, after.spec());
  for (const json::key_value_pair& member : before.body) {
    const std::string_view name = view(member.key());
    const bool known =
        name == "kind" || name == "apiVersion" || name == "metadata" || name == "spec" || name == "status";
    if (!known && !after.body.contains(member.key())) after.body[member.key()] = member.value();
  }
}

}  // namespace model
