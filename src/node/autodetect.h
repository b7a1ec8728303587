// autodetect.h: which address of a host is the node's (spec cli §12.2, §12.3). Pure; interfaces.h says what there is.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace node {

struct Interface {
  int index = 0;
  std::string name;
  bool up = true;
  std::vector<base::Prefix> addresses;  // with the host's bits
};

struct Detected {
  std::string interface;
  base::Prefix address;
};

// The local address from which `host` would be reached.
using FindLocal = std::function<base::Result<base::IpAddress>(const std::string& host, base::Family family)>;

// `method` as in IP_AUTODETECTION_METHOD: "first-found" (or ""), "can-reach=HOST", "interface=RE,…",
// "skip-interface=RE,…", "cidr=C,…". Interfaces are looked at from the highest index down, those that are down left
// out. kInvalid: no such method; kNotFound: no such address.
base::Result<Detected> autodetect(std::string_view method, const std::vector<Interface>& interfaces,
                                  base::Family family, const FindLocal& find_local);

// What an operator wrote: an address or CIDR. A bare IPv4 address takes the prefix length it has on an interface, else
// /32; a bare IPv6 address is /128.
base::Result<base::Prefix> address_from_text(std::string_view text, base::Family family,
                                             const std::vector<Interface>& interfaces);

// Interfaces that are made for guests and tunnels and never carry the node's address.
bool is_excluded(std::string_view interface);

// Global unicast as upstream counts it: private ranges too.
bool is_global_unicast(const base::IpAddress& address);

}  // namespace node
