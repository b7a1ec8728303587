#include "model/resource_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include <boost/json/parse.hpp>

#include "base/strings.h"
#include "model/resource_checks.h"
#include "model/yaml_reader.h"

namespace model {
namespace {

namespace json = boost::json;

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }
std::string_view view(const json::string_view& text) { return {text.data(), text.size()}; }

// ---- JSON text ----

void append_unicode(std::string& out, unsigned code) {
  constexpr char kHex[] = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kHex[code >> shift & 0xF];
}

// Boost.JSON takes 1e400 for infinity and 0e400 for no number at all.
bool is_finite(const json::value& value) {
  if (value.is_double()) return std::isfinite(value.get_double());
  if (value.is_array()) return std::ranges::all_of(value.get_array(), is_finite);
  return !value.is_object() || std::ranges::all_of(value.get_object(), [](const json::key_value_pair& member) {
    return is_finite(member.value());
  });
}

// Length of the valid UTF-8 sequence at the start of `text`, 0 if there is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  const std::size_t length = lead < 0x80                   ? 1
                             : lead >= 0xC2 && lead < 0xE0 ? 2
                             : (lead & 0xF0) == 0xE0       ? 3
                             : lead >= 0xF0 && lead < 0xF5 ? 4
                                                           : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  if (length == 3 && ((lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F))) return 0;
  if (length == 4 && ((lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) > 0x8F))) return 0;
  return length;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

void append_ascii(std::string& out, char c) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    case '\b': out += "\\b"; return;
    case '\f': out += "\\f"; return;
    default: break;
  }
  if (static_cast<unsigned char>(c) < 0x20 || c == '<' || c == '>' || c == '&') {
    append_unicode(out, static_cast<unsigned char>(c));
  } else {
    out.push_back(c);
  }
}

void append_string(std::string& out, std::string_view text) {
  out.push_back('"');
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const std::string_view character = text.substr(0, std::max<std::size_t>(length, 1));
    if (length == 0)
      out += "\\ufffd";
    else if (length == 1)
      append_ascii(out, character.front());
    else if (character == "\xE2\x80\xA8")
      append_unicode(out, 0x2028);
    else if (character == "\xE2\x80\xA9")
      append_unicode(out, 0x2029);
    else
      out += character;
    text.remove_prefix(character.size());
  }
  out.push_back('"');
}

// `indent` < 0 is the compact form.
void append_json(std::string& out, const json::value& value, int indent) {
  const auto newline = [&](int level) {
    if (level >= 0) out += "\n" + std::string(static_cast<std::size_t>(level) * 2, ' ');
  };
  const int inner = indent < 0 ? -1 : indent + 1;
  if (value.is_object()) {
    out += "{";
    bool first = true;
    for (const json::key_value_pair& member : value.get_object()) {
      if (!std::exchange(first, false)) out += ",";
      newline(inner);
      append_string(out, view(member.key()));
      out += indent < 0 ? ":" : ": ";
      append_json(out, member.value(), inner);
    }
    if (!first) newline(indent);
    out += "}";
  } else if (value.is_array()) {
    out += "[";
    bool first = true;
    for (const json::value& element : value.get_array()) {
      if (!std::exchange(first, false)) out += ",";
      newline(inner);
      append_json(out, element, inner);
    }
    if (!first) newline(indent);
    out += "]";
  } else if (value.is_string()) {
    append_string(out, view(value.get_string()));
  } else {
    out += scalar_text(value);
  }
}

// ---- YAML text ----

// A sexagesimal number of YAML 1.1, "12:30" but not "8000:8010".
bool is_sexagesimal(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (const auto point = text.find('.'); point != text.npos) {
    if (text.find_first_not_of("0123456789_", point + 1) != text.npos) return false;
    text = text.substr(0, point);
  }
  const auto parts = base::split(text, ':');
  if (parts.size() < 2 || parts[0].empty() || parts[0].front() == '_') return false;
  if (parts[0].find_first_not_of("0123456789_") != text.npos) return false;
  return std::all_of(parts.begin() + 1, parts.end(), [](std::string_view part) {
    if (part.empty() || part.size() > 2 || part.find_first_not_of("0123456789") != part.npos) return false;
    return part.size() == 1 || part.front() < '6';
  });
}

// What a reader would take the plain text for, if not text: then it needs double quotes.
bool resolves_to_other_type(std::string_view text) {
  if (text == "<<" || text == ".nan" || text == ".inf" || text == "-.inf" || text == "+.inf") return true;
  if (!resolve_plain(text).is_string() || is_sexagesimal(text)) return true;
  const bool starts_numeric = text.front() >= '0' && text.front() <= '9';
  return starts_numeric && text.size() >= 8 && text[4] == '-' &&
         text.find_first_not_of("0123456789-:.TZtz+ ") == text.npos;  // a date
}

