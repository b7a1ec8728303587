#include "neutron/translate/json.h"

#include <fmt/core.h>

#include <charconv>
#include <utility>

#include <boost/json/serialize.hpp>

namespace neutron {
namespace {

void append_escaped(std::string& out, std::uint32_t point) {
  if (point >= 0x10000) {
    point -= 0x10000;
    out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (point >> 10), 0xDC00 + (point & 0x3FF));
  } else {
    out += fmt::format("\\u{:04x}", point);
  }
}

// REQUIRES valid UTF-8, which the parser guarantees. Advances `at` to the last byte of the code point.
std::uint32_t decode_point(std::string_view text, std::size_t& at) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
  const std::uint32_t first = byte(at);
  const int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
  std::uint32_t point = first & (0x3Fu >> more);
  for (int i = 0; i < more && at + 1 < text.size(); ++i) point = (point << 6) | (byte(++at) & 0x3F);
  return point;
}

void append_string(std::string& out, std::string_view text) {
  out += '"';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      default:
        if (static_cast<unsigned char>(c) >= 0x80) {
          append_escaped(out, decode_point(text, i));
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
          if (c == 0x7F)
            out += c;
          else
            append_escaped(out, static_cast<std::uint32_t>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

void append(std::string& out, const json::value& value) {
  if (const auto* object = value.if_object()) {
    out += '{';
    bool first = true;
    for (const auto& [key, item] : *object) {
      if (!std::exchange(first, false)) out += ", ";
      append_string(out, {key.data(), key.size()});
      out += ": ";
      append(out, item);
    }
    out += '}';
  } else if (const auto* array = value.if_array()) {
    out += '[';
    for (std::size_t i = 0; i < array->size(); ++i) {
      if (i > 0) out += ", ";
      append(out, (*array)[i]);
    }
    out += ']';
  } else if (const auto* string = value.if_string()) {
    append_string(out, view(*string));
  } else {
    out += json::serialize(value);
  }
}

}  // namespace

std::optional<std::int64_t> number(const json::object& object, std::string_view name) {
  const json::value* found = member(object, name);
  if (found == nullptr) return std::nullopt;
  if (const auto* value = found->if_int64()) return *value;
  if (const auto* digits = found->if_string()) {
    std::int64_t value = 0;
    const char* end = digits->data() + digits->size();
    const auto [stop, error] = std::from_chars(digits->data(), end, value);
    if (error == std::errc() && stop == end && !digits->empty()) return value;
  }
  return std::nullopt;
}

const json::array& list(const json::object& object, std::string_view name) {
  static const json::array kNone;
  const json::value* found = member(object, name);
  const json::array* value = found == nullptr ? nullptr : found->if_array();
  return value == nullptr ? kNone : *value;
}

const json::object& inner(const json::object& object, std::string_view name) {
  static const json::object kNone;
  const json::value* found = member(object, name);
  const json::object* value = found == nullptr ? nullptr : found->if_object();
  return value == nullptr ? kNone : *value;
}

std::string python_json(const json::value& value) {
  std::string out;
  append(out, value);
  return out;
}

}  // namespace neutron
