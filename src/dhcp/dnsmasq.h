// dnsmasq.h: what one network's dnsmasq is started with and reads: arguments, files, addresses of its interface.
//
// Arguments and file formats are those of Neutron's driver as Calico uses it (spec openstack §5.3–§5.5), so that a
// server started by Calico's agent can be taken over, and this one by Calico's. Pure: the same network gives the same
// text.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "dhcp/networks.h"

namespace dhcp {

constexpr std::int64_t kInfiniteLease = -1;

// Names in comments: Neutron's option of the same meaning.
struct Options {
  std::string state_path = "/var/lib/neutron/dhcp";  // one folder per network in it
  std::vector<std::string> dns_servers;              // dnsmasq_dns_servers: where guests' questions are passed on to
  std::string domain = "openstacklocal";             // dns_domain
  std::int64_t lease_seconds = 86400;                // dhcp_lease_duration
  std::string config_file;                           // dnsmasq_config_file: more settings; empty for none
  bool local_resolver = false;                       // dnsmasq_local_resolv: also ask the host's own name servers
};

// One network's server. Two plans with equal arguments can take each other's place with a SIGHUP; the addresses belong
// on `interface`, which is a device without a wire.
struct ServerPlan {
  std::string network_id;
  std::string folder;
  std::string interface;
  std::vector<base::Prefix> addresses;  // with host bits: a subnet's gateway, and its length
  std::vector<std::string> arguments;   // without the program
  std::string hosts;                    // files "host", "opts", "addn_hosts"
  std::string options;
  std::string names;
  std::vector<std::string> unserved;              // subnets that cannot be served, with the reason
  std::map<base::IpAddress, unsigned> replugged;  // Port::replugged by IPv6 address, where it is not 0

  bool operator==(const ServerPlan&) const = default;
};

ServerPlan plan_server(const Network& network, const Options& options);

// "ns-" and the first 11 characters of the network's id.
std::string interface_name(std::string_view network_id);

// The lease file for a start: a guest that renews what another server gave it (a migrated one, say) must find its
// lease. Leases of known guests stay as they were, the others get `expiry` (seconds since 1970; 0 for an infinite
// lease). An IPv6 lease names no MAC address but an identifier that the guest's system makes up, and nobody else gets
// the address while it lasts. So it stays only as long as the address is the same port's (`old_hosts`: the file "host"
// of the time when the leases were given) and not among `released`, whose guests may be other systems by now.
std::string merge_leases(std::string_view old, std::string_view old_hosts, const Network& network, std::int64_t expiry,
                         const std::set<base::IpAddress>& released = {});

// Whether the lease file has one of these IPv6 addresses.
bool has_lease(std::string_view leases, const std::set<base::IpAddress>& addresses);

}  // namespace dhcp
