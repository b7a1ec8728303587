// parameter.h: the agent's parameters: names, types, defaults (spec felix-agent §1.9), from the one table in
// parameters.inc.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "config/value_type.h"

namespace config {

enum class Parameter : std::uint16_t {
#define PARAMETER(name, field, type, fallback, flags, meaning) k##name,
#include "config/parameters.inc"
#undef PARAMETER
};

enum ParameterFlag : std::uint8_t {
  kNonZero = 1,  // `none` is an error
  kFatal = 2,    // a value that does not parse is an error, not replaced by the default
  kLocal = 4,    // only from file and environment
  kLive = 8,     // a change takes effect without a restart
  kIgnored = 16  // accepted, without effect in Percale
};

struct ParameterInfo {
  Parameter id;
  std::string_view name;   // "InterfacePrefix"
  std::string_view field;  // of FelixConfiguration's spec, "interfacePrefix"; empty when it has none
  ValueType type;
  std::string_view default_value;  // as text
  std::uint8_t flags;
  std::string_view meaning;

  bool has(ParameterFlag flag) const { return (flags & flag) != 0; }
};

// In the order of the table; all_parameters()[index(p)] describes p.
std::span<const ParameterInfo> all_parameters();
constexpr std::size_t index(Parameter parameter) { return static_cast<std::size_t>(parameter); }
const ParameterInfo& info(Parameter parameter);

// By name, ignoring case; null when there is none.
const ParameterInfo* find_parameter(std::string_view name);
// By field of FelixConfiguration's spec, exactly; null when there is none.
const ParameterInfo* find_field(std::string_view field);
// The parameter whose name is most like `name`, for "did you mean"; empty when none is near.
std::string_view nearest_parameter(std::string_view name);
// "FELIX_INTERFACEPREFIX".
std::string environment_name(const ParameterInfo& parameter);

}  // namespace config
