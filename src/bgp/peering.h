// peering.h: which BGP sessions this node has (spec bgp §2.7, §3.3). Pure and deterministic: sorted by protocol name.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "bgp/inputs.h"

namespace bgp {

enum class PeeringKind : std::uint8_t { kMesh, kGlobal, kNode };

// One session, completely decided: the generator only prints it. Every member prints as valid BIRD syntax.
struct Peering {
  std::string protocol;  // Mesh_…, Global_… or Node_…; status code recognises sessions by it
  PeeringKind kind = PeeringKind::kMesh;
  base::IpAddress address;
  std::optional<std::uint16_t> port;
  AsNumber as_number = 0;
  std::optional<AsNumber> local_as;
  std::optional<base::IpAddress> source;  // of the node, same family
  std::string password;                   // empty: none; otherwise safe between BIRD's quotes
  std::optional<std::chrono::seconds> restart_time;
  std::optional<std::chrono::seconds> keepalive;
  NextHopMode next_hop = NextHopMode::kAuto;
  int allowed_local_as = 0;
  int ttl_security = 0;
  bool passive = false;
  bool route_reflector_client = false;
  bool internal = false;     // peer AS equals the local AS of the session
  bool calico_node = false;  // the neighbour is a node of this cluster
  // Where routes of this session get their class (route_filters.cc): when they enter; and, of those that have none,
  // when they leave for it.
  bool classifies_in = false;
  bool classifies_out = false;
  bool asks_refresh = false;  // whether classifies_in holds depends on what the neighbour can do
  std::optional<base::IpAddress> reachable_by;
  std::vector<std::string> filters;  // BGPFilters in order; those that do not exist mean nothing
  friend bool operator==(const Peering&, const Peering&) = default;
};

// What this node is in BGP, from its Node resource or the local settings.
struct Identity {
  std::optional<base::Prefix> v4;
  std::optional<base::Prefix> v6;
  AsNumber as_number = kDefaultAs;
  std::string cluster_id;                    // as written; non-empty takes the node out of the mesh
  std::optional<std::uint16_t> listen_port;  // own value, else the global one
  const std::optional<base::Prefix>& address(base::Family family) const {
    return family == base::Family::kIpv4 ? v4 : v6;
  }
};

Identity identity(const Inputs& inputs);
std::vector<Peering> compute_peerings(const Inputs& inputs, Diagnostics& out);

// Text that can stand between BIRD's quotes, which know no escapes: no quote, no control character, at most 80 bytes
// (the kernel's limit for a TCP MD5 key).
bool is_usable_password(std::string_view text);

}  // namespace bgp
