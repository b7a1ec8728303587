// status_keys.h: keys and values of the agent's status, byte-exact (spec felix-agent §4.1, datamodel §8). Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"

namespace agent {

enum class EndpointStatus { kUp, kDown, kError };

struct StatusPaths {
  std::string region;  // "no-region" or "region-<name>", as config::region_text()
  std::string hostname;

  std::string process() const;        // leased
  std::string last_reported() const;  // permanent
  // Everything this node ever writes about its workloads in this region; ends in '/'.
  std::string workload_prefix() const;
  std::string workload(std::string_view orchestrator, std::string_view workload, std::string_view endpoint) const;
  // Host endpoints: no region, and the first version of the tree.
  std::string host_endpoint_prefix() const;
  std::string host_endpoint(std::string_view endpoint) const;
};

// '%' and '/' as %25 and %2f, nothing else.
std::string escape_component(std::string_view text);

std::string endpoint_value(EndpointStatus status);  // {"status":"up"}
// {"time":"2026-01-02T03:04:05Z","uptime":12.345,"first_update":true}
std::string process_value(base::WallTime now, base::Duration uptime, bool first_update);

}  // namespace agent
