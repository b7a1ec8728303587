// mtu.h: which MTU tunnels and workloads get (spec dataplane §18.1). Pure.
#pragma once

#include <cstdint>
#include <regex>
#include <span>
#include <string>

#include "base/result.h"
#include "kernel/link.h"

namespace kernel {

constexpr std::uint32_t kUnknownHostMtu = 1460;  // when no interface matches
constexpr std::string_view kDefaultMtuPattern = "^((en|wl|ww|sl|ib)[Pcopsvx].*|(eth|wlan|wwan).*)";  // MTUIfacePattern

[[nodiscard]] base::Result<std::regex> compile_mtu_pattern(const std::string& text);
// The smallest MTU of the running interfaces whose names match. While none runs, that of those that are up: the kernel
// takes up to a second to tell that a link has come up, and guests keep what they are given.
std::uint32_t host_mtu(std::span<const Link> links, const std::regex& pattern);

// Configured values; 0 means: by the host's.
struct TunnelMtuSettings {
  bool ipip = false;
  bool vxlan = false;
  bool vxlan_v6 = false;
  bool wireguard = false;
  bool wireguard_v6 = false;
  std::uint32_t ipip_mtu = 0;
  std::uint32_t vxlan_mtu = 0;
  std::uint32_t vxlan_mtu_v6 = 0;
  std::uint32_t wireguard_mtu = 0;
  std::uint32_t wireguard_mtu_v6 = 0;
};
struct Mtus {
  std::uint32_t ipip = 0;
  std::uint32_t vxlan = 0;
  std::uint32_t vxlan_v6 = 0;
  std::uint32_t wireguard = 0;
  std::uint32_t wireguard_v6 = 0;
  std::uint32_t workload = 0;  // the smallest of the enabled ones, else the host's: /var/lib/calico/mtu
};
Mtus tunnel_mtus(std::uint32_t host, const TunnelMtuSettings& settings);

}  // namespace kernel
