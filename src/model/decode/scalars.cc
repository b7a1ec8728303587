#include "model/decode/scalars.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "base/strings.h"

namespace model::decode {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_alphanumeric(char c) { return is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z'); }

bool all_digits(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), is_digit); }

// Nothing if the digits do not fit; leading zeros are allowed, as the writers' number parser allows them.
std::optional<std::uint32_t> parse_digits(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (!all_digits(text) || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<base::IpAddress> read_address(const Field& field) {
  if (!field.present()) return std::nullopt;
  if (auto address = base::parse_address(field.text())) return *address;
  if (field.is_text()) field.refuse_text("is not an IP address", "write one without prefix length");
  return std::nullopt;
}

std::optional<base::IpAddress> read_address(const Field& field, base::Family family) {
  auto address = read_address(field);
  if (!address || address->family() == family) return address;
  field.refuse_text("is of the other address family",
                    family == base::Family::kIpv4 ? "write an IPv4 address here" : "write an IPv6 address here");
  return std::nullopt;
}

std::optional<base::Prefix> read_prefix(const Field& field) {
  if (auto prefix = base::parse_cidr_or_address(field.text())) return *prefix;
  // Text of the wrong type has been reported already.
  if (field.is_text()) field.refuse_text("is not a CIDR", "write address/length, for example 10.65.0.0/24");
  return std::nullopt;
}

std::vector<base::Prefix> read_prefixes(const Field& list) {
  std::vector<base::Prefix> prefixes;
  prefixes.reserve(list.size());
  list.each([&](const Field& element) {
    if (!element.present()) return element.refuse("is null", "write address/length or remove it");
    if (const auto prefix = read_prefix(element)) prefixes.push_back(*prefix);
  });
  return prefixes;
}

std::optional<base::MacAddress> read_mac(const Field& field) {
  if (!field.present() || (field.is_text() && field.text().empty())) return std::nullopt;
  if (auto mac = base::parse_mac(field.text())) return *mac;
  if (field.is_text()) field.refuse_text("is not a MAC address", "write it as fa:16:3e:00:11:22");
  return std::nullopt;
}

namespace {

struct ProtocolName {
  std::string_view name;
  std::uint8_t number;
};
constexpr ProtocolName kProtocols[] = {{"tcp", 6},     {"udp", 17},   {"icmp", 1},
                                       {"icmpv6", 58}, {"sctp", 132}, {"udplite", 136}};

constexpr std::string_view kProtocolRemedy = "use TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or a number from 1 to 255";

}  // namespace

std::optional<Protocol> read_protocol(const Field& field, base::Interner& interner) {
  if (!field.present()) return std::nullopt;
  if (!field.is_text()) {
    const auto number = field.integer(1, 255);
    return number ? std::optional(Protocol{{}, static_cast<std::uint8_t>(*number)}) : std::nullopt;
  }
  const std::string_view text = field.text();
  if (all_digits(text)) {
    const auto number = parse_digits(text);
    if (number && *number >= 1 && *number <= 255) return Protocol{{}, static_cast<std::uint8_t>(*number)};
  } else {
    const std::string name = base::to_lower(text);
    for (const ProtocolName& known : kProtocols) {
      if (known.name == name) return Protocol{interner.intern(name), known.number};
    }
  }
  field.refuse_text("is not a protocol", kProtocolRemedy);
  return std::nullopt;
}

namespace {

constexpr std::string_view kPortRemedy = "use a number from 1 to 65535, a range \"first:last\" or a port name";

std::optional<std::uint16_t> parse_port_number(std::string_view text) {
  const auto number = parse_digits(text);
  if (!number || *number < 1 || *number > 65535) return std::nullopt;
  return static_cast<std::uint16_t>(*number);
}

bool is_port_name(std::string_view text) {
  constexpr std::size_t kLongest = 128;
  return !text.empty() && text.size() <= kLongest && std::all_of(text.begin(), text.end(), [](char c) {
    return is_alphanumeric(c) || c == '_' || c == '.' || c == '-';
  });
}

std::optional<Port> parse_port(std::string_view text, base::Interner& interner) {
  if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    const auto first = parse_port_number(text.substr(0, colon));
    const auto last = parse_port_number(text.substr(colon + 1));
    if (!first || !last || *first > *last) return std::nullopt;
    return Port{*first, *last, {}};
  }
  if (all_digits(text)) {
    const auto number = parse_port_number(text);
    return number ? std::optional(Port{*number, *number, {}}) : std::nullopt;
  }
  if (!is_port_name(text)) return std::nullopt;
  return Port{0, 0, interner.intern(text)};
}

}  // namespace

std::optional<Port> read_port(const Field& field, base::Interner& interner) {
  if (!field.present()) {
    field.refuse("is null", kPortRemedy);
    return std::nullopt;
  }
  if (!field.is_text()) {
    const auto number = field.integer(1, 65535);
    if (!number) return std::nullopt;
    return Port{static_cast<std::uint16_t>(*number), static_cast<std::uint16_t>(*number), {}};
  }
  const auto port = parse_port(field.text(), interner);
  if (!port) field.refuse_text("is not a port", kPortRemedy);
  return port;
}

std::optional<std::uint8_t> parse_dscp(std::string_view text) {
  struct Name {
    std::string_view name;
    std::uint8_t value;
  };
  constexpr Name kNames[] = {{"df", 0},    {"ef", 46},   {"af11", 10}, {"af12", 12}, {"af13", 14}, {"af21", 18},
                             {"af22", 20}, {"af23", 22}, {"af31", 26}, {"af32", 28}, {"af33", 30}, {"af41", 34},
                             {"af42", 36}, {"af43", 38}, {"cs0", 0},   {"cs1", 8},   {"cs2", 16},  {"cs3", 24},
                             {"cs4", 32},  {"cs5", 40},  {"cs6", 48}};
  text = base::trim(text);
  for (const Name& known : kNames) {
    if (base::equal_ignoring_case(known.name, text)) return known.value;
  }
  const auto number = parse_digits(text);
  if (!number || *number > 63) return std::nullopt;
  return static_cast<std::uint8_t>(*number);
}

bool is_interface_name(std::string_view name) {
  constexpr std::size_t kLongest = 15;
  return !name.empty() && name.size() <= kLongest && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_alphanumeric(c) || c == '_' || c == '.' || c == '-'; });
}

