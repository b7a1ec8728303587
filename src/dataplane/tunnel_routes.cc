#include "dataplane/tunnel_routes.h"

#include <algorithm>

#include "base/digest.h"

namespace dataplane {
namespace {

using base::Family;
using calc::ClusterRoute;
using calc::PoolKind;
using reconcile::RouteClass;
using reconcile::RouteScope;

// Routes that only this agent makes carry a protocol of their own, so that a later agent can tell them (spec §16.2).
std::uint8_t exclusive_protocol(const TunnelSettings& settings) {
  return settings.route_protocol == reconcile::kProtocolBoot ? reconcile::kProtocolOwnExclusive
                                                             : settings.route_protocol;
}

reconcile::Route base_route(const base::Prefix& destination, const TunnelSettings& settings) {
  reconcile::Route route;
  route.key = reconcile::make_route_key(destination, 0);
  route.attributes.source = destination.family() == Family::kIpv4 ? settings.route_source_v4 : settings.route_source_v6;
  return route;
}

PlacedRoute blackhole(const base::Prefix& destination, const TunnelSettings& settings) {
  reconcile::Route route;
  route.key = reconcile::make_route_key(destination, 0);
  route.attributes.type = reconcile::RouteType::kBlackhole;
  route.attributes.protocol = exclusive_protocol(settings);
  return {RouteClass::kIpamBlockDrop, {}, route};
}

PlacedRoute by_host(RouteClass owner, std::string_view interface, const base::Prefix& destination,
                    const base::IpAddress& host, std::uint32_t mtu, const TunnelSettings& settings) {
  reconcile::Route route = base_route(destination, settings);
  route.attributes.gateway = host;
  route.attributes.onlink = true;
  route.attributes.protocol = exclusive_protocol(settings);
  route.attributes.mtu = mtu;
  return {owner, std::string(interface), route};
}

PlacedRoute by_vxlan(const base::Prefix& destination, const ClusterRoute& cluster, const base::IpAddress& tunnel,
                     const TunnelSettings& settings) {
  const Family family = destination.family();
  reconcile::Route route = base_route(destination, settings);
  if (cluster.kind == ClusterRoute::Kind::kRemoteTunnel) {
    route.attributes.scope = RouteScope::kLink;  // the address is the tunnel's other end itself
  } else {
    route.attributes.gateway = tunnel;
    route.attributes.onlink = true;
  }
  route.attributes.protocol = settings.route_protocol;
  route.attributes.mtu = family == Family::kIpv4 ? settings.vxlan_mtu_v4 : settings.vxlan_mtu_v6;
  return {RouteClass::kVxlanTunnel, std::string(vxlan_device(family)), route};
}

}  // namespace

std::string_view vxlan_device(Family family) { return family == Family::kIpv4 ? "vxlan.calico" : "vxlan-v6.calico"; }

base::MacAddress vxlan_mac(std::string_view configured, std::string_view hostname, Family family) {
  if (const auto mac = base::parse_mac(configured)) return *mac;
  std::string name(hostname);
  if (family == Family::kIpv6) name += "-v6";
  const base::Sha1 digest = base::sha1(name);
  base::MacAddress mac;
  mac.bytes[0] = 0x66;
  std::copy_n(digest.begin(), 5, mac.bytes.begin() + 1);
  return mac;
}

std::optional<Vtep> vtep_of(std::string_view name, const model::Node& node, Family family) {
  const bool v4 = family == Family::kIpv4;
  const auto& tunnel = v4 ? node.vxlan_tunnel_v4 : node.vxlan_tunnel_v6;
  const auto& host = v4 ? node.bgp_ipv4 : node.bgp_ipv6;
  if (!tunnel || !host || tunnel->family() != family) return std::nullopt;
  return Vtep{*tunnel, vxlan_mac(v4 ? node.vxlan_mac_v4 : node.vxlan_mac_v6, name, family), host->address};
}

bool is_agents_route(const ClusterRoute& route, Family family, const TunnelSettings& settings) {
  switch (route.pool) {
    case PoolKind::kVxlan: return settings.vxlan(family);
    case PoolKind::kIpip: return settings.program_cluster_routes && settings.ipip && family == Family::kIpv4;
    case PoolKind::kNoEncap: return settings.program_cluster_routes;
  }
  return false;
}

std::optional<PlacedRoute> place_route(const base::Prefix& destination, const ClusterRoute& cluster,
                                       const std::optional<Vtep>& vtep, const std::optional<std::string>& parent,
                                       const TunnelSettings& settings) {
  const Family family = destination.family();
  if (!is_agents_route(cluster, family, settings)) return std::nullopt;
  if (cluster.kind == ClusterRoute::Kind::kLocalBlock) return blackhole(destination, settings);
  const auto direct = [&](RouteClass owner) -> std::optional<PlacedRoute> {
    if (!parent || !cluster.node_address) return std::nullopt;
    return by_host(owner, *parent, destination, *cluster.node_address, 0, settings);
  };
  switch (cluster.pool) {
    case PoolKind::kNoEncap: return direct(RouteClass::kNoEncap);
    case PoolKind::kVxlan:
      if (cluster.same_subnet) return direct(RouteClass::kVxlanSameSubnet);
      if (!vtep) return std::nullopt;
      return by_vxlan(destination, cluster, vtep->tunnel, settings);
    case PoolKind::kIpip:
      if (cluster.same_subnet) return direct(RouteClass::kIpipSameSubnet);
      if (!cluster.node_address) return std::nullopt;
      return by_host(RouteClass::kIpipTunnel, kIpipDevice, destination, *cluster.node_address, settings.ipip_mtu,
                     settings);
  }
  return std::nullopt;
}

std::vector<reconcile::Neighbour> tunnel_neighbours(const std::map<base::Symbol, Vtep>& others) {
  std::vector<reconcile::Neighbour> out;
  for (const auto& [name, vtep] : others) out.push_back({vtep.tunnel, vtep.mac});
  return out;
}

reconcile::FdbTable tunnel_fdb(const std::map<base::Symbol, Vtep>& others) {
  reconcile::FdbTable out;
  for (const auto& [name, vtep] : others) out.insert_or_assign(vtep.mac, vtep.host);
  return out;
}

std::optional<reconcile::DeviceSpec> ipip_spec(const TunnelSettings& settings) {
  if (!settings.ipip) return std::nullopt;
  return reconcile::DeviceSpec{.name = std::string(kIpipDevice),
                               .kind = reconcile::DeviceKind::kIpip,
                               .mtu = settings.ipip_mtu,
                               .address = settings.ipip_address};
}

std::optional<reconcile::DeviceSpec> vxlan_spec(const TunnelSettings& settings, Family family,
                                                const std::optional<base::IpAddress>& host, reconcile::IfIndex parent) {
  const bool v4 = family == Family::kIpv4;
  if (!settings.vxlan(family) || !host || parent == 0) return std::nullopt;
  return reconcile::DeviceSpec{
      .name = std::string(vxlan_device(family)),
      .kind = reconcile::DeviceKind::kVxlan,
      .mtu = v4 ? settings.vxlan_mtu_v4 : settings.vxlan_mtu_v6,
      .family = family,
      .address = v4 ? settings.vxlan_address_v4 : settings.vxlan_address_v6,
      .vxlan = {.vni = settings.vni,
                .port = settings.port,
                .parent = parent,
                .source = *host,
                .mac = vxlan_mac(v4 ? settings.vxlan_mac_v4 : settings.vxlan_mac_v6, settings.hostname, family)}};
}

}  // namespace dataplane
