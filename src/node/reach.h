// reach.h: whether another host can be reached in the ways that Calico needs. Sends packets to that host only.
#pragma once

#include "base/ip.h"
#include "node/prober.h"

namespace node {

// Waits at most three seconds.
Reach connect_tcp(const base::IpAddress& address, int port);

// An ICMP echo request from us to the host, wrapped in an IP-in-IP packet from us to the host: kOpen when the reply
// comes, kRefused when the host or something before it says that it does not take protocol 4. Needs root (else
// kSilent). Waits at most two seconds. IPv4 only.
Reach echo_through_ipip(const base::IpAddress& address);

}  // namespace node
