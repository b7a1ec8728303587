#include "model/yaml_reader.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <sstream>
#include <utility>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "model/resource_text.h"

namespace model {
namespace {

namespace json = boost::json;

constexpr int kMaxDepth = 100;  // of nested collections; deeper input is an attack, not a resource

std::string_view view(const json::string_view& text) { return {text.data(), text.size()}; }

constexpr std::string_view kTrueWords[] = {"y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"};
constexpr std::string_view kFalseWords[] = {"n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"};
constexpr std::string_view kNullWords[] = {"", "~", "null", "Null", "NULL"};

template <std::size_t N>
bool one_of(const std::string_view (&words)[N], std::string_view text) {
  return std::ranges::find(words, text) != std::end(words);
}

std::optional<json::value> parse_integer(std::string_view text) {
  bool negative = false;
  std::string digits;
  for (const char c : text) {
    if (c != '_') digits.push_back(c);
  }
  std::string_view rest = digits;
  if (!rest.empty() && (rest.front() == '-' || rest.front() == '+')) {
    negative = rest.front() == '-';
    rest.remove_prefix(1);
  }
  int radix = 10;
  if (rest.starts_with("0x") || rest.starts_with("0X"))
    radix = 16, rest.remove_prefix(2);
  else if (rest.starts_with("0b") || rest.starts_with("0B"))
    radix = 2, rest.remove_prefix(2);
  else if (rest.starts_with("0o") || rest.starts_with("0O"))
    radix = 8, rest.remove_prefix(2);
  else if (rest.size() > 1 && rest.front() == '0')
    radix = 8, rest.remove_prefix(1);
  std::uint64_t magnitude = 0;
  const auto [end, failure] = std::from_chars(rest.data(), rest.data() + rest.size(), magnitude, radix);
  if (rest.empty() || failure != std::errc() || end != rest.data() + rest.size()) return std::nullopt;
  if (!negative && magnitude > static_cast<std::uint64_t>(INT64_MAX)) return json::value(magnitude);
  if (magnitude > static_cast<std::uint64_t>(INT64_MAX) + 1) return std::nullopt;
  return json::value(static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude));
}

std::optional<json::value> parse_float(std::string_view text) {
  std::string digits;
  bool any_digit = false;
  for (const char c : text) {
    if (c == '_') continue;
    if (c >= '0' && c <= '9')
      any_digit = true;
    else if (std::string_view("+-.eE").find(c) == std::string_view::npos)
      return std::nullopt;
    digits.push_back(c);
  }
  std::string_view rest = digits;
  if (rest.starts_with("+")) rest.remove_prefix(1);
  double value = 0;
  const auto [end, failure] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (!any_digit || failure != std::errc() || end != rest.data() + rest.size()) return std::nullopt;
  return json::value(value);
}

}  // namespace

json::value resolve_plain(std::string_view text) {
  if (one_of(kNullWords, text)) return nullptr;
  if (one_of(kTrueWords, text)) return true;
  if (one_of(kFalseWords, text)) return false;
  const char first = text.front();
  if ((first >= '0' && first <= '9') || first == '-' || first == '+' || first == '.') {
    if (auto integer = parse_integer(text)) return *integer;
    if (auto number = parse_float(text)) return *number;
  }
  return json::string(json::string_view(text.data(), text.size()));
}

base::Error yaml_error(std::string reason) {
  return base::Error(base::ErrorKind::kInvalid, "error converting YAML to JSON: yaml: " + std::move(reason));
}

namespace {

// "!" marks a quoted or block scalar, "?" a plain one.
bool is_plain(const YAML::Node& node) { return node.Tag() == "?" || node.Tag().empty(); }

bool wants_resolution(std::string_view tag) {
  constexpr std::string_view kTags[] = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool",
                                        "tag:yaml.org,2002:null"};
  return one_of(kTags, tag);
}

base::Result<void> add_member(json::object& object, const std::string& name, json::value value, const YAML::Mark& at) {
  if (object.contains(name)) {
    return base::fail(yaml_error("unmarshal errors:\n  line " + std::to_string(at.line + 1) + ": key \"" + name +
                                 "\" already set in map"));
  }
  object[name] = std::move(value);
  return {};
}

