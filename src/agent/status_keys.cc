#include "agent/status_keys.h"

#include <array>
#include <cmath>
#include <ctime>

#include <fmt/core.h>

#include "base/strings.h"

namespace agent {

std::string escape_component(std::string_view text) {
  return base::replace_all(base::replace_all(text, "%", "%25"), "/", "%2f");
}

std::string StatusPaths::process() const { return fmt::format("/calico/felix/v2/{}/host/{}/status", region, hostname); }

std::string StatusPaths::last_reported() const {
  return fmt::format("/calico/felix/v2/{}/host/{}/last_reported_status", region, hostname);
}

std::string StatusPaths::workload_prefix() const {
  return fmt::format("/calico/felix/v2/{}/host/{}/workload/", region, hostname);
}

std::string StatusPaths::workload(std::string_view orchestrator, std::string_view workload,
                                  std::string_view endpoint) const {
  return fmt::format("{}{}/{}/endpoint/{}", workload_prefix(), escape_component(orchestrator),
                     escape_component(workload), escape_component(endpoint));
}

std::string StatusPaths::host_endpoint_prefix() const {
  return fmt::format("/calico/felix/v1/host/{}/endpoint/", hostname);
}

std::string StatusPaths::host_endpoint(std::string_view endpoint) const {
  return host_endpoint_prefix() + escape_component(endpoint);
}

std::string endpoint_value(EndpointStatus status) {
  switch (status) {
    case EndpointStatus::kUp: return R"({"status":"up"})";
    case EndpointStatus::kDown: return R"({"status":"down"})";
    case EndpointStatus::kError: return R"({"status":"error"})";
  }
  return "";
}

std::string process_value(base::WallTime now, base::Duration uptime, bool first_update) {
  const std::time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  std::tm tm{};
  ::gmtime_r(&seconds, &tm);
  std::array<char, 32> time{};
  std::strftime(time.data(), time.size(), "%Y-%m-%dT%H:%M:%SZ", &tm);
  const double uptime_seconds = std::round(static_cast<double>(uptime.count()) / 1e6) / 1e3;
  return fmt::format(R"({{"time":"{}","uptime":{},"first_update":{}}})", time.data(), uptime_seconds, first_update);
}

}  // namespace agent
