// reports.h: BIRD's longer answers, `show protocols all`, `show route all` (spec bgp §5.5, §5.6) and
// `show bfd sessions`, as values. Pure.
//
// One reading for BIRD 2 and 3, which differ in the names of attributes (BGP.next_hop, bgp_next_hop) and in what they
// add; and for the one-line routes of 1.6. Lines that nobody asked for are skipped, so a newer BIRD can say more.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "bgp/replies.h"

namespace bgp {

struct ChannelReport {
  std::string name;   // "ipv4", "ipv6"
  std::string state;  // "UP", "START", "DOWN"
  std::uint64_t imported = 0;
  std::uint64_t exported = 0;
  std::uint64_t preferred = 0;
  bool recovering = false;  // our own graceful restart
  friend bool operator==(const ChannelReport&, const ChannelReport&) = default;
};

struct ProtocolReport {
  ProtocolRow row;
  std::map<std::string, std::string> details;  // "Neighbor address" → "192.0.2.12"; of BGP's own part
  std::vector<ChannelReport> channels;
  std::string detail(const std::string& label) const;  // "" if BIRD did not say
  bool peer_refreshes = false;                         // it sends its routes once more when asked
  bool peer_restarting() const;                        // the peer's routes are kept although the session is down
};
std::vector<ProtocolReport> parse_protocol_reports(const Reply& reply);

struct NextHop {
  std::optional<base::IpAddress> gateway;  // nothing: directly on the interface
  std::string interface;
  bool onlink = false;
  friend bool operator==(const NextHop&, const NextHop&) = default;
};

struct RouteReport {
  std::string table;
  std::string destination;  // as BIRD prints it
  std::string type;         // "unicast", "blackhole", "unreachable", "prohibited"
  std::string protocol;
  std::optional<base::IpAddress> from;
  bool primary = false;
  bool unsynchronised = false;  // primary, but the kernel did not take it
  int preference = 0;
  std::vector<NextHop> next_hops;
  std::map<std::string, std::string> attributes;  // lower case, '.' as '_': "bgp_next_hop", "kernel_metric"
};
std::vector<RouteReport> parse_route_reports(const Reply& reply);

// Times as BIRD prints them: since when in the daemon's format, the others in seconds.
struct BfdReport {
  base::IpAddress address;
  std::string interface;  // "" for a session over several hops
  std::string state;      // "Up", "Down", "Init", "AdminDown"
  std::string since;
  std::string interval;  // of our packets
  std::string timeout;
  friend bool operator==(const BfdReport&, const BfdReport&) = default;
};
// The table of `show bfd sessions`, of all BFD protocols; with `all` BIRD prints something else.
std::vector<BfdReport> parse_bfd_reports(const Reply& reply);

}  // namespace bgp