char32_t code_point(std::string_view character) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(character[i]); };
  switch (character.size()) {
    case 2: return static_cast<char32_t>((byte(0) & 0x1F) << 6 | (byte(1) & 0x3F));
    case 3: return static_cast<char32_t>((byte(0) & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F));
    case 4:
      return static_cast<char32_t>((byte(0) & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 |
                                   (byte(3) & 0x3F));
    default: return byte(0);
  }
}

// What upstream's writer escapes. The line breaks among it would tear the text apart for other readers.
bool must_be_escaped(char32_t c) {
  const bool control = c < 0x20 || (c >= 0x7F && c < 0xA0);
  return control || c == 0x2028 || c == 0x2029 || c == 0xFEFF || c >= 0xFFFE;
}

// One character, to be followed through a text.
std::string_view first_character(std::string_view text) {
  return text.substr(0, std::max<std::size_t>(utf8_length(text), 1));
}

bool needs_double_quotes(std::string_view text) {
  while (!text.empty()) {
    const std::string_view character = first_character(text);
    if (utf8_length(text) == 0 || must_be_escaped(code_point(character))) return true;
    text.remove_prefix(character.size());
  }
  return false;
}

bool allowed_plain(std::string_view text) {
  if (text.front() == ' ' || text.back() == ' ') return false;
  if (std::string_view("#,[]{}&*!|>'\"%@`").find(text.front()) != std::string_view::npos) return false;
  if (text.starts_with("---") || text.starts_with("...")) return false;
  const bool indicator = text.front() == '-' || text.front() == '?' || text.front() == ':';
  if (indicator && (text.size() == 1 || text[1] == ' ')) return false;
  if (text.find(": ") != text.npos || text.back() == ':' || text.find(" #") != text.npos) return false;
  return true;
}

std::string escaped(std::string_view character) {
  const char32_t c = code_point(character);
  switch (c) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\n': return "\\n";
    case '\t': return "\\t";
    case '\r': return "\\r";
    default: break;
  }
  if (!must_be_escaped(c)) return std::string(character);
  const int digits = c < 0x100 ? 2 : c < 0x10000 ? 4 : 8;
  std::string out = digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U";
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += "0123456789ABCDEF"[c >> shift & 0xF];
  return out;
}

enum class Quotes : std::uint8_t { kNone, kSingle, kDouble };

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// A scalar on one line, or folded as upstream's writer does it: once a line is longer than 80 characters, it ends at
// the next single blank. `margin` is nothing for a key, which is never folded.
void append_scalar(std::string& out, std::string_view text, Quotes quotes, std::optional<std::size_t> margin) {
  constexpr std::size_t kFoldAfter = 80;
  const std::string_view mark = quotes == Quotes::kNone ? "" : quotes == Quotes::kSingle ? "'" : "\"";
  const auto line = out.rfind('\n');
  std::size_t column = characters(std::string_view(out).substr(line == out.npos ? 0 : line + 1)) + mark.size();
  out += mark;
  bool after_blank = false;
  for (std::size_t i = 0; i < text.size();) {
    const std::string_view character = first_character(text.substr(i));
    if (character == " ") {
      const bool next_is_blank = i + 1 < text.size() && text[i + 1] == ' ';
      const bool inside = quotes == Quotes::kNone || (i > 0 && i + 1 < text.size());
      if (margin && !after_blank && inside && column > kFoldAfter && (quotes == Quotes::kDouble || !next_is_blank)) {
        out += "\n" + std::string(*margin, ' ');
        column = *margin;
        if (next_is_blank) out += "\\", ++column;
      } else {
        out += ' ';
        ++column;
      }
    } else {
      const std::string piece = quotes == Quotes::kDouble                       ? escaped(character)
                                : quotes == Quotes::kSingle && character == "'" ? "''"
                                                                                : std::string(character);
      out += piece;
      column += characters(piece);
    }
    after_blank = character == " ";
    i += character.size();
  }
  out += mark;
}

void append_literal(std::string& out, std::string_view text, int indent) {
  std::size_t trailing = 0;
  while (trailing < text.size() && text[text.size() - 1 - trailing] == '\n') ++trailing;
  out += "|";
  if (text.front() == ' ') out += "2";
  if (trailing == 0) out += "-";
  if (trailing > 1) out += "+";
  if (trailing > 0) text.remove_suffix(1);
  for (const std::string_view line : base::split(text, '\n')) {
    out += "\n";
    if (!line.empty()) out += std::string(static_cast<std::size_t>(indent) * 2, ' ') + std::string(line);
  }
}

