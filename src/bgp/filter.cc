#include "bgp/filter.h"

#include <algorithm>
#include <array>

#include <fmt/core.h>
#include <boost/json.hpp>

#include "base/digest.h"

namespace bgp {
namespace {

namespace json = boost::json;
using base::Error;
using base::fail;
using base::Family;
using base::Result;

constexpr std::uint32_t kTopPriority = 2147483647;
constexpr std::size_t kMaxRules = 1000;  // per list; a list of more is no list an operator wrote
constexpr std::size_t kMaxOperations = 10;
constexpr std::size_t kMaxAsNumbers = 10;
constexpr std::size_t kLongestName = 45;  // 64 characters of a BIRD symbol less what stands around it

Result<std::string> text_member(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || value->is_null()) return std::string();
  if (!value->is_string()) return fail(Error::invalid(fmt::format("{} is not text", name)));
  return std::string(value->get_string());
}

Result<std::optional<std::int64_t>> number_member(const json::object& object, std::string_view name, std::int64_t low,
                                                  std::int64_t high) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || value->is_null()) return std::optional<std::int64_t>();
  boost::system::error_code bad;
  const auto number = value->to_number<std::int64_t>(bad);
  if (bad || number < low || number > high) {
    return fail(Error::invalid(fmt::format("{} is not a whole number from {} to {}", name, low, high)));
  }
  return std::optional(number);
}

Result<std::vector<AsNumber>> as_numbers(const json::value* value, std::string_view name) {
  std::vector<AsNumber> numbers;
  if (value == nullptr || value->is_null()) return numbers;
  const json::array* list = value->if_array();
  if (list == nullptr) return fail(Error::invalid(fmt::format("{} is not a list", name)));
  for (const json::value& entry : *list) {
    auto number = parse_as_number(entry);
    if (!number || *number == 0) return fail(Error::invalid(fmt::format("{} has an entry that is no AS number", name)));
    numbers.push_back(*number);
  }
  return numbers;
}

// Reads one rule. Members are read in any order; the first problem ends it.
class RuleReader {
 public:
  RuleReader(const json::object& rule, Family family) : rule_(rule), family_(family) {}

  Result<FilterRule> read() {
    for (const auto part :
         {&RuleReader::prefix, &RuleReader::words, &RuleReader::bgp_attributes, &RuleReader::operations}) {
      if (auto done = (this->*part)(); !done) return fail(std::move(done).error());
    }
    return std::move(out_);
  }

 private:
  Result<> prefix() {
    const auto cidr = text_member(rule_, "cidr");
    const auto match = text_member(rule_, "matchOperator");
    if (!cidr) return fail(cidr.error());
    if (!match) return fail(match.error());
    const json::value* length = rule_.if_contains("prefixLength");
    if (length != nullptr && length->is_null()) length = nullptr;
    if (cidr->empty() != match->empty()) return fail(Error::invalid("cidr and matchOperator need each other"));
    if (cidr->empty()) {
      if (length != nullptr) return fail(Error::invalid("prefixLength needs cidr"));
      return {};
    }
    auto prefix = base::parse_cidr(*cidr);
    if (!prefix || prefix->family() != family_) return fail(Error::invalid("cidr is not one of this address family"));
    out_.cidr = *prefix;
    static constexpr std::array<std::string_view, 4> kOperators = {"Equal", "NotEqual", "In", "NotIn"};
    const auto found = std::ranges::find(kOperators, *match);
    if (found == kOperators.end()) return fail(Error::invalid("matchOperator is none of Equal, NotEqual, In, NotIn"));
    out_.match = static_cast<MatchOperator>(found - kOperators.begin());
    return length != nullptr ? prefix_length(*length) : Result<>();
  }

  Result<> prefix_length(const json::value& value) {
    const json::object* range = value.if_object();
    if (range == nullptr) return fail(Error::invalid("prefixLength is not an object"));
    const auto min = number_member(*range, "min", 0, base::address_bits(family_));
    const auto max = number_member(*range, "max", 0, base::address_bits(family_));
    if (!min) return fail(min.error());
    if (!max) return fail(max.error());
    if (!*min && !*max) return {};
    out_.min_length = static_cast<int>(min->value_or(out_.cidr->length));
    out_.max_length = static_cast<int>(max->value_or(base::address_bits(family_)));
    return {};
  }

