#include "cli/json_patch.h"

#include <charconv>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/strings.h"

namespace cli {
namespace {

namespace json = boost::json;
using base::Error;
using base::ErrorKind;

Error bad_operation(const std::string& text) { return Error(ErrorKind::kInvalid, "performing json patch: " + text); }

std::optional<std::vector<std::string>> parse_pointer(std::string_view pointer) {
  std::vector<std::string> steps;
  if (pointer.empty()) return steps;
  if (pointer.front() != '/') return std::nullopt;
  for (const std::string_view step : base::split(pointer.substr(1), '/')) {
    steps.push_back(base::replace_all(base::replace_all(step, "~1", "/"), "~0", "~"));
  }
  return steps;
}

std::optional<std::size_t> parse_index(std::string_view text, std::size_t limit) {
  std::size_t index = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (failure != std::errc() || end != text.data() + text.size() || index >= limit) return std::nullopt;
  return index;
}

// The value `steps` leads to, null if there is none.
json::value* find_at(json::value& document, std::span<const std::string> steps) {
  json::value* at = &document;
  for (const std::string& step : steps) {
    if (at->is_object()) {
      at = at->get_object().if_contains(step);
    } else if (at->is_array()) {
      const auto index = parse_index(step, at->get_array().size());
      at = index ? &at->get_array()[*index] : nullptr;
    } else {
      at = nullptr;
    }
    if (at == nullptr) return nullptr;
  }
  return at;
}

bool add_at(json::value& document, std::span<const std::string> steps, json::value value) {
  if (steps.empty()) {
    document = std::move(value);
    return true;
  }
  json::value* parent = find_at(document, steps.first(steps.size() - 1));
  if (parent == nullptr) return false;
  if (parent->is_object()) {
    parent->get_object()[steps.back()] = std::move(value);
    return true;
  }
  if (!parent->is_array()) return false;
  json::array& array = parent->get_array();
  if (steps.back() == "-") {
    array.push_back(std::move(value));
    return true;
  }
  const auto index = parse_index(steps.back(), array.size() + 1);
  if (index) array.insert(array.begin() + *index, std::move(value));
  return index.has_value();
}

bool remove_at(json::value& document, std::span<const std::string> steps) {
  if (steps.empty() || find_at(document, steps) == nullptr) return false;
  json::value* parent = find_at(document, steps.first(steps.size() - 1));
  if (parent->is_object()) {
    parent->get_object().erase(steps.back());
  } else {
    json::array& array = parent->get_array();
    array.erase(array.begin() + *parse_index(steps.back(), array.size()));
  }
  return true;
}

std::string member(const json::object& operation, std::string_view name) {
  const json::value* value = operation.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string().c_str()) : "";
}

base::Result<void> apply_operation(json::value& document, const json::object& operation) {
  const std::string name = member(operation, "op");
  const std::string path = member(operation, "path");
  const auto steps = parse_pointer(path);
  const auto from = parse_pointer(member(operation, "from"));
  const json::value* given = operation.if_contains("value");
  const bool needs_value = name == "add" || name == "replace" || name == "test";
  if (!steps || !from) return base::fail(bad_operation("'" + path + "' is not a JSON pointer"));
  if (needs_value && given == nullptr) return base::fail(bad_operation(name + " '" + path + "' has no value"));
  json::value* source = name == "move" || name == "copy" ? find_at(document, *from) : nullptr;

  bool done = false;
  if (name == "add") {
    done = add_at(document, *steps, *given);
  } else if (name == "remove") {
    done = remove_at(document, *steps);
  } else if (name == "replace") {
    json::value* target = find_at(document, *steps);
    if (target != nullptr) *target = *given;
    done = target != nullptr;
  } else if (name == "test") {
    const json::value* target = find_at(document, *steps);
    done = target != nullptr && *target == *given;
  } else if (name == "copy" && source != nullptr) {
    done = add_at(document, *steps, json::value(*source));
  } else if (name == "move" && source != nullptr) {
    json::value moved = *source;
    done = remove_at(document, *from) && add_at(document, *steps, std::move(moved));
  }
  if (!done) return base::fail(bad_operation("cannot " + (name.empty() ? "do nothing at" : name) + " '" + path + "'"));
  return {};
}

}  // namespace

void apply_merge_patch(boost::json::value& document, const boost::json::value& patch) {
  if (!patch.is_object()) {
    document = patch;
    return;
  }
  if (!document.is_object()) document.emplace_object();
  json::object& object = document.get_object();
  for (const json::key_value_pair& change : patch.get_object()) {
    if (change.value().is_null()) {
      object.erase(change.key());
    } else {
      apply_merge_patch(object[change.key()], change.value());
    }
  }
}

base::Result<void> apply_json_patch(boost::json::value& document, const boost::json::value& operations) {
  for (const json::value& operation : operations.as_array()) {
    if (!operation.is_object()) return base::fail(bad_operation("an operation is not an object"));
    if (auto ok = apply_operation(document, operation.get_object()); !ok) return ok;
  }
  return {};
}

}  // namespace cli
