#include "config/value_type.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>

#include <fmt/core.h>
#include <re2/re2.h>

#include "base/check.h"
#include "base/strings.h"

namespace config {
namespace {

using base::equal_ignoring_case;
using base::Error;
using base::fail;
using base::Result;
using base::split;
using base::trim;

constexpr std::int64_t kAnyLow = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kAnyHigh = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t kMaxInterfaceName = 15;  // the kernel's IFNAMSIZ, less the terminator
constexpr std::size_t kMaxHostAddress = 64;
constexpr std::size_t kMaxRegion = 46;       // a label of 63, less "openstack-region-"
constexpr std::uint32_t kMaxOldTable = 250;  // tables 253-255 belong to the kernel
constexpr std::uint64_t kMaxTables = 65535;
constexpr int kMinMarkBits = 2;
constexpr std::int64_t kMaxLogRate = 9999;
constexpr double kMaxSeconds = 9.0e9;  // int64 nanoseconds end at 9.2e9

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool consists_of(std::string_view text, std::string_view others, std::size_t longest) {
  return !text.empty() && text.size() <= longest && std::all_of(text.begin(), text.end(), [&](char c) {
    return is_alphanumeric(c) || others.find(c) != std::string_view::npos;
  });
}

// --- Scalars

Result<bool> parse_boolean(std::string_view text) {
  for (const std::string_view yes : {"true", "1", "yes", "y", "t"}) {
    if (equal_ignoring_case(text, yes)) return true;
  }
  for (const std::string_view no : {"false", "0", "no", "n", "f"}) {
    if (equal_ignoring_case(text, no)) return false;
  }
  return fail(Error::invalid("not a boolean"));
}

// Single underscores between digits, and behind a base prefix, as in Go's numbers: 1_000, 0x_ff.
Result<std::string> without_underscores(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out.push_back(text[i]);
    } else if (i == 0 || i + 1 == text.size() || text[i - 1] == '_' || !is_alphanumeric(text[i + 1])) {
      return fail(Error::invalid("not an integer"));
    }
  }
  return out;
}

// As Go reads integers with base 0: 0x, 0o, 0b, a leading 0 for octal, else decimal.
Result<std::int64_t> parse_integer(std::string_view given) {
  const bool negative = given.starts_with('-');
  if (negative || given.starts_with('+')) given.remove_prefix(1);
  const auto plain = without_underscores(given);
  if (!plain) return fail(plain.error());
  std::string_view text = *plain;
  int radix = 10;
  if (text.size() > 1 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    radix = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
    text.remove_prefix(mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1);
  }
  std::uint64_t magnitude = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), magnitude, radix);
  const std::uint64_t limit = static_cast<std::uint64_t>(kAnyHigh) + (negative ? 1u : 0u);
  if (error != std::errc() || end != text.data() + text.size() || magnitude > limit) {
    return fail(Error::invalid("not an integer"));
  }
  return negative ? static_cast<std::int64_t>(0 - magnitude) : static_cast<std::int64_t>(magnitude);
}

Result<std::int64_t> parse_integer_between(std::string_view text, std::int64_t low, std::int64_t high) {
  auto value = parse_integer(text);
  if (value && (*value < low || *value > high)) return fail(Error::invalid("out of range"));
  return value;
}

Result<base::Duration> parse_decimal_duration(std::string_view text, double unit_seconds) {
  double number = 0;
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number)) {
    return fail(Error::invalid("not a number"));
  }
  const double seconds = number * unit_seconds;
  if (std::fabs(seconds) > kMaxSeconds) return fail(Error::invalid("out of range"));
  return base::Duration(std::llround(seconds * 1e9));
}

Result<std::int64_t> parse_mark_mask(std::string_view text) {
  auto mask = parse_integer_between(text, 0, std::numeric_limits<std::uint32_t>::max());
  if (!mask) return mask;
  if (std::popcount(static_cast<std::uint64_t>(*mask)) < kMinMarkBits)
    return fail(Error::invalid("fewer than two bits are set"));
  return mask;
}

