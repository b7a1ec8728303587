#include "model/resource_checks.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <regex>

#include "base/ip.h"
#include "base/strings.h"
#include "base/symbol.h"
#include "model/selector.h"

namespace model {
namespace {

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alphanumeric(char c) { return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z'); }

bool all_digits(std::string_view text) { return !text.empty() && std::ranges::all_of(text, is_digit); }

// 1 to `limit` characters, alphanumeric or one of `extra`.
bool made_of(std::string_view text, std::string_view extra, std::size_t limit) {
  return !text.empty() && text.size() <= limit &&
         std::ranges::all_of(text, [&](char c) { return is_alphanumeric(c) || extra.find(c) != extra.npos; });
}

// [first] ([inner]* [first])? : how labels and identifiers are built.
template <typename First, typename Inner>
bool bracketed(std::string_view text, First first, Inner inner) {
  return !text.empty() && first(text.front()) && first(text.back()) && std::ranges::all_of(text, inner);
}

bool is_label_without_limit(std::string_view text) {
  return bracketed(text, is_lower_or_digit, [](char c) { return is_lower_or_digit(c) || c == '-'; });
}

bool is_word(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, text) != words.end();
}

bool is_word_any_case(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(words, [&](std::string_view word) { return base::equal_ignoring_case(word, text); });
}

bool is_address(std::string_view text, std::optional<base::Family> family = {}) {
  const auto address = base::parse_address(text);
  return address && (!family || address->family() == *family);
}

bool is_cidr_or_address(std::string_view text, std::optional<base::Family> family = {}) {
  const auto prefix = base::parse_cidr_or_address(text);
  return prefix && (!family || prefix->family() == *family);
}

bool is_net(std::string_view text, std::optional<base::Family> family = {}) {
  if (is_address(text, family)) return true;
  const auto prefix = base::parse_interface_cidr(text);
  return prefix && *prefix == prefix->masked() && (!family || prefix->family() == *family);
}

bool is_ip_port(std::string_view text) {
  if (is_address(text)) return true;
  const auto colon = text.rfind(':');
  if (colon == text.npos) return false;
  const std::string_view port_text = text.substr(colon + 1);
  std::string_view host = text.substr(0, colon);
  base::Family family = base::Family::kIpv4;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    family = base::Family::kIpv6;
  }
  if (!is_address(host, family) || !all_digits(port_text) || port_text.size() > 5) return false;
  int port = 0;
  std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  return port >= 1 && port <= 65535;
}

bool is_port_name(std::string_view text) {
  if (text.empty() || text.size() > 15 || text.front() == '-' || text.back() == '-') return false;
  if (text.find("--") != text.npos) return false;
  const bool characters = std::ranges::all_of(text, [](char c) { return is_lower_or_digit(c) || c == '-'; });
  return characters && std::ranges::any_of(text, [](char c) { return c >= 'a' && c <= 'z'; });
}

bool is_key_value_list(std::string_view text) {
  for (std::string_view item : base::split(text, ',')) {
    item = base::trim(item);
    if (item.empty()) continue;
    const auto equals = item.find('=');
    if (equals == item.npos || !made_of(item.substr(0, equals), "_", equals)) return false;
  }
  return true;
}

bool is_selector(std::string_view text) {
  base::Interner names;
  return Selector::parse(text, names).has_value();
}

// ECMAScript instead of RE2: the two agree on what Felix's interface patterns use.
bool is_regular_expression(std::string_view text) {
  try {
    const std::regex compiled(text.begin(), text.end());
    return true;
  } catch (const std::regex_error&) {
    return false;
  }
}

// base64 of 32 bytes: 43 digits and one padding mark.
bool is_wireguard_key(std::string_view text) {
  return text.size() == 44 && text.back() == '=' && made_of(text.substr(0, 43), "+/", 43);
}

struct CheckEntry {
  Check check;
  std::string_view tag;
  bool (*passes)(std::string_view);
};

using Text = std::string_view;
constexpr std::array kChecks = std::to_array<CheckEntry>({
    {Check::kNone, "", [](Text) { return true; }},
    {Check::kName, "name", [](Text t) { return is_dns_subdomain(t); }},
    {Check::kContainerId, "containerID",
     [](Text t) { return bracketed(t, is_alphanumeric, [](char c) { return is_alphanumeric(c) || c == '-'; }); }},
    {Check::kInterface, "interface", [](Text t) { return t == "*" || made_of(t, "_.-", 15); }},
    {Check::kIgnoredInterface, "ignoredInterface", [](Text t) { return t != "*" && made_of(t, "_.*-", 15); }},
    {Check::kFilterInterface, "bgpFilterInterface", [](Text t) { return made_of(t, "_.*-", 15); }},
    {Check::kIfaceFilter, "ifaceFilter", [](Text t) { return made_of(t, ":._+-", 15); }},
    {Check::kIfaceFilterSlice, "ifaceFilterSlice", [](Text t) { return made_of(t, ":._+-", 15); }},
    {Check::kAction, "action", [](Text t) { return is_word(t, {"Allow", "Deny", "Log", "Pass"}); }},
    {Check::kPolicyType, "policyType", [](Text t) { return is_word(t, {"Ingress", "Egress"}); }},
    {Check::kIpVersion, "ipVersion", [](Text t) { return is_word(t, {"4", "6"}); }},
    {Check::kIpIpMode, "ipIpMode", [](Text t) { return is_word(t, {"Always", "CrossSubnet", "Never"}); }},
    {Check::kVxlanMode, "vxlanMode", [](Text t) { return is_word(t, {"Always", "CrossSubnet", "Never"}); }},
    {Check::kAssignmentMode, "assignmentMode", [](Text t) { return is_word(t, {"Automatic", "Manual"}); }},
    {Check::kNet, "net", [](Text t) { return is_net(t); }},
    {Check::kNetV4, "netv4", [](Text t) { return is_net(t, base::Family::kIpv4); }},
    {Check::kNetV6, "netv6", [](Text t) { return is_net(t, base::Family::kIpv6); }},
    {Check::kCidr, "cidr", [](Text t) { return is_cidr_or_address(t); }},
    {Check::kCidrs, "cidrs", [](Text t) { return is_cidr_or_address(t); }},
    {Check::kCidrV4, "cidrv4", [](Text t) { return is_cidr_or_address(t, base::Family::kIpv4); }},
    {Check::kCidrV6, "cidrv6", [](Text t) { return is_cidr_or_address(t, base::Family::kIpv6); }},
    {Check::kIp, "ip", [](Text t) { return is_address(t); }},
    {Check::kIpV4, "ipv4", [](Text t) { return is_address(t, base::Family::kIpv4); }},
    {Check::kIpV6, "ipv6", [](Text t) { return is_address(t, base::Family::kIpv6); }},
    {Check::kMac, "mac", [](Text t) { return base::parse_mac(t).has_value(); }},
    {Check::kSelector, "selector", is_selector},
    {Check::kLabels, "labels", [](Text) { return true; }},  // maps are checked entry by entry
    {Check::kPortName, "portName", is_port_name},
    {Check::kIpPort, "IP:port", is_ip_port},
    {Check::kKeyValueList, "keyValueList", is_key_value_list},
    {Check::kLogLevel, "logLevel",
     [](Text t) { return is_word(t, {"Trace", "Debug", "Info", "Warning", "Error", "Fatal"}); }},
    {Check::kBpfLogLevel, "bpfLogLevel", [](Text t) { return is_word(t, {"Off", "Info", "Debug"}); }},
    {Check::kBpfServiceMode, "bpfServiceMode", [](Text t) { return is_word(t, {"Tunnel", "DSR"}); }},
    {Check::kDropAcceptReturn, "dropAcceptReturn", [](Text t) { return is_word(t, {"Drop", "Accept", "Return"}); }},
    {Check::kAcceptReturn, "acceptReturn", [](Text t) { return is_word(t, {"Accept", "Return"}); }},
    {Check::kDropReject, "dropReject", [](Text t) { return is_word(t, {"Drop", "Reject"}); }},
    {Check::kIptablesBackend, "iptablesBackend", [](Text t) { return is_word_any_case(t, {"Auto", "Legacy", "NFT"}); }},
    {Check::kPrometheusHost, "prometheusHost", [](Text t) { return made_of(t, ":._+-", 64); }},
    {Check::kIpType, "ipType", [](Text t) { return is_word(t, {"CalicoNodeIP", "InternalIP", "ExternalIP"}); }},
    {Check::kRegexp, "regexp", is_regular_expression},
    {Check::kWireguardPublicKey, "wireguardPublicKey", is_wireguard_key},
    {Check::kSourceAddress, "sourceAddress", [](Text t) { return is_word(t, {"UseNodeIP", "None"}); }},
    {Check::kRouteSource, "routeSource", [](Text t) { return is_word_any_case(t, {"WorkloadIPs", "CalicoIPAM"}); }},
});

const CheckEntry& entry(Check check) { return kChecks[static_cast<std::size_t>(check)]; }

template <std::size_t N>
constexpr bool in_enum_order(const std::array<CheckEntry, N>& entries) {
  for (std::size_t i = 0; i < N; ++i) {
    if (static_cast<std::size_t>(entries[i].check) != i) return false;
  }
  return true;
}
static_assert(in_enum_order(kChecks));

struct Unit {
  std::string_view name;
  std::int64_t nanoseconds;
};
// Longer names before their prefixes, so that "ms" is not read as "m".
constexpr Unit kUnits[] = {
    {"ns", 1},         {"us", 1000},         {"\xC2\xB5s", 1000},   {"\xCE\xBCs", 1000},
    {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000},
};

// Digits of a value below one unit, without trailing zeros: 500 of 1000 -> ".5".
std::string fraction(std::int64_t part, std::int64_t unit) {
  std::string digits;
  for (unit /= 10; unit > 0; unit /= 10) digits.push_back(static_cast<char>('0' + part / unit % 10));
  while (!digits.empty() && digits.back() == '0') digits.pop_back();
  return digits.empty() ? "" : "." + digits;
}

base::Result<std::uint16_t> parse_port_number(std::string_view text, std::string_view error, std::string_view whole) {
  unsigned value = 0;
  if (!all_digits(text) || text.size() > 5)
    return base::fail(base::Error(base::ErrorKind::kInvalid, std::string(error) + " (" + std::string(whole) + ")"));
  std::from_chars(text.data(), text.data() + text.size(), value);
  if (value > 65535)
    return base::fail(base::Error(base::ErrorKind::kInvalid, std::string(error) + " (" + std::string(whole) + ")"));
  return static_cast<std::uint16_t>(value);
}

struct Decimal {
  bool negative = false;
  std::string digits;  // no trailing zeros, "0" for zero
  int exponent = 0;    // value = d.ddd × 10^exponent
};

Decimal shortest(double value) {
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
  Decimal result;
  if (text.front() == '-') {
    result.negative = true;
    text.remove_prefix(1);
  }
  const auto mark = text.find('e');
  for (const char c : text.substr(0, mark)) {
    if (c != '.') result.digits.push_back(c);
  }
  std::string_view exponent = text.substr(mark + 1);
  if (exponent.front() == '+') exponent.remove_prefix(1);
  std::from_chars(exponent.data(), exponent.data() + exponent.size(), result.exponent);
  return result;
}

std::string in_plain_form(const Decimal& d) {
  std::string text = d.negative ? "-" : "";
  const int point = d.exponent + 1;  // digits before the decimal point
  if (point <= 0) return text + "0." + std::string(static_cast<std::size_t>(-point), '0') + d.digits;
  const auto before = static_cast<std::size_t>(point);
  if (before >= d.digits.size()) return text + d.digits + std::string(before - d.digits.size(), '0');
  return text + d.digits.substr(0, before) + "." + d.digits.substr(before);
}

// At least two exponent digits: 1e-07, 1e+21.
std::string in_exponent_form(const Decimal& d) {
  std::string text = d.negative ? "-" : "";
  text += d.digits.substr(0, 1);
  if (d.digits.size() > 1) text += "." + d.digits.substr(1);
  const int magnitude = std::abs(d.exponent);
  text += d.exponent < 0 ? "e-" : "e+";
  if (magnitude < 10) text += "0";
  return text + std::to_string(magnitude);
}

}  // namespace

