// objects.h: what DHCP needs of the datastore: guests on this host and the subnets they are in.
//
// Sources of the facts: spec openstack §2.4 (endpoints), §2.6 (subnets), §5.2 (how they are read). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "model/dhcp_options.h"

namespace dhcp {

struct HostRoute {
  std::string destination;  // as Neutron wrote it
  std::string next_hop;

  bool operator==(const HostRoute&) const = default;
};

struct Subnet {
  std::string id;
  std::string network_id;
  base::Prefix cidr;
  std::optional<base::IpAddress> gateway;
  std::vector<HostRoute> host_routes;
  std::vector<std::string> dns_servers;
  // Guests make their own IPv6 address. Every other IPv6 subnet is served by DHCPv6, `dhcpv6-stateless` too, as Calico
  // does: its guests get the very address that Neutron gave them.
  bool slaac = false;

  bool is_v4() const { return cidr.address.is_v4(); }
  bool operator==(const Subnet&) const = default;
};

// `value` is the JSON object that the driver wrote. The subnet's id is the last part of its key.
base::Result<Subnet> decode_subnet(std::string_view id, std::string_view value);

struct Endpoint {
  std::string port_id;
  std::string interface;
  base::MacAddress mac;
  std::vector<base::IpAddress> addresses;       // fixed IPs, without allowed address pairs; never empty
  std::string network_id;                       // empty: an old driver did not say
  std::string fqdn;                             // empty: made from the address
  std::vector<model::DhcpOption> options = {};  // of this port alone

  bool operator==(const Endpoint&) const = default;
};

// The port of an endpoint's name for `host`, or nothing when the name is not that of an OpenStack endpoint there.
std::optional<std::string> port_of_name(std::string_view name, std::string_view host);

// Nothing where the endpoint lacks an interface, a MAC or an address: it is not to be served (§5.2 item 2).
base::Result<std::optional<Endpoint>> decode_endpoint(std::string_view port_id, std::string_view value);

}  // namespace dhcp