namespace {

constexpr std::size_t kLongestLabelPart = LabelSyntax::kLongestValue;
constexpr std::size_t kLongestDomain = 253;

bool is_label_part(std::string_view text) {
  return !text.empty() && text.size() <= kLongestLabelPart && is_alphanumeric(text.front()) &&
         is_alphanumeric(text.back()) && std::all_of(text.begin(), text.end(), [](char c) {
           return is_alphanumeric(c) || c == '-' || c == '_' || c == '.';
         });
}

// Lower-case letters, digits and dashes between dots, no part empty or with a dash at either end.
bool is_domain(std::string_view text) {
  if (text.empty() || text.size() > kLongestDomain) return false;
  bool at_edge = true;  // of a part
  char previous = '.';
  for (const char c : text) {
    const bool alphanumeric = is_lower(c) || is_digit(c);
    if (!alphanumeric && c != '-' && c != '.') return false;
    if (at_edge && !alphanumeric) return false;
    if (c == '.' && previous == '-') return false;
    at_edge = c == '.';
    previous = c;
  }
  return previous != '-' && previous != '.';
}

bool is_label_name(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return is_label_part(text);
  return is_domain(text.substr(0, slash)) && is_label_part(text.substr(slash + 1));
}

}  // namespace

bool LabelSyntax::is_name(Symbol name) {
  Symbol& known = place_of(name, good_names_);
  if (known == name && !name.empty()) return true;
  if (!is_label_name(name.view())) return false;
  known = name;
  return true;
}

bool LabelSyntax::is_value(Symbol value) {
  if (value.empty()) return true;
  Symbol& known = place_of(value, good_values_);
  if (known == value) return true;
  if (!is_label_part(value.view())) return false;
  known = value;
  return true;
}

}  // namespace model::decode
