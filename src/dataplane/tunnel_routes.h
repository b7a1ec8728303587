// tunnel_routes.h: where routes to other hosts' guests lead, and what a VXLAN device must know about other hosts (spec
// dataplane §16.2, §18). Pure: used by the data plane and by `percalectl plan`.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "calc/output.h"
#include "reconcile/device_planner.h"
#include "reconcile/fdb_planner.h"
#include "reconcile/neighbour_planner.h"
#include "reconcile/route_types.h"
#include "render/settings.h"

namespace dataplane {

inline constexpr std::string_view kIpipDevice = "tunl0";
std::string_view vxlan_device(base::Family family);  // vxlan.calico, vxlan-v6.calico

struct TunnelSettings {
  std::string hostname;
  bool ipip = false;  // what the pools and the configuration ask for
  bool vxlan_v4 = false;
  bool vxlan_v6 = false;
  bool program_cluster_routes = false;  // ProgramClusterRoutes: routes without VXLAN are the agent's too, not BIRD's
  std::uint32_t vni = 4096;
  std::uint16_t port = 4789;
  std::uint32_t ipip_mtu = 0;
  std::uint32_t vxlan_mtu_v4 = 0;
  std::uint32_t vxlan_mtu_v6 = 0;
  std::optional<base::IpAddress> ipip_address;  // this host's tunnel addresses
  std::optional<base::IpAddress> vxlan_address_v4;
  std::optional<base::IpAddress> vxlan_address_v6;
  std::string vxlan_mac_v4;  // empty: derived from the host's name
  std::string vxlan_mac_v6;
  std::uint8_t route_protocol = reconcile::kProtocolBoot;  // DeviceRouteProtocol
  std::optional<base::IpAddress> route_source_v4;          // DeviceRouteSourceAddress
  std::optional<base::IpAddress> route_source_v6;

  render::TunnelRules found;  // devices that were up at the start, with an address of ours
  bool retire_ipip = true;    // tunl0 loses its addresses when it is not used: not if IpInIpEnabled says so explicitly

  bool vxlan(base::Family family) const { return family == base::Family::kIpv4 ? vxlan_v4 : vxlan_v6; }
  bool any() const { return ipip || vxlan_v4 || vxlan_v6; }
};

// A host as VXLAN knows it: the other end of a tunnel.
struct Vtep {
  base::IpAddress tunnel;  // its address on its VXLAN device
  base::MacAddress mac;    // of that device
  base::IpAddress host;    // where the outer packets go
  friend bool operator==(const Vtep&, const Vtep&) = default;
};
// Nothing unless both the tunnel address and the host's BGP address of the family are known.
std::optional<Vtep> vtep_of(std::string_view name, const model::Node& node, base::Family family);
// `configured` if it is a MAC address, else 66 and the first five bytes of the name's digest.
base::MacAddress vxlan_mac(std::string_view configured, std::string_view hostname, base::Family family);

// Whether a route is the agent's to make, or left to BIRD.
bool is_agents_route(const calc::ClusterRoute& route, base::Family family, const TunnelSettings& settings);

struct PlacedRoute {
  reconcile::RouteClass owner = reconcile::RouteClass::kVxlanTunnel;
  std::string interface;  // empty for routes that lead nowhere
  reconcile::Route route;
  friend bool operator==(const PlacedRoute&, const PlacedRoute&) = default;
};

// `vtep`: of the route's node, for the route's family. `parent`: the interface towards the other hosts; nothing if it
// is not known yet. Nothing when the route is BIRD's to make, or cannot be made yet.
std::optional<PlacedRoute> place_route(const base::Prefix& destination, const calc::ClusterRoute& route,
                                       const std::optional<Vtep>& vtep, const std::optional<std::string>& parent,
                                       const TunnelSettings& settings);

// The tables of a VXLAN device: the other hosts, by tunnel address and by MAC.
std::vector<reconcile::Neighbour> tunnel_neighbours(const std::map<base::Symbol, Vtep>& others);
reconcile::FdbTable tunnel_fdb(const std::map<base::Symbol, Vtep>& others);

// The devices of this host. Without a tunnel address of its own a device is wanted all the same: it takes what other
// hosts send, and gets the address when there is one. Nothing while what it cannot be made without is missing.
std::optional<reconcile::DeviceSpec> ipip_spec(const TunnelSettings& settings);
std::optional<reconcile::DeviceSpec> vxlan_spec(const TunnelSettings& settings, base::Family family,
                                                const std::optional<base::IpAddress>& host, reconcile::IfIndex parent);

}  // namespace dataplane