Result<std::string> parse_choice(std::string_view text, std::string_view choices) {
  for (const std::string_view choice : split(choices, '|')) {
    if (equal_ignoring_case(text, choice)) return std::string(choice);
  }
  return fail(Error::invalid("not one of the choices"));
}

Result<std::string> checked(std::string_view text, bool good, std::string_view problem) {
  if (!good) return fail(Error::invalid(problem));
  return std::string(text);
}

bool is_region(std::string_view text) {
  const auto inner = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  return !text.empty() && text.size() <= kMaxRegion && std::all_of(text.begin(), text.end(), inner) &&
         text.front() != '-' && text.back() != '-';
}

Result<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(Error::invalid("not a port from 0 to 65535", text));
  return port;
}

bool is_authority(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  return text.find('/') == std::string_view::npos && parse_port(text.substr(colon + 1)).has_value();
}

Result<std::string> parse_log_rate(std::string_view text) {
  const auto slash = text.find('/');
  const std::string_view unit = slash == std::string_view::npos ? std::string_view() : trim(text.substr(slash + 1));
  const auto number = parse_integer_between(trim(text.substr(0, slash)), 1, kMaxLogRate);
  if (!number || (unit != "second" && unit != "minute" && unit != "hour" && unit != "day")) {
    return fail(Error::invalid("not a rate"));
  }
  return fmt::format("{}/{}", *number, unit);
}

Result<std::string> parse_regex(std::string_view text) {
  const re2::RE2 regex(re2::StringPiece(text.data(), text.size()), re2::RE2::Quiet);
  if (!regex.ok()) return fail(Error::invalid("not a regular expression: " + regex.error()));
  return std::string(text);
}

Result<std::string> parse_datastore_type(std::string_view text) {
  if (text.starts_with("dir:")) return checked(text, text.size() > 4, "no directory after dir:");
  return parse_choice(text, "kubernetes|etcdv3");
}

Result<std::int64_t> parse_dscp(std::string_view text) {
  if (auto number = parse_integer_between(text, 0, 63)) return number;
  const std::string name = base::to_lower(text);
  const auto digit = [&](std::size_t at) { return at < name.size() ? name[at] - '0' : -1; };
  if (name == "ef") return 46;
  if (name == "va" || name == "voice-admit") return 44;
  if (name == "df") return 0;
  if (name.size() == 3 && name.starts_with("cs") && digit(2) >= 0 && digit(2) <= 7) return digit(2) * 8;
  if (name.size() == 4 && name.starts_with("af") && digit(2) >= 1 && digit(2) <= 4 && digit(3) >= 1 && digit(3) <= 3) {
    return digit(2) * 8 + digit(3) * 2;
  }
  return fail(Error::invalid("not a DSCP value"));
}

Result<Value> parse_address_of(std::string_view text, base::Family family) {
  auto address = base::parse_address(text);
  if (!address || address->family() != family) return fail(Error::invalid("not an address of that family"));
  return Value(*address);
}

// --- Lists

// Items between commas, without surrounding space; empty ones left out.
std::vector<std::string_view> items(std::string_view text) {
  std::vector<std::string_view> result;
  for (const std::string_view item : split(text, ',')) {
    if (const std::string_view trimmed = trim(item); !trimmed.empty()) result.push_back(trimmed);
  }
  return result;
}

Result<Texts> parse_names(std::string_view text, std::string_view others) {
  Texts result;
  for (const std::string_view item : split(text, ',')) {
    if (!consists_of(item, others, kMaxInterfaceName)) return fail(Error::invalid("not an interface name", item));
    result.emplace_back(item);
  }
  return result;
}

