// bird_report.h: BIRD's sessions and routes as `node status` and CalicoNodeStatus show them (spec bgp §5.4–§5.6, §8).
// Pure: replies in, values out; BIRD 1.6, 2 and 3.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "bgp/replies.h"

namespace node {

struct Session {
  std::string protocol;      // "Mesh_192_0_2_12"
  std::string address = {};  // of the neighbour; with ":port" if the protocol's name has one
  bool is_v4 = true;
  std::string state = {};  // "up", "start", …
  std::string since = {};
  std::string session = {};  // "Established", …
  std::string info = {};     // session and what BIRD adds
};

// "node-to-node mesh", "global", "node specific", "local workload" or "-".
std::string_view peer_type(const Session& session);
// "NodeMesh", "GlobalPeer", "NodePeer"; "" for other protocols, which the resource cannot carry.
std::string_view resource_peer_type(const Session& session);

// Every BGP protocol of a reply to `show protocols all`, in the daemon's order. A protocol that is down may have no
// address but that of its name.
std::vector<Session> parse_sessions(const bgp::Reply& reply);

struct Route {
  std::string destination;
  bool primary = false;
  std::string gateway = {};    // "" if there is none
  std::string interface = {};  // or "blackhole", "unreachable", "prohibit"
  std::string protocol = {};   // that it was learned by
};

// Every route of a reply to `show route all`.
std::vector<Route> parse_routes(const bgp::Reply& reply);

}  // namespace node
