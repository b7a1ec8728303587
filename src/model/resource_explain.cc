#include <string>
#include <vector>

#include "base/strings.h"
#include "model/kinds/kinds.h"
#include "model/resource.h"

namespace model {
namespace {

std::string type_text(const Field& field) {
  std::string text;
  switch (field.type) {
    case FieldType::kString: text = "string"; break;
    case FieldType::kBool: text = "boolean"; break;
    case FieldType::kInt: text = "integer"; break;
    case FieldType::kFloat: text = "number"; break;
    case FieldType::kAsNumber: text = "AS number"; break;
    case FieldType::kProtocol: text = "protocol (name or number)"; break;
    case FieldType::kPort: text = "port (number, \"min:max\" or name)"; break;
    case FieldType::kDscp: text = "DSCP (number or name)"; break;
    case FieldType::kDuration: text = "duration (1h2m3s)"; break;
    case FieldType::kStruct: text = "object"; break;
    case FieldType::kStringMap: text = "map of strings"; break;
    case FieldType::kAny: text = "any"; break;
  }
  return field.list ? "list of " + text : text;
}

std::vector<std::string> facts_about(const Field& field) {
  std::vector<std::string> facts;
  if (field.required) facts.emplace_back("required");
  if (field.immutable) facts.emplace_back("cannot be changed");
  if (!field.words.empty()) facts.push_back("one of " + base::replace_all(field.words, "/", ", "));
  if (field.min && field.max) facts.push_back(std::to_string(*field.min) + "-" + std::to_string(*field.max));
  if (field.min && !field.max) facts.push_back("at least " + std::to_string(*field.min));
  if (field.max_length != 0) facts.push_back("at most " + std::to_string(field.max_length) + " characters");
  if (field.check != Check::kNone && field.words.empty())
    facts.push_back("must be a valid " + std::string(tag(field.check)));
  if (!field.default_json.empty()) facts.push_back("default " + std::string(field.default_json));
  if (field.default_json.empty() && !field.when_absent.empty())
    facts.push_back("if absent: " + std::string(field.when_absent));
  return facts;
}

std::string line_about(const Field& field) {
  std::string text =
      "  " + std::string(field.name) + "  <" + type_text(field) + ">\n      " + std::string(field.doc) + "\n";
  const auto facts = facts_about(field);
  if (!facts.empty()) text += "      (" + base::join(facts, "; ") + ")\n";
  return text;
}

std::string members_of(const Struct& schema) {
  std::string text = "FIELDS\n";
  for (const Field& field : schema.fields) text += line_about(field);
  return text;
}

std::string upper_case(std::string_view text) {
  std::string upper(text);
  for (char& c : upper) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return upper;
}

// Any letter case, as decoding accepts it.
const Field* field_named(const Struct& schema, std::string_view name) {
  for (const Field& field : schema.fields) {
    if (base::equal_ignoring_case(field.name, name)) return &field;
  }
  return nullptr;
}

}  // namespace

base::Result<std::string> explain(const Kind& kind, std::string_view path) {
  std::string text = "KIND      " + std::string(kind.name) + (kind.namespaced ? "  (namespaced)" : "") +
                     "\nVERSION   " + std::string(kApiVersion) + "\n";
  const Struct* schema = kind.spec;
  std::vector<std::string_view> steps;
  if (!path.empty()) steps = base::split(path, '.');
  if (!steps.empty() && (steps.front() == "spec" || steps.front() == "metadata" || steps.front() == "status")) {
    if (steps.front() == "metadata") schema = &metadata_schema();
    if (steps.front() == "status" && kind.status != nullptr) schema = kind.status;
    steps.erase(steps.begin());
  }
  if (steps.empty()) return text + "\n" + std::string(kind.doc) + "\n\n" + members_of(*schema);
  const Field* field = nullptr;
  for (const std::string_view step : steps) {
    field = schema == nullptr ? nullptr : field_named(*schema, step);
    if (field == nullptr) {
      return base::fail(base::Error(base::ErrorKind::kNotFound,
                                    std::string(kind.name) + " has no field '" + std::string(path) + "'"));
    }
    schema = field->members;
  }
  text += "FIELD     " + std::string(path) + "  <" + type_text(*field) + ">\n\n" + std::string(field->doc) + "\n";
  for (const std::string& fact : facts_about(*field)) text += "  " + fact + "\n";
  if (!field->config_name.empty())
    text += "  in felix.cfg: " + std::string(field->config_name) + ", in the environment: FELIX_" +
            upper_case(field->config_name) + "\n";
  if (schema != nullptr) text += "\n" + members_of(*schema);
  return text;
}

}  // namespace model