Result<Texts> parse_interface_regexes(std::string_view text) {
  Texts result;
  for (const std::string_view item : split(text, ',')) {
    if (item.size() > 2 && item.starts_with('/') && item.ends_with('/')) {
      const std::string_view pattern = item.substr(1, item.size() - 2);
      if (pattern.find_first_of(" \t\r\n") != std::string_view::npos)
        return fail(Error::invalid("space in a regular expression", item));
      if (auto regex = parse_regex(pattern); !regex) return fail(std::move(regex).error());
      result.emplace_back(pattern);
    } else if (consists_of(item, "_-", kMaxInterfaceName)) {
      result.push_back("^" + std::string(item) + "$");
    } else {
      return fail(Error::invalid("neither an interface name nor /regex/", item));
    }
  }
  return result;
}

Result<std::string> parse_endpoint(std::string_view item) {
  const auto scheme_end = item.find("://");
  const std::string_view scheme = item.substr(0, scheme_end == std::string_view::npos ? 0 : scheme_end);
  if (scheme != "http" && scheme != "https")
    return fail(Error::invalid("does not begin with http:// or https://", item));
  std::string_view rest = item.substr(scheme_end + 3);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find_first_of("/?#@ ") != std::string_view::npos) {
    return fail(Error::invalid("more than a scheme, host and port", item));
  }
  const auto colon = rest.rfind(':');
  const bool bracketed =
      rest.starts_with('[') && colon != std::string_view::npos && colon > 0 && rest[colon - 1] == ']';
  const bool one_colon = colon != std::string_view::npos && rest.find(':') == colon;
  if (colon == std::string_view::npos || colon == 0 || !(bracketed || one_colon) ||
      !parse_port(rest.substr(colon + 1))) {
    return fail(Error::invalid("no host:port", item));
  }
  return std::string(scheme).append("://").append(rest).append("/");
}

// Mixed schemes would send credentials over the plain one.
Result<Texts> parse_endpoints(std::string_view text) {
  Texts result;
  for (const std::string_view item : items(text)) {
    auto endpoint = parse_endpoint(item);
    if (!endpoint) return fail(std::move(endpoint).error());
    result.push_back(*std::move(endpoint));
    if (result.back().starts_with("https:") != result.front().starts_with("https:")) {
      return fail(Error::invalid("http and https are mixed"));
    }
  }
  return result;
}

Result<std::vector<base::Prefix>> parse_cidrs(std::string_view text) {
  std::vector<base::Prefix> result;
  for (const std::string_view item : items(text)) {
    auto prefix = base::parse_cidr_or_address(item);
    if (!prefix) return fail(Error::invalid("not a network", item));
    result.push_back(*prefix);
  }
  return result;
}

Result<ProtocolPort> parse_protocol_port(std::string_view item) {
  ProtocolPort result;
  std::string_view port = item;
  if (const auto colon = item.find(':'); colon != std::string_view::npos) {
    const std::string_view protocol = item.substr(0, colon);
    if (equal_ignoring_case(protocol, "udp")) {
      result.protocol = 17;
    } else if (!equal_ignoring_case(protocol, "tcp")) {
      return fail(Error::invalid("protocol is neither tcp nor udp", item));
    }
    port = item.substr(colon + 1);
    if (const auto last = port.rfind(':'); last != std::string_view::npos) {
      std::string_view network = port.substr(0, last);
      port = port.substr(last + 1);
      const bool bracketed = network.size() > 2 && network.starts_with('[') && network.ends_with(']');
      if (bracketed) network = network.substr(1, network.size() - 2);
      auto prefix = base::parse_cidr_or_address(network);
      if (!prefix || (prefix->family() == base::Family::kIpv6) != bracketed) {
        return fail(Error::invalid("not a network (IPv6 in brackets)", item));
      }
      result.network = *prefix;
    }
  }
  auto number = parse_port(port);
  if (!number) return fail(std::move(number).error());
  result.port = *number;
  return result;
}

