// link.h: network interfaces as the agent sees them, and the port that reports them.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "base/ip.h"
#include "base/result.h"
#include "reconcile/route_types.h"

namespace kernel {

using reconcile::IfIndex;

struct Link {
  std::string name;
  IfIndex index = 0;
  bool admin_up = false;
  bool running = false;  // IFF_RUNNING: operational state as §17.1 means it
  std::uint32_t mtu = 0;
  base::MacAddress mac{};
  friend bool operator==(const Link&, const Link&) = default;
};

// Called on the monitor's loop thread.
class LinkListener {
 public:
  virtual ~LinkListener() = default;
  // A new interface, or one that changed. A known name with another index is another interface.
  virtual void on_link(const Link& link) = 0;
  virtual void on_link_gone(const std::string& name, IfIndex index) = 0;
  // All addresses of the interface: destinations of local routes, whatever the interface's state. May hold network
  // addresses such as 127.0.0.0.
  virtual void on_addresses(const std::string& name, const std::set<base::IpAddress>& addresses) = 0;
  // After the first complete picture, and once only. Nothing may be written to the kernel before.
  virtual void on_links_in_sync() = 0;
  // Interfaces can no longer be watched; the agent must restart.
  virtual void on_links_failed(const base::Error& error) = 0;
};

}  // namespace kernel
