// capture.h: what leaves the hosts' uplinks while guests talk: how many of their packets went plain, how many inside
// IP-in-IP or VXLAN, for each pair of hosts. This is what proves that a tunnel is used when, and only when, it should
// be.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "lab/lab.h"

namespace lab {

// Packets between the guests of two hosts, seen on the sender's uplink.
struct Direction {
  std::string from;  // host
  std::string to;
  base::Family family = base::Family::kIpv4;  // of the guests' packets
  friend auto operator<=>(const Direction&, const Direction&) = default;
};
using Travelled = std::array<std::uint64_t, 3>;  // by Encapsulation
using Sightings = std::map<Direction, Travelled>;

// The addresses inside, and how they travelled. Outer addresses are not told: a tunnel may leave by any of them.
struct Travelling {
  base::IpAddress source;
  base::IpAddress destination;
  Encapsulation how = Encapsulation::kDirect;
};
// Of one packet that begins with its IP header; nothing if it is cut short or of another kind.
std::optional<Travelling> dissect(std::span<const unsigned char> packet);

class UplinkCapture {
 public:
  // Counts from now on.
  static base::Result<UplinkCapture> start(const Lab& lab);
  // Everything since start() or the last read. Fails if the kernel had to leave out a packet.
  base::Result<Sightings> read();

 private:
  explicit UplinkCapture(const Plan& plan) : plan_(plan) {}

  const Plan& plan_;
  std::vector<std::pair<std::string, base::Fd>> sockets_;  // host, packet socket on its uplink
};

// One line for each pair of hosts whose packets travelled otherwise than the pool's mode asks for; empty: none did.
std::vector<std::string> wrong_travels(const Plan& plan, const Sightings& sightings);
std::string to_text(const Sightings& sightings);

}  // namespace lab