Result<std::vector<ProtocolPort>> parse_protocol_ports(std::string_view text) {
  std::vector<ProtocolPort> result;
  for (const std::string_view item : items(text)) {
    auto port = parse_protocol_port(item);
    if (!port) return fail(std::move(port).error());
    result.push_back(*port);
  }
  return result;
}

Result<PortRange> parse_port_range(std::string_view text) {
  const auto colon = text.find(':');
  const auto first = parse_port(text.substr(0, colon));
  const auto last = colon == std::string_view::npos ? first : parse_port(text.substr(colon + 1));
  if (!first || !last || *first > *last) return fail(Error::invalid("not a port or first:last", text));
  return PortRange{*first, *last};
}

Result<std::vector<PortRange>> parse_port_ranges(std::string_view text) {
  std::vector<PortRange> result;
  for (const std::string_view item : items(text)) {
    auto range = parse_port_range(item);
    if (!range) return fail(std::move(range).error());
    result.push_back(*range);
  }
  return result;
}

Result<std::vector<TableRange>> parse_table_ranges(std::string_view text) {
  static const re2::RE2 kRange(R"((\d+)-(\d+))");
  std::vector<TableRange> result;
  std::uint64_t total = 0;
  re2::StringPiece rest(text.data(), text.size());
  TableRange range;
  std::string first;
  std::string last;
  while (re2::RE2::FindAndConsume(&rest, kRange, &first, &last)) {
    const auto low = parse_integer_between(first, 1, std::numeric_limits<std::uint32_t>::max());
    const auto high = parse_integer_between(last, 1, std::numeric_limits<std::uint32_t>::max());
    if (!low || !high || *low > *high) return fail(Error::invalid("not a range of tables", first + "-" + last));
    range = {static_cast<std::uint32_t>(*low), static_cast<std::uint32_t>(*high)};
    total += static_cast<std::uint64_t>(*high - *low) + 1;
    result.push_back(range);
  }
  if (result.empty()) return fail(Error::invalid("no first-last in it"));
  if (total > kMaxTables) return fail(Error::invalid("more than 65535 tables"));
  return result;
}

Result<std::vector<TableRange>> parse_old_table_range(std::string_view text) {
  static const re2::RE2 kWhole(R"(\d+-\d+)");
  if (!re2::RE2::FullMatch(re2::StringPiece(text.data(), text.size()), kWhole))
    return fail(Error::invalid("not first-last"));
  auto ranges = parse_table_ranges(text);
  if (ranges && ranges->front().last > kMaxOldTable) return fail(Error::invalid("beyond table 250"));
  return ranges;
}

// Calls `take(key, value)` for each `key=value`; false from it or a malformed item fails the whole.
template <typename Take>
Result<> for_each_pair(std::string_view text, Take take) {
  for (const std::string_view item : items(text)) {
    const auto equals = item.find('=');
    if (equals == std::string_view::npos || !consists_of(item.substr(0, equals), "_", item.size())) {
      return fail(Error::invalid("not name=value", item));
    }
    if (!take(item.substr(0, equals), item.substr(equals + 1)))
      return fail(Error::invalid("value is not a duration", item));
  }
  return {};
}

Result<TextMap> parse_key_values(std::string_view text) {
  TextMap result;
  auto done = for_each_pair(text, [&](std::string_view key, std::string_view value) {
    result[std::string(key)] = std::string(value);
    return true;
  });
  if (!done) return fail(std::move(done).error());
  return result;
}

Result<DurationMap> parse_key_durations(std::string_view text) {
  DurationMap result;
  auto done = for_each_pair(text, [&](std::string_view key, std::string_view value) {
    const auto duration = parse_duration(value);
    if (duration) result[std::string(key)] = *duration;
    return duration.has_value();
  });
  if (!done) return fail(std::move(done).error());
  return result;
}

