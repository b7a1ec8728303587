// packet.h: walks one new packet through the filter table of a simulated host: enough of iptables to say whether a
// probe that must never pass would pass at this moment.
#pragma once

#include <string>

#include "kernel/ipset_fake.h"
#include "kernel/iptables_fake.h"

namespace sim {

struct Packet {
  std::string in, out;  // interfaces
  base::IpAddress source, destination;
  std::uint8_t protocol = 6;
  std::uint16_t port = 0;  // destination; the source port is some high one
};

// Whether the FORWARD chain accepts it. Aborts on a match that it does not know: extend it then.
bool forwarded(const Packet& packet, const kernel::FakeIptables& rules, const kernel::FakeIpSets& sets);

}  // namespace sim