void append_text(std::string& out, std::string_view text, int indent, bool key) {
  const auto margin =
      key ? std::nullopt : std::optional<std::size_t>(static_cast<std::size_t>(std::max(indent, 1)) * 2);
  const bool lines = text.find('\n') != text.npos;
  if (text.empty()) {
    out += "\"\"";
  } else if (lines && !key && text.front() != '\n' && text.back() != ' ' && text.find(" \n") == text.npos &&
             !needs_double_quotes(base::replace_all(text, "\n", ""))) {
    append_literal(out, text, indent);
  } else if (resolves_to_other_type(text) || needs_double_quotes(text)) {
    append_scalar(out, text, Quotes::kDouble, margin);
  } else {
    append_scalar(out, text, allowed_plain(text) ? Quotes::kNone : Quotes::kSingle, margin);
  }
}

void append_yaml(std::string& out, const json::value& value, int indent, bool after_dash);

void append_member(std::string& out, const json::key_value_pair& member, int indent) {
  append_text(out, view(member.key()), indent, true);
  out += ":";
  const json::value& value = member.value();
  const bool nested =
      (value.is_object() && !value.get_object().empty()) || (value.is_array() && !value.get_array().empty());
  if (nested) {
    out += "\n";
    append_yaml(out, value, value.is_array() ? indent : indent + 1, false);
  } else {
    out += " ";
    append_yaml(out, value, indent + 1, false);
    out += "\n";
  }
}

// Collections end with a newline, scalars and empty collections do not.
void append_yaml(std::string& out, const json::value& value, int indent, bool after_dash) {
  const std::string margin(static_cast<std::size_t>(indent) * 2, ' ');
  if (value.is_object() && !value.get_object().empty()) {
    std::vector<const json::key_value_pair*> members;
    for (const json::key_value_pair& member : value.get_object()) members.push_back(&member);
    std::ranges::sort(members, [](auto* a, auto* b) { return a->key() < b->key(); });
    for (const auto* member : members) {
      if (!std::exchange(after_dash, false)) out += margin;
      append_member(out, *member, indent);
    }
  } else if (value.is_array() && !value.get_array().empty()) {
    for (const json::value& element : value.get_array()) {
      if (!std::exchange(after_dash, false)) out += margin;
      out += "- ";
      const bool nested = (element.is_object() && !element.get_object().empty()) ||
                          (element.is_array() && !element.get_array().empty());
      append_yaml(out, element, indent + 1, true);
      if (!nested) out += "\n";
    }
  } else if (value.is_object()) {
    out += "{}";
  } else if (value.is_array()) {
    out += "[]";
  } else if (value.is_string()) {
    append_text(out, view(value.get_string()), indent, false);
  } else {
    out += scalar_text(value);
  }
}

}  // namespace

std::vector<std::string_view> split_documents(std::string_view text) {
  std::vector<std::string_view> documents;
  while (true) {
    const auto separator = text.find("\n---");
    const std::string_view document = separator == text.npos ? text : text.substr(0, separator + 1);
    if (!document.empty()) documents.push_back(document);
    if (separator == text.npos) return documents;
    const auto line_end = text.find('\n', separator + 1);
    if (line_end == text.npos) return documents;
    text.remove_prefix(line_end + 1);
  }
}

std::string scalar_text(const boost::json::value& value) {
  if (value.is_null()) return "null";
  if (value.is_bool()) return value.get_bool() ? "true" : "false";
  if (value.is_int64()) return std::to_string(value.get_int64());
  if (value.is_uint64()) return std::to_string(value.get_uint64());
  return format_float(value.get_double());
}

base::Result<boost::json::value> parse_json(std::string_view text) {
  json::error_code failure;
  json::value value = json::parse(json::string_view(text.data(), text.size()), failure);
  if (failure) return base::fail(base::Error(base::ErrorKind::kInvalid, "invalid JSON: " + failure.message()));
  if (!is_finite(value)) {
    return base::fail(base::Error(base::ErrorKind::kInvalid, "invalid JSON: a number is out of range"));
  }
  return value;
}

base::Result<boost::json::value> parse_document(std::string_view text) {
  if (!is_utf8(text)) return base::fail(yaml_error("invalid UTF-8"));
  const std::string_view trimmed = base::trim(text);
  auto yaml = read_yaml(text);
  // JSON is almost YAML; where the YAML reader stumbles (tabs, surrogate pairs) or stays behind, the JSON reader
  // decides.
  if (trimmed.starts_with("{") || trimmed.starts_with("[")) {
    auto value = parse_json(trimmed);
    const bool repeated = !yaml && yaml.error().text().find("already set in map") != std::string::npos;
    if (value && !repeated) return value;
  }
  return yaml;
}

std::string to_go_json(const boost::json::value& value) {
  std::string out;
  append_json(out, value, -1);
  return out;
}

std::string to_go_json_indented(const boost::json::value& value) {
  std::string out;
  append_json(out, value, 0);
  return out;
}

std::string to_go_yaml(const boost::json::value& value) {
  std::string out;
  append_yaml(out, value, 0, false);
  if (!out.ends_with('\n')) out += "\n";
  return out;
}

}  // namespace model
