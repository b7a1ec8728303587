// serving_interface.h: the device without a wire that holds the gateway addresses a network's dnsmasq answers from
// (spec openstack §5.3): a dummy device or, on kernels without that, one end of a veth pair.
//
// Blocking: starts `ip`, some milliseconds each. In the calling thread's network namespace.
#pragma once

#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace dhcp {

// Afterwards `name` exists, is up, and has exactly `addresses` (link-local ones apart) without routes to their subnets,
// so that the routes to guests stay the only ones. Does nothing where that is so already.
base::Result<> ensure_serving_interface(const std::string& name, const std::vector<base::Prefix>& addresses);

// A missing device counts as removed.
base::Result<> remove_serving_interface(const std::string& name);

}  // namespace dhcp
