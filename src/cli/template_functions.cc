// The functions of templates: Go's, and join, joinAndTruncate and config of calicoctl (spec cli §4).

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "base/strings.h"
#include "cli/go_template.h"

namespace cli {
namespace {

using base::Error;
using base::ErrorKind;
using Values = std::vector<TemplateValue>;
using Result = base::Result<TemplateValue>;

auto wrong(std::string text) { return base::fail(Error(ErrorKind::kInvalid, std::move(text))); }
TemplateValue text_value(std::string text) { return TemplateValue(std::move(text)); }

// ---- Comparisons ----

// Below, equal or above; nothing where Go has no order.
std::optional<int> compare(const TemplateValue& a, const TemplateValue& b) {
  const auto order = [](const auto& x, const auto& y) { return x < y ? -1 : x == y ? 0 : 1; };
  if (a.integer() != nullptr && b.integer() != nullptr) return order(*a.integer(), *b.integer());
  if (a.real() != nullptr && b.real() != nullptr) return order(*a.real(), *b.real());
  if (a.text() != nullptr && b.text() != nullptr) return order(*a.text(), *b.text());
  return std::nullopt;
}

Result equal(const Values& arguments) {
  if (arguments.size() < 2) return wrong("missing argument for comparison");
  for (auto other = arguments.begin() + 1; other != arguments.end(); ++other) {
    const TemplateValue& first = arguments.front();
    if (first.boolean() != nullptr && other->boolean() != nullptr) {
      if (*first.boolean() == *other->boolean()) return TemplateValue(true);
      continue;
    }
    if (first.is_nil() || other->is_nil()) {
      if (first.is_nil() && other->is_nil()) return TemplateValue(true);
      continue;
    }
    const auto order = compare(first, *other);
    if (!order) return wrong("incompatible types for comparison");
    if (*order == 0) return TemplateValue(true);
  }
  return TemplateValue(false);
}

Result ordered(std::string_view name, const Values& arguments) {
  if (arguments.size() != 2) return wrong("wrong number of args: want 2 got " + std::to_string(arguments.size()));
  if (name == "ne") {
    auto same = equal(arguments);
    return same ? Result(TemplateValue(!same->truth())) : same;
  }
  const auto order = compare(arguments[0], arguments[1]);
  if (!order) return wrong("incompatible types for comparison");
  return TemplateValue(name == "lt"   ? *order < 0
                       : name == "le" ? *order <= 0
                       : name == "gt" ? *order > 0
                                      : *order >= 0);
}

// ---- Lists and maps ----

Result length(const TemplateValue& value) {
  const auto number = [](std::size_t n) { return TemplateValue(static_cast<std::int64_t>(n)); };
  if (value.text() != nullptr) return number(value.text()->size());
  if (value.list() != nullptr) return number(value.list()->size());
  if (value.map() != nullptr) return number(value.map()->size());
  return wrong("len of type " + value.type());
}

Result index(const Values& arguments) {
  TemplateValue value = arguments.front();
  for (auto key = arguments.begin() + 1; key != arguments.end(); ++key) {
    if (value.map() != nullptr && key->text() != nullptr) {
      const auto found = value.map()->find(*key->text());
      // Zero of a map of texts, which the maps of resources are.
      TemplateValue next = found == value.map()->end() ? text_value("") : found->second;
      value = std::move(next);
    } else if (value.list() != nullptr && key->integer() != nullptr) {
      const std::int64_t at = *key->integer();
      if (at < 0 || at >= static_cast<std::int64_t>(value.list()->size()))
        return wrong("index out of range: " + std::to_string(at));
      TemplateValue next = (*value.list())[static_cast<std::size_t>(at)];
      value = std::move(next);
    } else {
      return wrong("can't index item of type " + value.type());
    }
  }
  return value;
}

Result slice(const Values& arguments) {
  const TemplateValue& value = arguments.front();
  const auto size = length(value);
  if (!size || value.map() != nullptr) return wrong("can't slice item of type " + value.type());
  std::int64_t bounds[2] = {0, *size->integer()};
  for (std::size_t i = 1; i < arguments.size() && i < 3; ++i) {
    if (arguments[i].integer() == nullptr) return wrong("cannot index slice with type " + arguments[i].type());
    bounds[i - 1] = *arguments[i].integer();
  }
  if (bounds[0] < 0 || bounds[0] > bounds[1] || bounds[1] > *size->integer()) return wrong("index out of range");
  const auto first = static_cast<std::size_t>(bounds[0]), last = static_cast<std::size_t>(bounds[1]);
  if (value.text() != nullptr) return text_value(value.text()->substr(first, last - first));
  return TemplateValue(TemplateValue::List(value.list()->begin() + bounds[0], value.list()->begin() + bounds[1]));
}

// ---- Text ----

// Blanks between two that are both no text, or between all.
std::string print(const Values& arguments, bool always_blank) {
  std::string out;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const bool texts = i > 0 && (arguments[i].text() != nullptr || arguments[i - 1].text() != nullptr);
    if (i > 0 && (always_blank || !texts)) out += " ";
    out += arguments[i].printed();
  }
  return out;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else
      out += c;
  }
  return out + "\"";
}

