// port.h: a Neutron port as workload endpoint (spec openstack §2.4, §3.4, §3.8, §3.11). Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "model/dhcp_options.h"
#include "neutron/translate/answer.h"
#include "neutron/translate/value.h"

namespace neutron {

// What translation depends on beside Neutron's objects.
struct PortSettings {
  bool spoofing_allowed = false;  // FelixConfiguration 'default' has workloadSourceSpoofing: Any
  std::int64_t max_ingress_connections = 0, max_egress_connections = 0;  // [calico] max_…_connections_per_port
};

// compute:… and kuryr:container…: ports of machines. Nobody else's port is an endpoint.
bool is_endpoint_owner(std::string_view device_owner);

// The endpoint that `port` should have; no key if it should have none.
Translation translate_port(const json::object& port, const Answer& answer, const Region& region,
                           const PortSettings& settings);

// One of a port's extra_dhcp_opts.
model::DhcpOption read_dhcp_option(const json::object& option);

// Whether the port wants the policy that lets everything pass.
bool is_without_port_security(const json::object& port);

// The policy `percale.port-security-off` of a region: allows everything for endpoints that carry kPortSecurityLabel.
Desired open_policy(const Region& region);

}  // namespace neutron
