#include "model/resource.h"

#include <algorithm>
#include <regex>
#include <set>
#include <string>
#include <utility>

#include <boost/json/parse.hpp>

#include "base/check.h"
#include "base/strings.h"
#include "model/kinds/kinds.h"
#include "model/resource_text.h"

namespace model {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxNameLength = 253;
constexpr std::size_t kMaxAnnotationBytes = 256 * 1024;
constexpr std::string_view kLabelPattern = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
constexpr std::string_view kKeyRule =
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character";
constexpr std::string_view kValueRule =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with "
    "an alphanumeric character";
constexpr std::string_view kDscpNames[] = {"DF",   "EF",   "AF11", "AF12", "AF13", "AF21", "AF22",
                                           "AF23", "AF31", "AF32", "AF33", "AF41", "AF42", "AF43",
                                           "CS0",  "CS1",  "CS2",  "CS3",  "CS4",  "CS5",  "CS6"};
constexpr std::string_view kProtocolNames[] = {"TCP", "UDP", "ICMP", "ICMPv6", "SCTP", "UDPLite"};

std::string_view view(const json::string_view& text) { return {text.data(), text.size()}; }

// As Go's %v prints it.
std::string shown(const json::value& value) {
  if (value.is_string()) return std::string(view(value.get_string()));
  if (value.is_array()) {
    std::vector<std::string> parts;
    for (const json::value& element : value.get_array()) parts.push_back(shown(element));
    return "[" + base::join(parts, " ") + "]";
  }
  return to_go_json(value);
}

bool is_word(std::string_view words, std::string_view text, bool ignore_case) {
  return std::ranges::any_of(base::split(words, '/'), [&](std::string_view word) {
    return ignore_case ? base::equal_ignoring_case(word, text) : word == text;
  });
}

std::string word_list(std::string_view words) {
  std::vector<std::string> quoted;
  for (const std::string_view word : base::split(words, '/')) quoted.push_back("\"" + std::string(word) + "\"");
  return base::join(quoted, ", ");
}

class Validator {
 public:
  Validator(Problems& problems, bool has_schema) : problems_(problems), has_schema_(has_schema) {}

  void check_struct(const Struct& schema, const json::object& value, const std::string& path) {
    for (const Field& field : schema.fields) check_field(field, value, path + "." + std::string(field.name));
    if (schema.check != nullptr) schema.check(value, problems_);
  }

 private:
  void check_field(const Field& field, const json::object& owner, const std::string& path) {
    const json::value* value = owner.if_contains(field.name);
    const bool empty = value == nullptr || (value->is_string() && value->get_string().empty());
    if (empty) {
      if (!field.required) return;
      if (field.check != Check::kNone) problems_.add_tag(go_name(field), "", tag(field.check));
      schema_problem(path, "Required value");
      return;
    }
    if (!field.list) return check_one(field, *value, go_name(field), path);
    const json::array& list = value->get_array();
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string index = "[" + std::to_string(i) + "]";
      check_one(field, list[i], go_name(field) + index, path + index);
    }
    check_list(field, list, path);
  }

  void check_list(const Field& field, const json::array& list, const std::string& path) {
    if (field.max_items != 0 && list.size() > field.max_items) {
      schema_problem(path, "Too many: " + std::to_string(list.size()) + ": must have at most " +
                               std::to_string(field.max_items) + " items");
    }
    std::set<std::string> seen;
    for (const json::value& element : list) {
      const std::string text = to_go_json(element);
      if (!seen.insert(text).second && field.unique) schema_problem(path, "Duplicate value: " + text);
    }
  }

  void check_one(const Field& field, const json::value& value, const std::string& name, const std::string& path) {
    switch (field.type) {
      case FieldType::kStruct: return check_struct(*field.members, value.get_object(), path);
      case FieldType::kStringMap:
        if (field.check == Check::kLabels) check_label_map(value.get_object(), name);
        return;
      case FieldType::kPort: return check_port(value);
      case FieldType::kProtocol: return check_protocol(value);
      case FieldType::kDscp: return check_dscp(value, name);
      case FieldType::kInt:
      case FieldType::kFloat:
      case FieldType::kAsNumber: return check_number(field, value, name, path);
      case FieldType::kString:
      case FieldType::kDuration: return check_text(field, value, name, path);
      case FieldType::kBool:
      case FieldType::kAny: return;
    }
  }

  void check_text(const Field& field, const json::value& value, const std::string& name, const std::string& path) {
    const std::string_view text = view(value.get_string());
    if (!passes(field.check, text)) problems_.add_tag(name, std::string(text), tag(field.check));
    if (!field.words.empty() && !is_word(field.words, text, field.words_ignore_case)) {
      schema_problem(path, "Unsupported value: " + to_go_json(value) + ": supported values: " + word_list(field.words));
    }
    if (!field.pattern.empty() &&
        !std::regex_match(text.begin(), text.end(), std::regex(field.pattern.begin(), field.pattern.end()))) {
      schema_problem(path, "Invalid value: " + to_go_json(value) + ": " + path + " in body should match '" +
                               std::string(field.pattern) + "'");
    }
    if (field.max_length != 0 && text.size() > field.max_length) {
      schema_problem(path, "Too long: may not be more than " + std::to_string(field.max_length) + " bytes");
    }
  }

