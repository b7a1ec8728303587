// settings_map.h: configuration parameters as the settings of the parts. Pure; the only place that knows both sides.
#pragma once

#include "agent/http_server.h"
#include "base/symbol.h"
#include "bgp/inputs.h"
#include "calc/network/route_resolver.h"
#include "config/datastore.h"
#include "config/derived.h"
#include "config/environment.h"
#include "dataplane/dataplane.h"
#include "dhcp/runtime/service.h"
#include "kernel/mtu.h"
#include "os/log.h"
#include "render/settings.h"
#include "store/open_store.h"

namespace agent {

store::ConnectionSettings connection_settings(const config::DatastoreSettings& datastore);
os::LogSettings log_settings(const config::Resolved& resolved);
// `kernel_has_ipv6`: Ipv6Support has no effect without it. The features stay at their defaults: they are found out, not
// configured.
render::Settings render_settings(const config::Resolved& resolved, const config::Encapsulation& encapsulation,
                                 base::Symbol hostname, bool kernel_has_ipv6);
dataplane::Settings dataplane_settings(const config::Resolved& resolved, const render::Settings& render);
// The MTUs of tunnels, and what guests may send; `workload` is what DHCP has to offer them. `host`: kernel::host_mtu().
kernel::Mtus mtus(const config::Resolved& resolved, const config::Encapsulation& encapsulation, std::uint32_t host);
dataplane::TunnelSettings tunnel_settings(const config::Resolved& resolved, const config::Encapsulation& encapsulation,
                                          const kernel::Mtus& mtus);
// Where routes to other hosts' guests come from; kNone if BIRD makes all of them. OpenStack allocates no blocks for
// guests, so there RouteSource is WorkloadIPs unless somebody has set it.
calc::RouteSource route_source(const config::Resolved& resolved, const config::Encapsulation& encapsulation);
// Nothing when metrics are served in clear.
std::optional<HttpTls> metrics_tls(const config::Resolved& resolved);
// From our own parameters (BIRD…) and from Calico's environment for its BGP container: CALICO_ROUTER_ID, IP and IP6, AS
// (spec bgp §2).
bgp::Settings bgp_settings(const config::Resolved& resolved, const config::Environment& environment);
// Nothing when DHCP is switched off. kInvalid names the parameter.
base::Result<std::optional<dhcp::Settings>> dhcp_settings(const config::Resolved& resolved);

}  // namespace agent