  Result<> words() {
    const auto action = text_member(rule_, "action");
    const auto source = text_member(rule_, "source");
    const auto interface = text_member(rule_, "interface");
    const auto peer_type = text_member(rule_, "peerType");
    for (const auto* text : {&action, &source, &interface, &peer_type}) {
      if (!*text) return fail(text->error());
    }
    if (*action != "Accept" && *action != "Reject") return fail(Error::invalid("action is neither Accept nor Reject"));
    out_.accept = *action == "Accept";
    if (!source->empty() && *source != "RemotePeers") return fail(Error::invalid("source is not RemotePeers"));
    out_.remote_peers = !source->empty();
    if (!interface->empty() && !is_filter_pattern(*interface)) {
      return fail(Error::invalid("interface is not 1 to 15 of a-z A-Z 0-9 _ . * -"));
    }
    out_.interface = *interface;
    if (*peer_type == "eBGP") out_.peer_type = PeerType::kExternal;
    if (*peer_type == "iBGP") out_.peer_type = PeerType::kInternal;
    if (!peer_type->empty() && out_.peer_type == PeerType::kAny) {
      return fail(Error::invalid("peerType is neither eBGP nor iBGP"));
    }
    return {};
  }

  Result<> bgp_attributes() {
    if (const json::value* communities = rule_.if_contains("communities"); communities && !communities->is_null()) {
      const json::object* object = communities->if_object();
      const json::value* list = object != nullptr ? object->if_contains("values") : nullptr;
      const json::array* values = list != nullptr ? list->if_array() : nullptr;
      if (values == nullptr || values->size() != 1 || !values->front().is_string()) {
        return fail(Error::invalid("communities.values must hold exactly one community"));
      }
      auto community = parse_community(values->front().get_string());
      if (!community) return fail(std::move(community).error());
      out_.community = *community;
    }
    auto path = as_numbers(rule_.if_contains("asPathPrefix"), "asPathPrefix");
    if (!path) return fail(std::move(path).error());
    out_.as_path_prefix = std::move(*path);
    const auto priority = number_member(rule_, "priority", 1, kTopPriority - 1);
    if (!priority) return fail(priority.error());
    if (*priority) out_.priority = static_cast<std::uint32_t>(**priority);
    return {};
  }

  Result<> operations() {
    const json::value* value = rule_.if_contains("operations");
    if (value == nullptr || value->is_null()) return {};
    const json::array* list = value->if_array();
    if (list == nullptr || list->size() > kMaxOperations)
      return fail(Error::invalid("operations is not a list of up to 10"));
    if (!list->empty() && !out_.accept) return fail(Error::invalid("operations need action Accept"));
    for (const json::value& entry : *list) {
      auto operation = one_operation(entry);
      if (!operation) return fail(std::move(operation).error());
      out_.operations.push_back(std::move(*operation));
    }
    return {};
  }

  static Result<FilterOperation> one_operation(const json::value& entry) {
    const json::object* object = entry.if_object();
    const auto member = [&](std::string_view name) -> const json::object* {
      const json::value* value = object != nullptr ? object->if_contains(name) : nullptr;
      return value != nullptr ? value->if_object() : nullptr;
    };
    const json::object* add = member("addCommunity");
    const json::object* prepend = member("prependASPath");
    const json::object* set = member("setPriority");
    if ((add != nullptr) + (prepend != nullptr) + (set != nullptr) != 1) {
      return fail(Error::invalid("an operation is not exactly one of addCommunity, prependASPath, setPriority"));
    }
    if (add != nullptr) {
      const auto text = text_member(*add, "value");
      auto community = text ? parse_community(*text) : Result<Community>(fail(text.error()));
      if (!community) return fail(std::move(community).error());
      return AddCommunity{*community};
    }
    if (prepend != nullptr) {
      auto prefix = as_numbers(prepend->if_contains("prefix"), "prependASPath.prefix");
      if (!prefix) return fail(std::move(prefix).error());
      if (prefix->empty() || prefix->size() > kMaxAsNumbers) {
        return fail(Error::invalid("prependASPath.prefix needs 1 to 10 AS numbers"));
      }
      return PrependAsPath{std::move(*prefix)};
    }
    const auto priority = number_member(*set, "value", 1, kTopPriority - 1);
    if (!priority) return fail(priority.error());
    if (!*priority) return fail(Error::invalid("setPriority has no value"));
    return SetPriority{static_cast<std::uint32_t>(**priority)};
  }

