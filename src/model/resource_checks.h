// resource_checks.h: the validators a member can name (spec datamodel §3.2), and the parsers of number-or-string
// scalars (§3.1). Pure text functions; none allocates beyond its result.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace model {

enum class Check : std::uint8_t {
  kNone,
  kName,
  kContainerId,
  kInterface,
  kIgnoredInterface,
  kFilterInterface,
  kIfaceFilter,
  kIfaceFilterSlice,
  kAction,
  kPolicyType,
  kIpVersion,
  kIpIpMode,
  kVxlanMode,
  kAssignmentMode,
  kNet,
  kNetV4,
  kNetV6,
  kCidr,
  kCidrs,
  kCidrV4,
  kCidrV6,
  kIp,
  kIpV4,
  kIpV6,
  kMac,
  kSelector,
  kLabels,
  kPortName,
  kIpPort,
  kKeyValueList,
  kLogLevel,
  kBpfLogLevel,
  kBpfServiceMode,
  kDropAcceptReturn,
  kAcceptReturn,
  kDropReject,
  kIptablesBackend,
  kPrometheusHost,
  kIpType,
  kRegexp,
  kWireguardPublicKey,
  kSourceAddress,
  kRouteSource,
};

std::string_view tag(Check check);  // as error texts name it
bool passes(Check check, std::string_view text);

bool is_dns_label(std::string_view text);       // ≤ 63
bool is_dns_subdomain(std::string_view text);   // without length limit
bool is_qualified_name(std::string_view text);  // label and annotation keys
bool is_label_value(std::string_view text);
bool is_community(std::string_view text);
bool selector_uses_global(std::string_view selector);

// Go duration text to nanoseconds and back. "1500ms" -> "1.5s".
std::optional<std::int64_t> parse_go_duration(std::string_view text);
std::string format_go_duration(std::int64_t nanoseconds);

std::optional<std::uint32_t> parse_as_number(std::string_view text);  // "64512", "1.10"

struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
  std::string name;  // if set, first and last are 0
};
base::Result<PortRange> parse_port(std::string_view text);  // "80", "1:1024", "http"

// Shortest round-trip digits as Go's encoding/json writes them; `table` uses %v's rule instead (spec cli §4).
std::string format_float(double value);
std::string format_float_for_table(double value);

}  // namespace model