std::string_view tag(Check check) { return entry(check).tag; }

bool passes(Check check, std::string_view text) { return entry(check).passes(text); }

bool is_dns_label(std::string_view text) { return text.size() <= 63 && is_label_without_limit(text); }

bool is_dns_subdomain(std::string_view text) {
  return std::ranges::all_of(base::split(text, '.'), is_label_without_limit);
}

bool is_qualified_name(std::string_view text) {
  const auto slash = text.find('/');
  if (slash != text.npos) {
    const std::string_view prefix = text.substr(0, slash);
    if (prefix.size() > 253 || !is_dns_subdomain(prefix)) return false;
    text.remove_prefix(slash + 1);
  }
  return text.size() <= 63 && bracketed(text, is_alphanumeric,
                                        [](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

bool is_label_value(std::string_view text) {
  return text.empty() || (text.size() <= 63 && bracketed(text, is_alphanumeric, [](char c) {
                            return is_alphanumeric(c) || c == '-' || c == '_' || c == '.';
                          }));
}

bool is_community(std::string_view text) {
  const auto parts = base::split(text, ':');
  if (parts.size() != 2 && parts.size() != 3) return false;
  const std::uint64_t limit = parts.size() == 2 ? 0xFFFF : 0xFFFFFFFF;
  return std::ranges::all_of(parts, [&](std::string_view part) {
    std::uint64_t value = 0;
    if (!all_digits(part) || part.size() > 10) return false;
    std::from_chars(part.data(), part.data() + part.size(), value);
    return value <= limit;
  });
}

bool selector_uses_global(std::string_view selector) { return selector.find("global(") != selector.npos; }

std::optional<std::int64_t> parse_go_duration(std::string_view text) {
  bool negative = false;
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  if (text == "0") return 0;
  if (text.empty()) return std::nullopt;
  long double total = 0;  // 64 bits of mantissa: exact for every value that fits the result
  while (!text.empty()) {
    long double number = 0, scale = 1;
    std::size_t digits = 0;
    bool after_point = false;
    while (!text.empty() && (is_digit(text.front()) || (text.front() == '.' && !after_point))) {
      if (text.front() == '.') {
        after_point = true;
      } else {
        number = number * 10 + (text.front() - '0');
        if (after_point) scale *= 10;
        ++digits;
      }
      text.remove_prefix(1);
    }
    const auto unit = std::ranges::find_if(kUnits, [&](const Unit& u) { return text.starts_with(u.name); });
    if (digits == 0 || unit == std::end(kUnits)) return std::nullopt;
    total += number * static_cast<long double>(unit->nanoseconds) / scale;
    text.remove_prefix(unit->name.size());
  }
  if (total > static_cast<long double>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
  const auto nanoseconds = static_cast<std::int64_t>(total);
  return negative ? -nanoseconds : nanoseconds;
}

std::string format_go_duration(std::int64_t nanoseconds) {
  if (nanoseconds == 0) return "0s";
  const std::string sign = nanoseconds < 0 ? "-" : "";
  const std::int64_t value = std::abs(nanoseconds);
  if (value < 1000) return sign + std::to_string(value) + "ns";
  if (value < 1'000'000) return sign + std::to_string(value / 1000) + fraction(value % 1000, 1000) + "\xC2\xB5s";
  if (value < 1'000'000'000) {
    return sign + std::to_string(value / 1'000'000) + fraction(value % 1'000'000, 1'000'000) + "ms";
  }
  const std::int64_t seconds = value / 1'000'000'000;
  std::string text = std::to_string(seconds % 60) + fraction(value % 1'000'000'000, 1'000'000'000) + "s";
  if (seconds >= 60) text = std::to_string(seconds / 60 % 60) + "m" + text;
  if (seconds >= 3600) text = std::to_string(seconds / 3600) + "h" + text;
  return sign + text;
}

std::optional<std::uint32_t> parse_as_number(std::string_view text) {
  const auto parts = base::split(text, '.');
  if (parts.size() > 2) return std::nullopt;
  std::uint64_t value = 0;
  for (const std::string_view part : parts) {
    std::uint64_t number = 0;
    if (!all_digits(part) || part.size() > 10) return std::nullopt;
    std::from_chars(part.data(), part.data() + part.size(), number);
    if (number > (parts.size() == 2 ? 0xFFFFu : 0xFFFFFFFFu)) return std::nullopt;
    value = value << 16 | number;
  }
  return static_cast<std::uint32_t>(value);
}

base::Result<PortRange> parse_port(std::string_view text) {
  using base::Error;
  using base::ErrorKind;
  PortRange range;
  if (all_digits(text)) {
    const auto port = parse_port_number(text, "invalid port format", text);
    if (!port) return base::fail(port.error());
    range.first = range.last = *port;
    return range;
  }
  const auto colon = text.find(':');
  if (colon == text.npos) {
    if (!made_of(text, "_.-", 128)) {
      return base::fail(Error(ErrorKind::kInvalid, "invalid name for named port (" + std::string(text) + ")"));
    }
    range.name = text;
    return range;
  }
  const auto first = parse_port_number(text.substr(0, colon), "invalid minimum port number in range", text);
  if (!first) return base::fail(first.error());
  const auto last = parse_port_number(text.substr(colon + 1), "invalid maximum port number in range", text);
  if (!last) return base::fail(last.error());
  if (*first > *last) {
    return base::fail(Error(ErrorKind::kInvalid, "minimum port number (" + std::to_string(*first) +
                                                     ") is greater than maximum port number (" + std::to_string(*last) +
                                                     ") in port range"));
  }
  range.first = *first;
  range.last = *last;
  return range;
}

std::string format_float(double value) {
  if (value == 0) return "0";
  // JSON has no infinity, although a number too large for a double reads as one.
  value = std::clamp(value, std::numeric_limits<double>::lowest(), std::numeric_limits<double>::max());
  const Decimal d = shortest(value);
  const double magnitude = std::abs(value);
  const bool plain = magnitude >= 1e-6 && magnitude < 1e21;
  return plain ? in_plain_form(d) : in_exponent_form(d);
}

std::string format_float_for_table(double value) {
  const Decimal d = shortest(value);
  return d.exponent < -4 || d.exponent >= 6 ? in_exponent_form(d) : in_plain_form(d);
}

}  // namespace model