// One verb with its flags, "%-10s".
std::string formatted(std::string_view flags, char verb, const TemplateValue& value) {
  std::string text;
  const bool left = flags.starts_with('-'), zeros = flags.starts_with('0');
  if (left) flags.remove_prefix(1);
  const auto point = flags.find('.');
  const auto number = [](std::string_view digits) {
    std::size_t n = 0;
    for (const char c : digits) n = std::min<std::size_t>(n * 10 + static_cast<std::size_t>(c - '0'), 1000);
    return n;
  };
  const std::size_t width = number(flags.substr(0, point));
  const auto precision = point == flags.npos ? std::optional<std::size_t>() : number(flags.substr(point + 1));
  if (verb == 'q' && value.text() != nullptr)
    text = quoted(*value.text());
  else if (verb == 'f' && value.real() != nullptr)
    text = fmt::format("{:.{}f}", *value.real(), precision.value_or(6));
  else if (verb == 'x' && value.integer() != nullptr)
    text = fmt::format("{:x}", *value.integer());
  else
    text = value.printed();
  if (precision && (verb == 's' || verb == 'v') && value.text() != nullptr) text = text.substr(0, *precision);
  const bool fits = verb == 'v' || verb == 'q' || (verb == 's' && value.integer() == nullptr) || verb == 'T' ||
                    ((verb == 'd' || verb == 'x') && value.integer() != nullptr) ||
                    (verb == 't' && value.boolean() != nullptr) ||
                    ((verb == 'f' || verb == 'g') && value.real() != nullptr);
  if (verb == 'T') text = value.type();
  if (!fits) text = std::string("%!") + verb + "(" + value.type() + "=" + value.printed() + ")";
  if (text.size() < width) {
    const std::string padding(width - text.size(), zeros && !left ? '0' : ' ');
    text = left ? text + padding : padding + text;
  }
  return text;
}

Result printf(const Values& arguments) {
  if (arguments.empty() || arguments.front().text() == nullptr) return wrong("the format is no text");
  const std::string& format = *arguments.front().text();
  std::string out;
  std::size_t next = 1;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    const auto end = format.find_first_not_of("-0123456789.+# ", i + 1);
    if (end == format.npos) {
      out += "%!(NOVERB)";
      break;
    }
    const std::string flags = base::replace_all(format.substr(i + 1, end - i - 1), "+", "");
    i = end;
    if (format[end] == '%')
      out += '%';
    else if (next < arguments.size())
      out += formatted(flags, format[end], arguments[next++]);
    else
      out += std::string("%!") + format[end] + "(MISSING)";
  }
  if (next < arguments.size()) {
    out += "%!(EXTRA ";
    for (std::size_t i = next; i < arguments.size(); ++i)
      out += (i > next ? ", " : "") + arguments[i].type() + "=" + arguments[i].printed();
    out += ")";
  }
  return text_value(std::move(out));
}

std::string replaced(std::string text, std::span<const std::pair<std::string_view, std::string_view>> pairs) {
  for (const auto& [from, to] : pairs) text = base::replace_all(text, from, to);
  return text;
}

std::string html(const std::string& text) {
  constexpr std::pair<std::string_view, std::string_view> kPairs[] = {
      {"&", "&amp;"}, {"\"", "&#34;"}, {"'", "&#39;"}, {"<", "&lt;"}, {">", "&gt;"}};
  return replaced(text, kPairs);
}