  void check_number(const Field& field, const json::value& value, const std::string& name, const std::string& path) {
    const std::string text = shown(value);
    if (!passes(field.check, text)) problems_.add_tag(name, text, tag(field.check));
    const double number = value.is_double() ? value.get_double() : value.to_number<double>();
    const auto out_of_range = [&](std::string_view side, std::int64_t limit) {
      schema_problem(path, "Invalid value: " + text + ": " + path + " in body should be " + std::string(side) +
                               " than or equal to " + std::to_string(limit));
    };
    if (field.min && number < static_cast<double>(*field.min)) out_of_range("greater", *field.min);
    if (field.max && number > static_cast<double>(*field.max)) out_of_range("less", *field.max);
  }

  void check_port(const json::value& value) {
    constexpr std::string_view kRange = "port range invalid, port number must be between 1 and 65535";
    if (!value.is_string()) {
      if (shown(value) == "0") problems_.add("Port", "0", std::string(kRange));
      return;
    }
    const std::string_view text = view(value.get_string());
    const auto range = parse_port(text);
    if (range && range->name.empty() && range->first == 0)
      problems_.add("Port", std::string(text), std::string(kRange));
    if (range && !range->name.empty() && !passes(Check::kPortName, text)) {
      problems_.add("Port", std::string(text),
                    "named port invalid, it must be at most 15 lower case letters, digits and single '-', with at "
                    "least one letter");
    }
  }

  void check_protocol(const json::value& value) {
    if (!value.is_string()) {
      if (shown(value) == "0") problems_.add("Protocol", "0", "protocol number invalid");
    } else if (std::ranges::find(kProtocolNames, view(value.get_string())) == std::end(kProtocolNames)) {
      problems_.add("Protocol", shown(value), "protocol name invalid");
    }
  }

  void check_dscp(const json::value& value, const std::string& name) {
    if (!value.is_string()) return;
    const std::string_view text = base::trim(view(value.get_string()));
    const bool known =
        std::ranges::any_of(kDscpNames, [&](std::string_view n) { return base::equal_ignoring_case(n, text); });
    if (!known) problems_.add_tag(name, shown(value), "dscp");
  }

  void check_label_map(const json::object& map, const std::string& name) {
    for (const json::key_value_pair& entry : map) {
      const std::string_view key = view(entry.key());
      const std::string text = shown(entry.value());
      if (!is_qualified_name(key) || !is_label_value(text)) {
        problems_.add_tag(name, std::string(key) + "=" + text, tag(Check::kLabels));
      }
    }
  }

  void schema_problem(const std::string& path, std::string reason) {
    if (has_schema_) problems_.add_schema(path, std::move(reason));
  }

  Problems& problems_;
  bool has_schema_;
};

void check_name(std::string_view name, Problems& problems) {
  if (name.size() > kMaxNameLength) {
    problems.add("Metadata.Name", std::string(name),
                 "name is too long by " + std::to_string(name.size() - kMaxNameLength) + " bytes");
  }
  if (is_dns_subdomain(name)) return;
  std::string regex(kLabelPattern);
  regex += "(\\." + std::string(kLabelPattern) + ")*";
  problems.add("Metadata.Name", std::string(name),
               "name must consist of lower case alphanumeric characters, '-' or '.' (regex: " + regex + ")");
}

void check_metadata(const Resource& resource, Problems& problems) {
  check_name(resource.name(), problems);
  if (const json::object* labels = resource.labels()) {
    for (const json::key_value_pair& label : *labels) {
      const std::string value = shown(label.value());
      if (!is_qualified_name(view(label.key()))) {
        problems.add("Metadata.Labels (label)", std::string(view(label.key())), std::string(kKeyRule));
      }
      if (!is_label_value(value)) problems.add("Metadata.Labels (value)", value, std::string(kValueRule));
    }
  }
  if (const json::object* annotations = resource.annotations()) check_annotations(*annotations, problems);
}

// Defaults of nested members apply only where the enclosing object is present.
void fill_defaults(const Struct& schema, json::object& value) {
  for (const Field& field : schema.fields) {
    json::value* member = value.if_contains(field.name);
    if (member == nullptr) {
      if (!field.default_json.empty()) {
        value[field.name] = json::parse(json::string_view(field.default_json.data(), field.default_json.size()));
      }
      continue;
    }
    if (field.type != FieldType::kStruct) continue;
    if (member->is_object()) fill_defaults(*field.members, member->get_object());
    if (!member->is_array()) continue;
    for (json::value& element : member->get_array()) fill_defaults(*field.members, element.get_object());
  }
}

}  // namespace

void check_annotations(const json::object& annotations, Problems& problems) {
  std::size_t bytes = 0;
  for (const json::key_value_pair& annotation : annotations) {
    bytes += annotation.key().size() + shown(annotation.value()).size();
    if (!is_qualified_name(base::to_lower(view(annotation.key())))) {
      problems.add("Metadata.Annotations (key)", std::string(view(annotation.key())), std::string(kKeyRule));
    }
  }
  if (bytes > kMaxAnnotationBytes) {
    problems.add("Metadata.Annotations (key)", std::to_string(bytes),
                 "total size of annotations is too large by " + std::to_string(bytes - kMaxAnnotationBytes) + " bytes");
  }
}

void complete(Resource& resource, WriteReason why, Problems& problems) {
  if (resource.kind->complete != nullptr) resource.kind->complete(resource, why, problems);
  fill_defaults(*resource.kind->spec, resource.spec());
}

void validate(const Resource& resource, Problems& problems) {
  check_metadata(resource, problems);
  Validator(problems, resource.kind->has_schema).check_struct(*resource.kind->spec, resource.spec(), "spec");
  if (resource.kind->check != nullptr) resource.kind->check(resource, problems);
}

}  // namespace model