  const json::object& rule_;
  const Family family_;
  FilterRule out_;
};

Filter::Rules read_list(std::string_view name, const json::object& spec, std::string_view member, Family family,
                        Diagnostics& out) {
  Filter::Rules result;
  const json::value* value = spec.if_contains(member);
  if (value == nullptr || value->is_null()) return result;
  const std::string object = fmt::format("BGPFilter({})", name);
  const auto report = [&](std::string field, std::string_view problem) {
    out.push_back({object, std::move(field), fmt::format("{}; the rule never matches until it is corrected", problem)});
  };
  const json::array* list = value->if_array();
  if (list == nullptr || list->size() > kMaxRules) {
    out.push_back({object, fmt::format("spec.{}", member), "is not a list of up to 1000 rules; it has no effect"});
    return result;
  }
  result.given = !list->empty();
  for (std::size_t i = 0; i < list->size(); ++i) {
    const json::object* rule = (*list)[i].if_object();
    if (rule == nullptr) {
      report(fmt::format("spec.{}[{}]", member, i), "is not an object");
      continue;
    }
    auto parsed = RuleReader(*rule, family).read();
    if (parsed)
      result.rules.push_back(std::move(*parsed));
    else
      report(fmt::format("spec.{}[{}]", member, i), parsed.error().text());
  }
  return result;
}

char digit(Family family) { return family == Family::kIpv4 ? '4' : '6'; }

// Comparing a prefix with a set by = or != is constantly false or true in BIRD; so upstream's rule is kept, and said.
std::string prefix_condition(const FilterRule& rule) {
  static constexpr std::array<std::string_view, 4> kOperators = {"=", "!=", "~", "!~"};
  const std::string_view op = kOperators.at(static_cast<std::size_t>(rule.match));
  const std::string cidr = base::to_string(*rule.cidr);
  if (!rule.min_length) return fmt::format("net {} {}", op, cidr);
  const int low = std::max<int>(rule.cidr->length, *rule.min_length);
  if (low > *rule.max_length) {
    return rule.match == MatchOperator::kIn || rule.match == MatchOperator::kEqual ? "false" : "true";
  }
  return fmt::format("net {} [ {}{{{},{}}} ]", op, cidr, low, *rule.max_length);
}

std::string condition(const FilterRule& rule) {
  std::vector<std::string> parts;
  if (rule.peer_type != PeerType::kAny)
    parts.emplace_back(rule.peer_type == PeerType::kInternal ? "same_as" : "!same_as");
  if (rule.cidr) parts.push_back(prefix_condition(rule));
  if (rule.remote_peers) parts.emplace_back("source = RTS_BGP");
  if (!rule.interface.empty()) parts.push_back(fmt::format("ifname ~ \"{}\"", rule.interface));
  if (rule.community) {
    parts.push_back(fmt::format("{} ~ {}", to_string(*rule.community),
                                rule.community->c ? "bgp_large_community" : "bgp_community"));
  }
  if (!rule.as_path_prefix.empty()) {
    std::string path;
    for (const AsNumber number : rule.as_path_prefix) path += fmt::format("{} ", number);
    parts.push_back(fmt::format("bgp_path ~ [= {}* =]", path));
  }
  if (rule.priority) {
    parts.push_back(fmt::format("defined(bgp_local_pref) && bgp_local_pref = {}", kTopPriority - *rule.priority));
  }
  std::string joined;
  for (const std::string& part : parts) joined += fmt::format("{}({})", joined.empty() ? "" : " && ", part);
  return joined;
}

// The last AS number is put in front first, so that the path begins as the prefix is written.
std::string statements(const FilterOperation& operation) {
  if (const auto* add = std::get_if<AddCommunity>(&operation)) {
    return fmt::format("{}.add({}); ", add->community.c ? "bgp_large_community" : "bgp_community",
                       to_string(add->community));
  }
  if (const auto* set = std::get_if<SetPriority>(&operation)) {
    return fmt::format("bgp_local_pref = {}; ", kTopPriority - set->priority);
  }
  std::string text;
  const auto& prefix = std::get<PrependAsPath>(operation).prefix;
  for (auto number = prefix.rbegin(); number != prefix.rend(); ++number) {
    text += fmt::format("bgp_path.prepend({}); ", *number);
  }
  return text;
}