std::string javascript(const std::string& text) {
  constexpr std::pair<std::string_view, std::string_view> kPairs[] = {
      {"\\", "\\\\"},   {"'", "\\'"},     {"\"", "\\\""},    {"<", "\\u003C"},  {">", "\\u003E"},
      {"&", "\\u0026"}, {"=", "\\u003D"}, {"\n", "\\u000A"}, {"\r", "\\u000D"}, {"\t", "\\u0009"}};
  return replaced(text, kPairs);
}

std::string url_query(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-_.~").find(c) != std::string_view::npos;
    if (plain)
      out += c;
    else if (c == ' ')
      out += '+';
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string joined(const TemplateValue& value, const std::string& separator) {
  std::vector<std::string> parts;
  if (value.list() != nullptr) {
    for (const TemplateValue& element : *value.list()) parts.push_back(element.printed());
  } else if (value.map() != nullptr) {
    for (const auto& [key, element] : *value.map()) parts.push_back(key + "=" + element.printed());
  } else {
    return value.is_nil() ? "" : value.printed();
  }
  return base::join(parts, separator);
}

Result join(const Values& arguments) {
  const bool truncates = arguments.size() == 3;
  if (arguments[1].text() == nullptr || (truncates && arguments[2].integer() == nullptr))
    return wrong("wrong type of argument");
  std::string text = joined(arguments[0], *arguments[1].text());
  const std::int64_t limit = truncates ? *arguments[2].integer() : 0;
  if (limit > 0 && text.size() > static_cast<std::size_t>(limit))
    text = text.substr(0, static_cast<std::size_t>(std::max<std::int64_t>(limit - 3, 0))) + "...";
  return text_value(std::move(text));
}

struct Arity {
  std::string_view name;
  std::size_t least, most;
};
constexpr std::size_t kAny = SIZE_MAX;
constexpr std::array kFunctions = std::to_array<Arity>({
    {"not", 1, 1},
    {"eq", 1, kAny},
    {"ne", 2, 2},
    {"lt", 2, 2},
    {"le", 2, 2},
    {"gt", 2, 2},
    {"ge", 2, 2},
    {"len", 1, 1},
    {"index", 1, kAny},
    {"slice", 1, 4},
    {"print", 0, kAny},
    {"println", 0, kAny},
    {"printf", 1, kAny},
    {"html", 0, kAny},
    {"js", 0, kAny},
    {"urlquery", 0, kAny},
    {"call", 1, kAny},
    {"join", 2, 2},
    {"joinAndTruncate", 3, 3},
    {"config", 1, 1},
});

}  // namespace

bool is_template_function(std::string_view name) {
  return std::ranges::find(kFunctions, name, &Arity::name) != kFunctions.end();
}

base::Result<TemplateValue> call_template_function(std::string_view name, const std::vector<TemplateValue>& arguments,
                                                   const TemplateFunctions& functions) {
  const auto known = std::ranges::find(kFunctions, name, &Arity::name);
  if (known == kFunctions.end()) return wrong("function \"" + std::string(name) + "\" not defined");
  if (arguments.size() < known->least || arguments.size() > known->most) {
    return wrong("wrong number of args for " + std::string(name) + ": want " + std::to_string(known->least) + " got " +
                 std::to_string(arguments.size()));
  }
  if (name == "not") return TemplateValue(!arguments[0].truth());
  if (name == "eq") return equal(arguments);
  if (name == "ne" || name == "lt" || name == "le" || name == "gt" || name == "ge") return ordered(name, arguments);
  if (name == "len") return length(arguments[0]);
  if (name == "index") return index(arguments);
  if (name == "slice") return slice(arguments);
  if (name == "print") return text_value(print(arguments, false));
  if (name == "println") return text_value(print(arguments, true) + "\n");
  if (name == "printf") return printf(arguments);
  if (name == "html") return text_value(html(print(arguments, false)));
  if (name == "js") return text_value(javascript(print(arguments, false)));
  if (name == "urlquery") return text_value(url_query(print(arguments, false)));
  if (name == "join" || name == "joinAndTruncate") return join(arguments);
  if (name == "config") {
    if (arguments[0].text() == nullptr || *arguments[0].text() != "asnumber")
      return wrong("unhandled config: " + arguments[0].printed());
    return text_value(functions.default_as_number);
  }
  return wrong("non-function of type " + arguments[0].type());  // call: resources hold no functions
}

}  // namespace cli