template <typename T>
Result<Value> as_value(Result<T> parsed) {
  if (!parsed) return fail(std::move(parsed).error());
  return Value(*std::move(parsed));
}

}  // namespace

Value zero_value(const ValueType& type) {
  switch (type.kind) {
    case Kind::kBoolean: return false;
    case Kind::kInteger:
    case Kind::kMarkMask:
    case Kind::kDscp: return std::int64_t{0};
    case Kind::kSeconds:
    case Kind::kMilliseconds: return base::Duration(0);
    case Kind::kOneOf:
    case Kind::kText:
    case Kind::kFile:
    case Kind::kExistingFile:
    case Kind::kProgram:
    case Kind::kHostname:
    case Kind::kHostAddress:
    case Kind::kRegion:
    case Kind::kAuthority:
    case Kind::kInterfaceParameter:
    case Kind::kLogRate:
    case Kind::kRegex:
    case Kind::kDatastoreType: return std::string();
    case Kind::kOptionalBoolean:
    case Kind::kIpv4:
    case Kind::kIpv6: return std::monostate();
    case Kind::kEndpointList:
    case Kind::kInterfaceList:
    case Kind::kInterfaceParameterList:
    case Kind::kInterfaceRegexList: return Texts();
    case Kind::kCidrList: return std::vector<base::Prefix>();
    case Kind::kPortList: return std::vector<ProtocolPort>();
    case Kind::kPortRange:
    case Kind::kPortRangeList: return std::vector<PortRange>();
    case Kind::kRouteTableRange:
    case Kind::kRouteTableRanges: return std::vector<TableRange>();
    case Kind::kKeyValues: return TextMap();
    case Kind::kKeyDurations: return DurationMap();
  }
  CHECK(false);
}

Result<Value> parse_value(const ValueType& type, std::string_view text, const Probe& probe) {
  if (text.empty()) return zero_value(type);
  switch (type.kind) {
    case Kind::kBoolean:
    case Kind::kOptionalBoolean: return as_value(parse_boolean(text));
    case Kind::kInteger: return as_value(parse_integer_between(text, type.low, type.high));
    case Kind::kSeconds: return as_value(parse_decimal_duration(text, 1.0));
    case Kind::kMilliseconds: return as_value(parse_decimal_duration(text, 1e-3));
    case Kind::kMarkMask: return as_value(parse_mark_mask(text));
    case Kind::kOneOf: return as_value(parse_choice(text, type.choices));
    case Kind::kText:
    case Kind::kFile: return Value(std::string(text));
    case Kind::kExistingFile:
      return as_value(
          checked(text, probe.file_exists && probe.file_exists(std::string(text)), "there is no such file"));
    case Kind::kProgram: {
      const auto found = probe.find_program ? probe.find_program(std::string(text)) : std::nullopt;
      return as_value(checked(found.value_or(""), found.has_value(), "there is no such program"));
    }
    case Kind::kHostname: return as_value(checked(text, consists_of(text, "_.-", text.size()), "not a host name"));
    case Kind::kHostAddress:
      return as_value(checked(text, consists_of(text, ":._+-", kMaxHostAddress), "not a host address"));
    case Kind::kRegion: return as_value(checked(text, is_region(text), "not a region name"));
    case Kind::kAuthority: return as_value(checked(text, is_authority(text), "not host:port"));
    case Kind::kInterfaceParameter:
      return as_value(checked(text, consists_of(text, ":._+-", kMaxInterfaceName), "not an interface name"));
    case Kind::kLogRate: return as_value(parse_log_rate(text));
    case Kind::kRegex: return as_value(parse_regex(text));
    case Kind::kDatastoreType: return as_value(parse_datastore_type(text));
    case Kind::kDscp: return as_value(parse_dscp(text));
    case Kind::kIpv4: return parse_address_of(text, base::Family::kIpv4);
    case Kind::kIpv6: return parse_address_of(text, base::Family::kIpv6);
    case Kind::kEndpointList: return as_value(parse_endpoints(text));
    case Kind::kInterfaceList: return as_value(parse_names(text, "_-"));
    case Kind::kInterfaceParameterList: return as_value(parse_names(text, ":._+-"));
    case Kind::kInterfaceRegexList: return as_value(parse_interface_regexes(text));
    case Kind::kCidrList: return as_value(parse_cidrs(text));
    case Kind::kPortList: return as_value(parse_protocol_ports(text));
    case Kind::kPortRange: {
      auto range = parse_port_range(text);
      if (!range) return fail(std::move(range).error());
      return Value(std::vector<PortRange>{*range});
    }
    case Kind::kPortRangeList: return as_value(parse_port_ranges(text));
    case Kind::kRouteTableRange: return as_value(parse_old_table_range(text));
    case Kind::kRouteTableRanges: return as_value(parse_table_ranges(text));
    case Kind::kKeyValues: return as_value(parse_key_values(text));
    case Kind::kKeyDurations: return as_value(parse_key_durations(text));
  }
  CHECK(false);
}

