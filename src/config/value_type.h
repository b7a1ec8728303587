// value_type.h: the types of configuration values: what text each accepts and what it becomes (spec felix-agent §1.3).
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/ip.h"
#include "base/result.h"

namespace config {

// A port that policy can never close: any address unless `network` says otherwise.
struct ProtocolPort {
  std::uint8_t protocol = 6;  // 6 TCP, 17 UDP
  std::optional<base::Prefix> network;
  std::uint16_t port = 0;
  friend bool operator==(const ProtocolPort&, const ProtocolPort&) = default;
};

// Both ends included.
struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
  friend bool operator==(const PortRange&, const PortRange&) = default;
};
struct TableRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  friend bool operator==(const TableRange&, const TableRange&) = default;
};

using Texts = std::vector<std::string>;
using TextMap = std::map<std::string, std::string>;
using DurationMap = std::map<std::string, base::Duration>;

// std::monostate: not set, for the types that know that state (addresses, three-state booleans).
using Value = std::variant<std::monostate, bool, std::int64_t, base::Duration, std::string, Texts, base::IpAddress,
                           std::vector<base::Prefix>, std::vector<ProtocolPort>, std::vector<PortRange>,
                           std::vector<TableRange>, TextMap, DurationMap>;

enum class Kind : std::uint8_t {
  kBoolean,                 // bool
  kOptionalBoolean,         // bool or not set
  kInteger,                 // int64
  kSeconds,                 // Duration
  kMilliseconds,            // Duration
  kMarkMask,                // int64, 32 bits
  kOneOf,                   // string, in the spelling of the table
  kText,                    // string
  kFile,                    // string
  kExistingFile,            // string; empty when there is no such file
  kProgram,                 // string: the file found
  kHostname,                // string
  kHostAddress,             // string
  kRegion,                  // string
  kAuthority,               // string, host:port
  kInterfaceParameter,      // string
  kLogRate,                 // string, N/unit
  kRegex,                   // string, RE2
  kDatastoreType,           // string: kubernetes, etcdv3 or dir:PATH
  kDscp,                    // int64
  kIpv4,                    // IpAddress or not set
  kIpv6,                    // IpAddress or not set
  kEndpointList,            // Texts, each ending in '/'
  kInterfaceList,           // Texts
  kInterfaceParameterList,  // Texts
  kInterfaceRegexList,      // Texts, each an RE2 pattern; plain names became anchored ones
  kCidrList,                // Prefixes
  kPortList,                // ProtocolPorts
  kPortRange,               // PortRanges, none or one
  kPortRangeList,           // PortRanges
  kRouteTableRange,         // TableRanges, none or one
  kRouteTableRanges,        // TableRanges
  kKeyValues,               // TextMap
  kKeyDurations,            // DurationMap
};

struct ValueType {
  Kind kind;
  std::int64_t low = std::numeric_limits<std::int64_t>::min();
  std::int64_t high = std::numeric_limits<std::int64_t>::max();
  std::string_view choices = {};  // of kOneOf, separated by '|'
};

// The names used in parameters.inc.
namespace types {
constexpr ValueType integer(std::int64_t low, std::int64_t high) { return {Kind::kInteger, low, high}; }
constexpr ValueType integer(std::int64_t low) { return {Kind::kInteger, low}; }
constexpr ValueType integer() { return {Kind::kInteger}; }
constexpr ValueType one_of(std::string_view choices) {
  return {Kind::kOneOf, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max(), choices};
}
constexpr ValueType boolean() { return {Kind::kBoolean}; }
constexpr ValueType optional_boolean() { return {Kind::kOptionalBoolean}; }
constexpr ValueType seconds() { return {Kind::kSeconds}; }
constexpr ValueType millis() { return {Kind::kMilliseconds}; }
constexpr ValueType mark_mask() { return {Kind::kMarkMask}; }
constexpr ValueType text() { return {Kind::kText}; }
constexpr ValueType file() { return {Kind::kFile}; }
constexpr ValueType existing_file() { return {Kind::kExistingFile}; }
constexpr ValueType program() { return {Kind::kProgram}; }
constexpr ValueType hostname() { return {Kind::kHostname}; }
constexpr ValueType host_address() { return {Kind::kHostAddress}; }
constexpr ValueType region() { return {Kind::kRegion}; }
constexpr ValueType authority() { return {Kind::kAuthority}; }
constexpr ValueType interface_parameter() { return {Kind::kInterfaceParameter}; }
constexpr ValueType log_rate() { return {Kind::kLogRate}; }
constexpr ValueType regex() { return {Kind::kRegex}; }
constexpr ValueType datastore_type() { return {Kind::kDatastoreType}; }
constexpr ValueType dscp() { return {Kind::kDscp}; }
constexpr ValueType ipv4() { return {Kind::kIpv4}; }
constexpr ValueType ipv6() { return {Kind::kIpv6}; }
constexpr ValueType endpoint_list() { return {Kind::kEndpointList}; }
constexpr ValueType interface_list() { return {Kind::kInterfaceList}; }
constexpr ValueType interface_parameter_list() { return {Kind::kInterfaceParameterList}; }
constexpr ValueType interface_regex_list() { return {Kind::kInterfaceRegexList}; }
constexpr ValueType cidr_list() { return {Kind::kCidrList}; }
constexpr ValueType port_list() { return {Kind::kPortList}; }
constexpr ValueType port_range() { return {Kind::kPortRange}; }
constexpr ValueType port_range_list() { return {Kind::kPortRangeList}; }
constexpr ValueType route_table_range() { return {Kind::kRouteTableRange}; }
constexpr ValueType route_table_ranges() { return {Kind::kRouteTableRanges}; }
constexpr ValueType key_values() { return {Kind::kKeyValues}; }
constexpr ValueType key_durations() { return {Kind::kKeyDurations}; }
}  // namespace types

// What a value may ask of the world: config itself reads no files. An empty function means "nothing exists".
struct Probe {
  std::function<bool(const std::string& path)> file_exists;
  std::function<std::optional<std::string>(const std::string& name)> find_program;
};

// What `none` means for this type.
Value zero_value(const ValueType& type);
// The error says what was expected. An empty text is the zero value.
base::Result<Value> parse_value(const ValueType& type, std::string_view text, const Probe& probe);
// "true or false", "one of DROP, RETURN, ACCEPT": ends the sentence "use …" in messages.
std::string expectation(const ValueType& type);
// For people; parse_value() accepts it again, except for empty values.
std::string to_string(const ValueType& type, const Value& value);

// Go's notation: "1m30s", "1.5h", "-20ms", "0"; units h m s ms us µs ns. Also used by resources.
base::Result<base::Duration> parse_duration(std::string_view text);
// The shortest decimal number of seconds, e.g. "90" or "0.05".
std::string seconds_text(base::Duration duration);

}  // namespace config