// "<<: *name" takes over the members of another mapping, or of several. As upstream's strict reading has it, none of
// them may be there already.
base::Result<void> merge(json::object& object, json::value value, const YAML::Mark& at) {
  if (value.is_object()) {
    for (json::key_value_pair& member : value.get_object()) {
      if (auto added = add_member(object, std::string(view(member.key())), std::move(member.value()), at); !added)
        return added;
    }
    return {};
  }
  if (!value.is_array()) return base::fail(yaml_error("map merge requires map or sequence of maps as the value"));
  for (json::value& element : value.get_array()) {
    if (!element.is_object()) return base::fail(yaml_error("map merge requires map or sequence of maps as the value"));
    if (auto merged = merge(object, std::move(element), at); !merged) return merged;
  }
  return {};
}

// Names that YAML takes for numbers or truth values become text again in plain form: "yes" is the name "true".
base::Result<std::string> member_name(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (!is_plain(node)) return text;
  const json::value value = resolve_plain(text);
  if (value.is_string()) return text;
  if (value.is_null()) return base::fail(yaml_error("a member name is null"));
  return value.is_bool() ? std::string(value.get_bool() ? "true" : "false") : scalar_text(value);
}

// Nothing but empty documents may follow the first: what ends it early (a line indented less than it, a bracket too
// many) must not drop the rest unseen. yaml-cpp's own LoadAll() reads for ever where it cannot get past a token.
class FollowingDocuments : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_ > 1 && mark.pos <= last_start_) refuse();
    last_start_ = mark.pos;
    ++documents_;
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override { content(); }
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override { content(); }
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    content();
  }
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    content();
  }
  void OnMapEnd() override {}

 private:
  void content() const {
    if (documents_ > 1) refuse();
  }
  [[noreturn]] static void refuse() {
    throw YAML::ParserException(YAML::Mark::null_mark(), "did not find expected <document start>");
  }

  std::size_t documents_ = 0;
  int last_start_ = 0;
};

class Converter {
 public:
  explicit Converter(std::size_t text_size) : nodes_left_(std::max(kFewNodes, text_size * kMostGrowth)) {}

  base::Result<json::value> convert(const YAML::Node& node, int depth) {
    if (depth > kMaxDepth) return base::fail(yaml_error("the document is nested too deeply"));
    if (nodes_left_ == 0) return base::fail(yaml_error("the document's aliases repeat too much"));
    --nodes_left_;
    switch (node.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null: return nullptr;
      case YAML::NodeType::Scalar: return convert_scalar(node);
      case YAML::NodeType::Sequence: {
        json::array array;
        for (const YAML::Node& element : node) {
          auto value = convert(element, depth + 1);
          if (!value) return value;
          array.push_back(*std::move(value));
        }
        return array;
      }
      case YAML::NodeType::Map: return convert_map(node, depth + 1);
    }
    return nullptr;
  }

 private:
  // Without aliases a node has at least one character.
  static constexpr std::size_t kMostGrowth = 10;
  static constexpr std::size_t kFewNodes = 100'000;

  static base::Result<json::value> convert_scalar(const YAML::Node& node) {
    if (wants_resolution(node.Tag())) {
      json::value value = resolve_plain(node.Scalar());
      if (value.is_string()) return base::fail(yaml_error("`" + node.Scalar() + "` is not what its tag says"));
      return value;
    }
    if (is_plain(node)) return resolve_plain(node.Scalar());
    return json::string(node.Scalar());
  }

  base::Result<json::value> convert_map(const YAML::Node& node, int depth) {
    json::object object;
    for (const auto& member : node) {
      if (!member.first.IsScalar()) return base::fail(yaml_error("a member name is not text"));
      const auto name = member_name(member.first);
      if (!name) return base::fail(name.error());
      auto value = convert(member.second, depth);
      if (!value) return value;
      const bool merged = *name == "<<" && member.first.Tag() == "?";
      auto added = merged ? merge(object, *std::move(value), member.first.Mark())
                          : add_member(object, *name, *std::move(value), member.first.Mark());
      if (!added) return base::fail(added.error());
    }
    return object;
  }

  std::size_t nodes_left_;
};

bool is_control(char c) {
  return (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F;
}

}  // namespace

base::Result<json::value> read_yaml(std::string_view text) {
  if (std::ranges::any_of(text, is_control)) return base::fail(yaml_error("control characters are not allowed"));
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    FollowingDocuments documents;
    while (parser.HandleNextDocument(documents)) {
    }
    return Converter(text.size()).convert(YAML::Load(std::string(text)), 0);
  } catch (const YAML::Exception& failure) {
    const std::string line = failure.mark.is_null() ? "" : "line " + std::to_string(failure.mark.line + 1) + ": ";
    return base::fail(yaml_error(line + failure.msg));
  }
}

}  // namespace model
