#include "kernel/mtu.h"

#include <algorithm>

namespace kernel {
namespace {

constexpr std::uint32_t kIpipOverhead = 20;
constexpr std::uint32_t kVxlanOverhead = 50;
constexpr std::uint32_t kVxlanOverheadV6 = 70;
constexpr std::uint32_t kWireguardOverhead = 60;
constexpr std::uint32_t kWireguardOverheadV6 = 80;

std::uint32_t choose(std::uint32_t configured, std::uint32_t host, std::uint32_t overhead) {
  if (configured != 0) return configured;
  return host > overhead ? host - overhead : host;
}

}  // namespace

base::Result<std::regex> compile_mtu_pattern(const std::string& text) {
  try {
    return std::regex(text);
  } catch (const std::regex_error& error) {
    return base::fail(
        base::Error::invalid(std::string("MTUIfacePattern: bad expression (") + error.what() + ")", text));
  }
}

std::uint32_t host_mtu(std::span<const Link> links, const std::regex& pattern) {
  std::uint32_t running = 0;
  std::uint32_t waiting = 0;  // of those that are up, but have no carrier yet
  for (const Link& link : links) {
    if (!link.admin_up || link.mtu == 0 || !std::regex_search(link.name, pattern)) continue;
    std::uint32_t& smallest = link.running ? running : waiting;
    smallest = smallest == 0 ? link.mtu : std::min(smallest, link.mtu);
  }
  if (running != 0) return running;
  return waiting != 0 ? waiting : kUnknownHostMtu;
}

Mtus tunnel_mtus(std::uint32_t host, const TunnelMtuSettings& settings) {
  Mtus mtus{.ipip = choose(settings.ipip_mtu, host, kIpipOverhead),
            .vxlan = choose(settings.vxlan_mtu, host, kVxlanOverhead),
            .vxlan_v6 = choose(settings.vxlan_mtu_v6, host, kVxlanOverheadV6),
            .wireguard = choose(settings.wireguard_mtu, host, kWireguardOverhead),
            .wireguard_v6 = choose(settings.wireguard_mtu_v6, host, kWireguardOverheadV6)};
  mtus.workload = host;
  const auto consider = [&](bool enabled, std::uint32_t mtu) {
    if (enabled) mtus.workload = std::min(mtus.workload, mtu);
  };
  bool any = false;
  for (const bool enabled :
       {settings.ipip, settings.vxlan, settings.vxlan_v6, settings.wireguard, settings.wireguard_v6}) {
    any = any || enabled;
  }
  if (any) mtus.workload = UINT32_MAX;
  consider(settings.ipip, mtus.ipip);
  consider(settings.vxlan, mtus.vxlan);
  consider(settings.vxlan_v6, mtus.vxlan_v6);
  consider(settings.wireguard, mtus.wireguard);
  consider(settings.wireguard_v6, mtus.wireguard_v6);
  return mtus;
}

}  // namespace kernel
