#include "agent/settings_map.h"

#include <algorithm>
#include <charconv>

#include "base/strings.h"
#include "bgp/local_settings.h"

namespace agent {
namespace {

using P = config::Parameter;

constexpr std::chrono::milliseconds kMinFirstCheck{50};

render::AllowAction allow_action(std::string_view text) {
  return text == "RETURN" ? render::AllowAction::kReturn : render::AllowAction::kAccept;
}

render::ToHostAction to_host_action(std::string_view text) {
  if (text == "RETURN") return render::ToHostAction::kReturn;
  if (text == "ACCEPT") return render::ToHostAction::kAccept;
  return render::ToHostAction::kDrop;
}

render::LoopPrevention loop_prevention(std::string_view text) {
  if (text == "Reject") return render::LoopPrevention::kReject;
  if (text == "Disabled") return render::LoopPrevention::kDisabled;
  return render::LoopPrevention::kDrop;
}

std::vector<render::FailsafePort> failsafe(const std::vector<config::ProtocolPort>& ports) {
  std::vector<render::FailsafePort> out;
  for (const config::ProtocolPort& port : ports)
    out.push_back({port.protocol == 17 ? "udp" : "tcp", port.port, port.network});
  return out;
}

std::string variable(const config::Environment& environment, std::string_view name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

// IP=10.0.0.1/24 or 10.0.0.1; "autodetect" and "none" say nothing here.
std::optional<base::Prefix> address_variable(const config::Environment& environment, std::string_view name) {
  const std::string text = variable(environment, name);
  if (auto prefix = base::parse_interface_cidr(text)) return *prefix;
  if (auto address = base::parse_address(text)) return base::Prefix::host(*address);
  return std::nullopt;
}

}  // namespace

store::ConnectionSettings connection_settings(const config::DatastoreSettings& datastore) {
  store::ConnectionSettings out;
  out.type = datastore.uses_etcd() ? store::StoreType::kEtcd : store::StoreType::kDirectory;
  out.directory = datastore.directory;
  out.endpoints = datastore.endpoints;
  out.discovery_srv = datastore.discovery_domain;
  out.username = datastore.username;
  out.password = datastore.password;
  out.ca_file = datastore.ca_file;
  out.cert_file = datastore.certificate_file;
  out.key_file = datastore.key_file;
  return out;
}

os::LogSettings log_settings(const config::Resolved& resolved) {
  os::LogSettings out;
  out.screen = config::log_level(resolved.text(P::kLogSeverityScreen));
  out.file = config::log_level(resolved.text(P::kLogSeverityFile));
  out.file_path = resolved.text(P::kLogFilePath);
  out.syslog = config::log_level(resolved.text(P::kLogSeveritySys));
  out.debug_filter = resolved.text(P::kLogDebugFilenameRegex);
  out.json = resolved.text(P::kLogFormat) == "JSON";
  out.block_when_full = resolved.flag(P::kDebugDisableLogDropping);
  return out;
}

render::Settings render_settings(const config::Resolved& resolved, const config::Encapsulation& encapsulation,
                                 base::Symbol hostname, bool kernel_has_ipv6) {
  const config::FilterSettings filter = config::filter_settings(resolved);
  render::Settings out;
  out.hostname = hostname;
  out.mark_mask = filter.mark_mask;
  out.interface_prefixes = resolved.texts(P::kInterfacePrefix);
  out.ipv6 = resolved.flag(P::kIpv6Support) && kernel_has_ipv6;
  out.insert_mode =
      resolved.text(P::kChainInsertMode) == "append" ? render::InsertMode::kAppend : render::InsertMode::kInsert;
  out.filter_allow = allow_action(filter.filter_allow_action);
  out.mangle_allow = allow_action(filter.mangle_allow_action);
  out.deny = filter.filter_deny_action == "REJECT" ? render::DenyAction::kReject : render::DenyAction::kDrop;
  out.endpoint_to_host = to_host_action(resolved.text(P::kDefaultEndpointToHostAction));
  out.conntrack_invalid_check = !resolved.flag(P::kDisableConntrackInvalidCheck);
  out.workload_source_spoofing = resolved.text(P::kWorkloadSourceSpoofing) == "Any";
  out.loop_prevention = loop_prevention(resolved.text(P::kServiceLoopPrevention));
  out.openstack = config::openstack_mode(resolved);
  out.metadata_address = config::metadata_address(resolved);
  out.metadata_port = static_cast<std::uint16_t>(resolved.integer(P::kMetadataPort));
  out.failsafe_inbound = failsafe(resolved.ports(P::kFailsafeInboundHostPorts));
  out.failsafe_outbound = failsafe(resolved.ports(P::kFailsafeOutboundHostPorts));
  out.tunnels = {.ipip = encapsulation.ipip,
                 .vxlan_v4 = encapsulation.vxlan_v4,
                 .vxlan_v6 = encapsulation.vxlan_v6,
                 .ipip_address = resolved.address(P::kIpInIpTunnelAddr).has_value(),
                 .vxlan_address_v4 = resolved.address(P::kIPv4VXLANTunnelAddr).has_value(),
                 .vxlan_address_v6 = resolved.address(P::kIPv6VXLANTunnelAddr).has_value()};
  out.vxlan_port = static_cast<std::uint16_t>(resolved.integer(P::kVXLANPort));
  out.allow_vxlan_from_workloads = resolved.flag(P::kAllowVXLANPacketsFromWorkloads);
  out.allow_ipip_from_workloads = resolved.flag(P::kAllowIPIPPacketsFromWorkloads);
  out.external_nodes = resolved.prefixes(P::kExternalNodesCIDRList);
  out.floating_ips = resolved.text(P::kFloatingIPs) == "Enabled";
  out.nat_outgoing_address = resolved.address(P::kNATOutgoingAddress);
  if (const auto& ranges = resolved.port_ranges(P::kNATPortRange); !ranges.empty()) {
    out.nat_port_range = calc::PortRange{ranges.front().first, ranges.front().last};
  }
  out.nat_exclude_hosts = resolved.text(P::kNATOutgoingExclusions) == "IPPoolsAndHostIPs";
  out.nat_outgoing_interface = resolved.text(P::kIptablesNATOutgoingInterfaceFilter);
  out.log_prefix = resolved.text(P::kLogPrefix);
  out.log_rate_limit = resolved.text(P::kLogActionRateLimit);
  out.log_rate_burst = static_cast<int>(resolved.integer(P::kLogActionRateLimitBurst));
  return out;
}

dataplane::Settings dataplane_settings(const config::Resolved& resolved, const render::Settings& render) {
  const auto whole_milliseconds = [](base::Duration d) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(d);
  };
  dataplane::Settings out;
  out.render = render;
  out.workload.ipv6 = render.ipv6;
  out.workload.route_protocol = static_cast<std::uint8_t>(resolved.integer(P::kDeviceRouteProtocol));
  out.workload.priority_v4 = static_cast<std::uint32_t>(resolved.integer(P::kIPv4NormalRoutePriority));
  out.workload.priority_v6 = static_cast<std::uint32_t>(resolved.integer(P::kIPv6NormalRoutePriority));
  out.workload.route_source_v4 = resolved.address(P::kDeviceRouteSourceAddress);
  out.workload.route_source_v6 = resolved.address(P::kDeviceRouteSourceAddressIPv6);
  out.workload.floating_ips = render.floating_ips;
  out.max_set_elements = static_cast<std::uint32_t>(resolved.integer(P::kMaxIpsetSize));
  out.program_routes = !resolved.flag(P::kRouteSyncDisabled);
  out.remove_external_routes = resolved.flag(P::kRemoveExternalRoutes);
  out.sets_refresh = resolved.duration(P::kIpsetsRefreshInterval);
  out.routes_refresh = resolved.duration(P::kRouteRefreshInterval);
  // Cannot be switched off: a check that never comes would leave another program's edits in force.
  out.rules_first_check =
      std::max(kMinFirstCheck, whole_milliseconds(resolved.duration(P::kIptablesPostWriteCheckIntervalSecs)));
  out.rules_refresh = whole_milliseconds(config::filter_settings(resolved).refresh_interval);
  return out;
}

kernel::Mtus mtus(const config::Resolved& resolved, const config::Encapsulation& encapsulation, std::uint32_t host) {
  const auto configured = [&](P parameter) { return static_cast<std::uint32_t>(resolved.integer(parameter)); };
  kernel::TunnelMtuSettings settings;
  settings.ipip = encapsulation.ipip;
  settings.vxlan = encapsulation.vxlan_v4;
  settings.vxlan_v6 = encapsulation.vxlan_v6;
  settings.ipip_mtu = configured(P::kIpInIpMtu);
  settings.vxlan_mtu = configured(P::kVXLANMTU);
  settings.vxlan_mtu_v6 = configured(P::kVXLANMTUV6);
  return kernel::tunnel_mtus(host, settings);
}

dataplane::TunnelSettings tunnel_settings(const config::Resolved& resolved, const config::Encapsulation& encapsulation,
                                          const kernel::Mtus& mtus) {
  dataplane::TunnelSettings out;
  out.hostname = resolved.text(P::kFelixHostname);
  out.ipip = encapsulation.ipip;
  out.vxlan_v4 = encapsulation.vxlan_v4;
  out.vxlan_v6 = encapsulation.vxlan_v6;
  out.program_cluster_routes = resolved.text(P::kProgramClusterRoutes) == "Enabled";
  out.vni = static_cast<std::uint32_t>(resolved.integer(P::kVXLANVNI));
  out.port = static_cast<std::uint16_t>(resolved.integer(P::kVXLANPort));
  out.ipip_mtu = mtus.ipip;
  out.vxlan_mtu_v4 = mtus.vxlan;
  out.vxlan_mtu_v6 = mtus.vxlan_v6;
  out.ipip_address = resolved.address(P::kIpInIpTunnelAddr);
  out.vxlan_address_v4 = resolved.address(P::kIPv4VXLANTunnelAddr);
  out.vxlan_address_v6 = resolved.address(P::kIPv6VXLANTunnelAddr);
  out.vxlan_mac_v4 = resolved.text(P::kVXLANTunnelMACAddr);
  out.vxlan_mac_v6 = resolved.text(P::kVXLANTunnelMACAddrV6);
  out.route_protocol = static_cast<std::uint8_t>(resolved.integer(P::kDeviceRouteProtocol));
  out.route_source_v4 = resolved.address(P::kDeviceRouteSourceAddress);
  out.route_source_v6 = resolved.address(P::kDeviceRouteSourceAddressIPv6);
  out.retire_ipip = !resolved.optional_flag(P::kIpInIpEnabled).has_value();
  return out;
}

calc::RouteSource route_source(const config::Resolved& resolved, const config::Encapsulation& encapsulation) {
  const bool agents =
      encapsulation.vxlan_v4 || encapsulation.vxlan_v6 || resolved.text(P::kProgramClusterRoutes) == "Enabled";
  if (!agents) return calc::RouteSource::kNone;
  const bool by_default = resolved.source(P::kRouteSource) == config::Source::kDefault;
  const bool workloads =
      by_default ? config::openstack_mode(resolved) : resolved.text(P::kRouteSource) == "WorkloadIPs";
  return workloads ? calc::RouteSource::kWorkloads : calc::RouteSource::kIpam;
}

std::optional<HttpTls> metrics_tls(const config::Resolved& resolved) {
  HttpTls out;
  out.certificate_file = resolved.text(P::kPrometheusMetricsCertFile);
  out.key_file = resolved.text(P::kPrometheusMetricsKeyFile);
  if (out.certificate_file.empty() && out.key_file.empty()) return std::nullopt;
  out.ca_file = resolved.text(P::kPrometheusMetricsCAFile);
  const std::string& clients = resolved.text(P::kPrometheusMetricsClientAuth);
  using Auth = HttpTls::ClientAuth;
  out.client_auth = clients == "RequireAnyClientCert"      ? Auth::kRequireAny
                    : clients == "VerifyClientCertIfGiven" ? Auth::kVerifyIfGiven
                    : clients == "NoClientCert"            ? Auth::kNone
                                                           : Auth::kRequireAndVerify;
  return out;
}

bgp::Settings bgp_settings(const config::Resolved& resolved, const config::Environment& environment) {
  bgp::Settings out;
  out.node_name = resolved.text(P::kFelixHostname);
  out.router_id = variable(environment, "CALICO_ROUTER_ID");
  out.address_v4 = address_variable(environment, "IP");
  out.address_v6 = address_variable(environment, "IP6");
  const std::string as_number = variable(environment, "AS");
  bgp::AsNumber number = 0;
  const auto [end, error] = std::from_chars(as_number.data(), as_number.data() + as_number.size(), number);
  if (error == std::errc() && end == as_number.data() + as_number.size() && number > 0) out.as_number = number;
  out.workload_prefixes = resolved.texts(P::kInterfacePrefix);
  const std::string& host_routes = resolved.text(P::kBIRDHostRoutes);
  out.host_routes = host_routes == "On"    ? bgp::HostRouteRule::kOn
                    : host_routes == "Off" ? bgp::HostRouteRule::kOff
                                           : bgp::HostRouteRule::kAuto;
  out.peers = bgp::parse_local_peers(resolved.text(P::kBIRDPeers), out.problems);
  out.tunnel_networks = bgp::parse_tunnel_networks(resolved.text(P::kBIRDTunnelNetworks), out.problems);
  out.include_file = resolved.text(P::kBIRDIncludeFile);
  out.recovery_wait = std::chrono::seconds(resolved.integer(P::kBIRDRecoveryWaitSecs));
  const std::string& bfd = resolved.text(P::kBIRDBFD);
  out.bfd.use = bfd == "Peers" ? bgp::BfdUse::kPeers : bfd == "All" ? bgp::BfdUse::kAll : bgp::BfdUse::kOff;
  if (resolved.text(P::kBIRDBFDLoss) == "Graceful") out.bfd.loss = bgp::BfdLoss::kGraceful;
  out.bfd.interval = std::chrono::milliseconds(resolved.integer(P::kBIRDBFDIntervalMillis));
  out.bfd.multiplier = static_cast<int>(resolved.integer(P::kBIRDBFDMultiplier));
  return out;
}

base::Result<std::optional<dhcp::Settings>> dhcp_settings(const config::Resolved& resolved) {
  const std::string& mode = resolved.text(P::kDHCPMode);
  if (mode == "Disabled") return std::optional<dhcp::Settings>();
  dhcp::Settings out;
  out.mode = mode == "Enabled" ? dhcp::Mode::kEnabled : dhcp::Mode::kAuto;
  out.host = resolved.text(P::kFelixHostname);
  out.region = config::region_text(resolved);
  const std::string& region = resolved.text(P::kOpenstackRegion);
  out.name_space = region.empty() ? "openstack" : "openstack-region-" + region;
  out.options.state_path = resolved.text(P::kDHCPStatePath);
  out.options.domain = resolved.text(P::kDHCPDomain);
  out.options.lease_seconds = resolved.integer(P::kDHCPLeaseSecs);
  out.options.config_file = resolved.text(P::kDHCPConfigFile);
  out.options.local_resolver = resolved.flag(P::kDHCPLocalResolver);
  for (std::string_view part : base::split(resolved.text(P::kDHCPDNSServers), ',')) {
    part = base::trim(part);
    if (part.empty()) continue;
    auto address = base::parse_address(part);
    if (!address) return base::fail(std::move(address).error().in("DHCPDNSServers (addresses with commas between)"));
    out.options.dns_servers.push_back(base::to_string(*address));
  }
  return std::optional(std::move(out));
}

}  // namespace agent