std::string expectation(const ValueType& type) {
  switch (type.kind) {
    case Kind::kBoolean:
    case Kind::kOptionalBoolean: return "true or false";
    case Kind::kInteger:
      if (type.low == kAnyLow) return "an integer";
      if (type.high == kAnyHigh) return fmt::format("an integer from {}", type.low);
      return fmt::format("an integer from {} to {}", type.low, type.high);
    case Kind::kSeconds: return "a number of seconds, e.g. 0.5";
    case Kind::kMilliseconds: return "a number of milliseconds, e.g. 50";
    case Kind::kMarkMask: return "a 32-bit mask with at least two bits, e.g. 0xffff0000";
    case Kind::kOneOf: return "one of " + base::replace_all(type.choices, "|", ", ");
    case Kind::kText: return "any text";
    case Kind::kFile: return "a path";
    case Kind::kExistingFile: return "the path of a file that exists";
    case Kind::kProgram: return "a program that exists";
    case Kind::kHostname: return "a host name of letters, digits, '_', '.', '-'";
    case Kind::kHostAddress: return "an address or host name";
    case Kind::kRegion: return "lower-case letters, digits and '-', at most 46 of them";
    case Kind::kAuthority: return "host:port";
    case Kind::kInterfaceParameter: return "an interface name, at most 15 characters";
    case Kind::kLogRate: return "N/second, N/minute, N/hour or N/day with N from 1 to 9999";
    case Kind::kRegex: return "a regular expression in RE2 syntax";
    case Kind::kDatastoreType: return "etcdv3 or dir:PATH";
    case Kind::kDscp: return "0 to 63 or a DSCP name such as AF11";
    case Kind::kIpv4: return "an IPv4 address";
    case Kind::kIpv6: return "an IPv6 address";
    case Kind::kEndpointList: return "URLs of one scheme separated by commas, e.g. https://10.0.0.1:2379";
    case Kind::kInterfaceList: return "interface names separated by commas, without spaces";
    case Kind::kInterfaceParameterList: return "interface names separated by commas";
    case Kind::kInterfaceRegexList: return "interface names or /regex/ separated by commas";
    case Kind::kCidrList: return "networks separated by commas, e.g. 10.0.0.0/8";
    case Kind::kPortList: return "ports separated by commas, e.g. tcp:22, udp:10.0.0.0/8:68";
    case Kind::kPortRange: return "a port or first:last";
    case Kind::kPortRangeList: return "ports or first:last separated by commas";
    case Kind::kRouteTableRange: return "first-last within 1 to 250";
    case Kind::kRouteTableRanges: return "first-last, several separated by commas";
    case Kind::kKeyValues: return "name=value separated by commas";
    case Kind::kKeyDurations: return "name=duration separated by commas, e.g. CalculationGraph=1m30s";
  }
  return "";
}

}  // namespace config
