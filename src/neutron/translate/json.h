// json.h: reading Neutron's objects without surprises: a member that is absent, null or of another type reads as its
// empty value. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

namespace neutron {

namespace json = boost::json;

inline std::string_view view(const json::string& text) { return {text.data(), text.size()}; }
inline json::string_view to_json(std::string_view text) { return {text.data(), text.size()}; }

// Null if absent or null.
inline const json::value* member(const json::object& object, std::string_view name) {
  const json::value* found = object.if_contains(to_json(name));
  return found == nullptr || found->is_null() ? nullptr : found;
}
inline std::string_view text(const json::object& object, std::string_view name) {
  const json::value* found = member(object, name);
  const json::string* value = found == nullptr ? nullptr : found->if_string();
  return value == nullptr ? std::string_view() : view(*value);
}
inline bool flag(const json::object& object, std::string_view name, bool otherwise) {
  const json::value* found = member(object, name);
  const bool* value = found == nullptr ? nullptr : found->if_bool();
  return value == nullptr ? otherwise : *value;
}
// Also of a text that is a number.
std::optional<std::int64_t> number(const json::object& object, std::string_view name);
// Empty if it is no list.
const json::array& list(const json::object& object, std::string_view name);
// Empty if it is no object.
const json::object& inner(const json::object& object, std::string_view name);

// Compact text. Python's: separators ", " and ": ", everything outside ASCII escaped, as its json.dumps writes.
std::string python_json(const json::value& value);

}  // namespace neutron
