// tunnel.h: what a tunnel must do besides carrying packets: say which size fits, and refuse packets from strangers.
#pragma once

#include <string>
#include <vector>

#include "lab/lab.h"

namespace lab {

// One ICMP echo of `bytes` (the IP packet), which may not be fragmented.
struct SizeReply {
  bool answered = false;
  int too_big = 0;               // the MTU that an ICMP error told; 0: none came
  base::IpAddress reporter;      // who sent that error
  bool refused_locally = false;  // larger than the sender's own interface takes
};
base::Result<SizeReply> probe_size(const Node& from, const base::IpAddress& target, int bytes, int timeout_ms);

// The same datagram to a guest, packed by hand into the tunnel's protocol, `copies` times.
struct Forgery {
  Encapsulation how = Encapsulation::kIpip;
  base::IpAddress outer_source;
  base::IpAddress outer_destination;
  base::MacAddress inner_destination_mac;  // VXLAN: of the receiving device
  base::IpAddress source;                  // IPv4
  base::IpAddress destination;
  std::uint16_t port = 0;
};
std::string forged_packet(const Forgery& forgery);
base::Result<> send_forged(const Node& from, const Forgery& forgery, int copies);

struct Finding {
  std::string what;
  std::string seen;
  bool good = false;
};
// Between the first guests of two hosts in different subnets. REQUIRES: the pool's mode has a tunnel between them.
//   - the largest packet that guests may send passes, one byte more is answered with an ICMP error that tells the right
//     size (IPv4, and IPv6 where the tunnel carries it). Which host answers depends on where it stops fitting: the
//     tunnel, or the tap behind it;
//   - a packet that a known host put into the tunnel arrives, the same from an address that is no host's does not.
base::Result<std::vector<Finding>> check_tunnel(Lab& lab);

}  // namespace lab
