// endpoint.h: workload and host endpoints and network sets as the calculation reads them.
//
// A cloud has a hundred thousand endpoints and this host a few hundred, so an endpoint of another host keeps only what
// IP set membership needs; everything about its interface is left out by the decoder.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/symbol.h"
#include "model/labels.h"

namespace model {

struct WorkloadEndpointKey {
  Symbol ns;
  std::string name;  // resource name, spec datamodel §1.8
  friend bool operator==(const WorkloadEndpointKey&, const WorkloadEndpointKey&) = default;
  friend auto operator<=>(const WorkloadEndpointKey&, const WorkloadEndpointKey&) = default;
};

struct EndpointPort {
  Symbol name;
  std::uint8_t protocol = 0;  // 6, 17 or 132
  std::uint16_t port = 0;
  friend bool operator==(const EndpointPort&, const EndpointPort&) = default;
};

// What IP set membership needs of any endpoint.
struct Membership {
  Labels labels;
  std::vector<Symbol> profiles;            // parents, in list order
  std::vector<base::IpAddress> addresses;  // ipNetworks or expectedIPs, prefix length dropped
  std::vector<EndpointPort> ports;
  friend bool operator==(const Membership&, const Membership&) = default;
};

struct NatMapping {
  base::IpAddress external;
  base::IpAddress internal;
  friend bool operator==(const NatMapping&, const NatMapping&) = default;
  friend auto operator<=>(const NatMapping&, const NatMapping&) = default;
};

// The interface side of a workload endpoint on this host.
struct WorkloadInterface {
  std::string orchestrator;
  std::string workload;  // "<namespace>/<third part of the name>", as in status keys (spec datamodel §1.8)
  std::string endpoint;
  std::string name;  // interfaceName, never empty
  std::optional<base::MacAddress> mac;
  std::vector<base::IpAddress> addresses;  // ipNetworks, both families, in order
  std::optional<base::IpAddress> ipv4_gateway;
  std::optional<base::IpAddress> ipv6_gateway;
  std::vector<NatMapping> nats;
  std::vector<base::Prefix> allowed_source_prefixes;
  std::map<std::string, std::string> annotations;
  std::map<std::string, std::int64_t> qos;  // qosControls, members present only
  bool active = true;
  friend bool operator==(const WorkloadInterface&, const WorkloadInterface&) = default;
};

struct WorkloadEndpoint {
  Symbol node;
  Membership membership;
  std::shared_ptr<const WorkloadInterface> interface;  // null for endpoints of other hosts
};

struct HostEndpointKey {
  Symbol name;
  friend bool operator==(const HostEndpointKey&, const HostEndpointKey&) = default;
  friend auto operator<=>(const HostEndpointKey&, const HostEndpointKey&) = default;
};

struct HostEndpoint {
  Symbol node;
  std::string interface_name;  // "" (match by expected addresses), "*" or an interface
  Membership membership;       // addresses = expectedIPs
  std::optional<std::uint8_t> dscp;
  bool is_local = false;
};

struct NetworkSetKey {
  Symbol ns;  // empty for GlobalNetworkSet
  Symbol name;
  friend bool operator==(const NetworkSetKey&, const NetworkSetKey&) = default;
  friend auto operator<=>(const NetworkSetKey&, const NetworkSetKey&) = default;
};

struct NetworkSet {
  Labels labels;                 // with projectcalico.org/namespace for namespaced sets
  std::vector<Symbol> profiles;  // ["kns.<ns>"] for namespaced sets
  std::vector<base::Prefix> nets;
};

}  // namespace model
