#include "dhcp/runtime/serving_interface.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <algorithm>
#include <bit>
#include <memory>

#include <fmt/core.h>

#include "os/files.h"
#include "os/process.h"

namespace dhcp {

using base::Error;

namespace {

constexpr std::string_view kMac = "02:00:00:00:00:00";
constexpr int kMtu = 1500;

base::Result<> ip(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "ip");
  auto outcome = os::run({.arguments = std::move(arguments), .timeout = std::chrono::seconds(10)});
  if (!outcome) return base::fail(std::move(outcome).error());
  if (!outcome->ok()) return base::fail(Error(base::ErrorKind::kSystem, "ip: " + outcome->describe()));
  return {};
}

bool exists(const std::string& name) { return ::if_nametoindex(name.c_str()) != 0; }

int prefix_length(const std::uint8_t* mask, std::size_t size) {
  int length = 0;
  for (std::size_t i = 0; i < size; ++i) length += std::popcount(mask[i]);
  return length;
}

base::Result<std::vector<base::Prefix>> addresses_of(const std::string& name) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return base::fail(Error::system(errno, "getifaddrs"));
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, ::freeifaddrs);
  std::vector<base::Prefix> found;
  for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || at->ifa_netmask == nullptr || name != at->ifa_name) continue;
    if (at->ifa_addr->sa_family == AF_INET) {
      const auto* address = reinterpret_cast<const sockaddr_in*>(at->ifa_addr);
      const auto* mask = reinterpret_cast<const sockaddr_in*>(at->ifa_netmask);
      found.push_back({base::IpAddress::v4(ntohl(address->sin_addr.s_addr)),
                       static_cast<std::uint8_t>(std::popcount(mask->sin_addr.s_addr))});
    } else if (at->ifa_addr->sa_family == AF_INET6) {
      const auto* address = reinterpret_cast<const sockaddr_in6*>(at->ifa_addr);
      const auto* mask = reinterpret_cast<const sockaddr_in6*>(at->ifa_netmask);
      if (IN6_IS_ADDR_LINKLOCAL(&address->sin6_addr)) continue;
      found.push_back({base::IpAddress::from_bytes(base::Family::kIpv6, address->sin6_addr.s6_addr),
                       static_cast<std::uint8_t>(prefix_length(mask->sin6_addr.s6_addr, 16))});
    }
  }
  return found;
}

// The veth's other end: "np-" in place of "ns-".
std::string other_end(const std::string& name) { return "np-" + name.substr(3); }

base::Result<> create(const std::string& name) {
  const std::string mtu = std::to_string(kMtu);
  auto made = ip({"link", "add", name, "address", std::string(kMac), "mtu", mtu, "type", "dummy"});
  if (!made && !exists(name)) {
    auto pair = ip({"link", "add", name, "address", std::string(kMac), "mtu", mtu, "type", "veth", "peer", "name",
                    other_end(name)});
    if (!pair) return base::fail(std::move(made).error().in("interface " + name));
    if (auto up = ip({"link", "set", other_end(name), "up"}); !up) return up;
  }
  // A router's advertisements must not configure what guests take for their gateway.
  (void)os::write_in_place("/proc/sys/net/ipv6/conf/" + name + "/accept_ra", "0");
  return ip({"link", "set", name, "up"});
}

base::Result<> add_address(const std::string& name, const base::Prefix& address) {
  std::vector<std::string> arguments = {"address", "add", base::to_string(address), "dev", name};
  if (!address.address.is_v4()) arguments.push_back("nodad");  // every host has this address, on purpose
  std::vector<std::string> without_route = arguments;
  without_route.push_back("noprefixroute");
  if (auto added = ip(without_route)) return added;
  // Kernels before 4.20 know `noprefixroute` for IPv6 only.
  if (auto added = ip(arguments); !added) return added;
  return ip({"route", "del", base::to_string(address.masked()), "dev", name, "proto", "kernel"});
}

bool contains(const std::vector<base::Prefix>& list, const base::Prefix& one) {
  return std::find(list.begin(), list.end(), one) != list.end();
}

}  // namespace

base::Result<> ensure_serving_interface(const std::string& name, const std::vector<base::Prefix>& addresses) {
  if (!exists(name)) {
    if (auto created = create(name); !created) return created;
  }
  auto current = addresses_of(name);
  if (!current) return base::fail(std::move(current).error());
  for (const base::Prefix& address : *current) {
    if (contains(addresses, address)) continue;
    if (auto gone = ip({"address", "del", base::to_string(address), "dev", name}); !gone) return gone;
  }
  for (const base::Prefix& address : addresses) {
    if (contains(*current, address)) continue;
    if (auto added = add_address(name, address); !added) return added;
  }
  return {};
}

base::Result<> remove_serving_interface(const std::string& name) {
  if (!exists(name)) return {};
  return ip({"link", "del", name});
}

}  // namespace dhcp
