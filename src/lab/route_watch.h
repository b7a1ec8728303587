// route_watch.h: hears from the kernels of several nodes when a route goes, the moment it happens.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ip.h"
#include "lab/lab.h"

namespace lab {

class RouteWatch {
 public:
  // Hears from now on.
  static base::Result<RouteWatch> start(const Lab& lab, const std::vector<std::string>& nodes);

  // Waits until each of the nodes has lost its host route to each of the addresses. Returns the moment of the last
  // loss, in microseconds on the machine's monotonic clock; nothing if `limit` is over before.
  std::optional<std::int64_t> all_gone(std::span<const base::IpAddress> addresses, std::chrono::milliseconds limit);

 private:
  std::vector<base::Fd> sockets_;
};

// The destination of the host route that a message of the kernel's says is gone, or no longer leads anywhere.
// `message`: one netlink message with its header.
std::optional<base::IpAddress> lost_route(std::span<const unsigned char> message);

}  // namespace lab
