#include "config/environment.h"

#include "base/strings.h"
#include "config/derived.h"

namespace config {

Environment environment_from(const std::vector<std::string>& entries) {
  Environment environment;
  for (const std::string& entry : entries) {
    const auto equals = entry.find('=');
    if (equals != std::string::npos && equals > 0) environment[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  return environment;
}

RawMap felix_parameters(const Environment& environment) {
  constexpr std::string_view kPrefix = "felix_";
  RawMap raw;
  for (const auto& [name, value] : environment) {
    const std::string lower = base::to_lower(name);
    if (lower.starts_with(kPrefix) && lower.size() > kPrefix.size() && !value.empty())
      raw[lower.substr(kPrefix.size())] = value;
  }
  raw.erase("earlylogseverityscreen");  // not a parameter: see early_log_level()
  return raw;
}

base::LogLevel early_log_level(const Environment& environment) {
  for (const std::string_view name : {"FELIX_EARLYLOGSEVERITYSCREEN", "FELIX_LOGSEVERITYSCREEN"}) {
    const auto found = environment.find(name);
    if (found == environment.end()) continue;
    auto severity = parse_value(info(Parameter::kLogSeverityScreen).type, found->second, Probe{});
    if (!severity) continue;
    if (const auto level = log_level(std::get<std::string>(*severity))) return *level;
  }
  return base::LogLevel::kError;
}

}  // namespace config