bool takes_peer_type(const Filter::Rules& rules) {
  return std::ranges::any_of(rules.rules, [](const FilterRule& rule) { return rule.peer_type != PeerType::kAny; });
}

// Accept ends everything that would have followed, also the step that raises the preference of an elevated route.
void write_rule(const FilterRule& rule, Direction direction, Family family, Text& text) {
  std::string body;
  for (const FilterOperation& operation : rule.operations) body += statements(operation);
  if (rule.accept && direction == Direction::kImport) body += fmt::format("prio_in{}(); ", digit(family));
  body += rule.accept ? "accept;" : "reject;";
  const std::string when = condition(rule);
  if (when.empty())
    text.line("  {}", body);
  else
    text.line("  if {} then {{ {} }}", when, body);
}

void warn_constant(const std::string& name, const Filter::Rules& rules, Diagnostics& out) {
  for (const FilterRule& rule : rules.rules) {
    if (!rule.min_length || (rule.match != MatchOperator::kEqual && rule.match != MatchOperator::kNotEqual)) continue;
    out.push_back({fmt::format("BGPFilter({})", name), "prefixLength",
                   fmt::format("with {} a rule {} matches; use In or NotIn",
                               rule.match == MatchOperator::kEqual ? "Equal" : "NotEqual",
                               rule.match == MatchOperator::kEqual ? "never" : "always")});
  }
}

}  // namespace

const Filter::Rules& Filter::rules(Direction direction, Family family) const {
  if (direction == Direction::kImport) return family == Family::kIpv4 ? import_v4 : import_v6;
  return family == Family::kIpv4 ? export_v4 : export_v6;
}

Filter parse_filter(std::string_view name, const json::object& resource, Diagnostics& out) {
  Filter filter;
  const json::value* value = resource.if_contains("spec");
  const json::object* spec = value != nullptr ? value->if_object() : nullptr;
  if (spec == nullptr) return filter;
  filter.import_v4 = read_list(name, *spec, "importV4", Family::kIpv4, out);
  filter.import_v6 = read_list(name, *spec, "importV6", Family::kIpv6, out);
  filter.export_v4 = read_list(name, *spec, "exportV4", Family::kIpv4, out);
  filter.export_v6 = read_list(name, *spec, "exportV6", Family::kIpv6, out);
  return filter;
}

bool is_filter_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' ||
           c == '-' || c == ':';
  });
}

std::string filter_function(std::string_view name, Direction direction, Family family) {
  std::string shortened(name);
  if (name.size() > kLongestName) {
    shortened = std::string(name.substr(0, 28)) + '_';
    const base::Sha256 hash = base::sha256(name);
    for (std::size_t i = 0; i < 8; ++i) shortened += fmt::format("{:02X}", hash.at(i));
  }
  return fmt::format("'bgp_{}_{}FilterV{}'", shortened, direction == Direction::kImport ? "import" : "export",
                     digit(family));
}

void write_filters(const Filters& filters, Direction direction, Family family, Text& text, Diagnostics& out) {
  for (const auto& [name, filter] : filters) {
    const Filter::Rules& rules = filter.rules(direction, family);
    if (!rules.given || !is_filter_name(name)) continue;
    warn_constant(name, rules, out);
    text.line("function {}({})\n{{", filter_function(name, direction, family),
              takes_peer_type(rules) ? "bool same_as" : "");
    for (const FilterRule& rule : rules.rules) write_rule(rule, direction, family, text);
    text.line("}}");
  }
}

std::string filter_calls(const Filters& filters, const std::vector<std::string>& names, Direction direction,
                         Family family, bool same_as) {
  std::string calls;
  for (const std::string& name : names) {
    const auto found = filters.find(name);
    if (found == filters.end() || !is_filter_name(name)) continue;
    const Filter::Rules& rules = found->second.rules(direction, family);
    if (!rules.given) continue;
    calls += fmt::format("{}({}); ", filter_function(name, direction, family),
                         !takes_peer_type(rules) ? ""
                         : same_as               ? "true"
                                                 : "false");
  }
  return calls;
}

}  // namespace bgp
