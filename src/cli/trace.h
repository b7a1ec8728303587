// trace.h: `percalectl trace FROM TO PROTO[/PORT]`: would this packet arrive, and which rule decides at either end?
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "calc/evaluator.h"
#include "model/resource.h"

namespace cli {

// "tcp/80", "udp/53", "icmp", "icmp/8", "132/5000", "47".
struct TraceProtocol {
  std::string name;  // as given, lower case
  std::uint8_t number = 0;
  bool is_icmp = false;               // the number depends on the family
  std::optional<std::uint16_t> port;  // of icmp: the type
};
base::Result<TraceProtocol> parse_trace_protocol(std::string_view text);

// One end of the packet.
struct TraceEnd {
  const model::Resource* endpoint =
      nullptr;                             // a WorkloadEndpoint or HostEndpoint; null: an address nobody protects here
  std::vector<base::IpAddress> addresses;  // at least one
};
// `word` is an address, "name" or "namespace/name". A name is that of the resource, its workload, its port or its
// interface.
base::Result<TraceEnd> find_trace_end(std::string_view word, const std::vector<model::Resource>& workloads,
                                      const std::vector<model::Resource>& hosts);

// REQUIRES: both ends have addresses. The first family both have, or the one asked for.
base::Result<calc::Packet> make_packet(const TraceEnd& from, const TraceEnd& to, const TraceProtocol& protocol,
                                       std::optional<base::Family> family, std::uint16_t source_port);

}  // namespace cli
