// inputs.h: everything that decides what stands in a node's BIRD configuration. Values only; equal inputs give equal
// text.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ip.h"
#include "bgp/filter.h"
#include "bgp/resources.h"
#include "model/network.h"

namespace bgp {

constexpr AsNumber kDefaultAs = 64512;
// Long enough for every healthy peer's end-of-RIB; BIRD's own default of 240 s would hold back new guests for as long
// as one dead peer is configured (spec bgp §4.5).
constexpr std::chrono::seconds kDefaultRecoveryWait{60};

// Whether host routes of workload interfaces are announced although no IP pool covers them (spec §3.12).
enum class HostRouteRule : std::uint8_t { kAuto, kOn, kOff };  // kAuto: when there is no pool of that family

// A session given on the host itself, for clouds without BGPPeer resources.
struct LocalPeer {
  base::IpAddress address;
  AsNumber as_number = 0;
  std::optional<std::uint16_t> port;
  std::optional<SecretRef> password;
  friend bool operator==(const LocalPeer&, const LocalPeer&) = default;
};

// A range whose routes go through tunl0 although no IPPool says so, for clouds without IPPool resources (spec §3.12).
struct TunnelNetwork {
  base::Prefix cidr;
  model::EncapMode mode = model::EncapMode::kAlways;
  friend bool operator==(const TunnelNetwork&, const TunnelNetwork&) = default;
};

// Bidirectional forwarding detection, which no resource can ask for (spec §7.4). BIRD answers itself, so when BIRD
// stops, BFD does too: kGraceful then keeps the peer's routes for its restart time, kStrict withdraws them at once.
enum class BfdUse : std::uint8_t { kOff, kPeers, kAll };  // kPeers: all sessions but those of the mesh
enum class BfdLoss : std::uint8_t { kStrict, kGraceful };
struct Bfd {
  BfdUse use = BfdUse::kOff;
  BfdLoss loss = BfdLoss::kStrict;
  std::chrono::milliseconds interval{300};
  int multiplier = 3;
  friend bool operator==(const Bfd&, const Bfd&) = default;
};

// What the operator's own file can bring. With protocols of its own come routes that only the sessions' filters can
// classify (route_filters.cc); statements alone cost nothing.
enum class LocalFile : std::uint8_t { kNone, kStatements, kProtocols };

// The kernel's own IP-in-IP device, which exists as soon as the module is loaded.
inline constexpr std::string_view kTunnelDevice = "tunl0";

struct Settings {
  std::string node_name;
  std::string router_id;  // CALICO_ROUTER_ID: empty, "hash", or an IPv4 address
  // Used where the Node resource is missing or says nothing.
  std::optional<base::Prefix> address_v4;
  std::optional<base::Prefix> address_v6;
  std::optional<AsNumber> as_number;
  std::vector<LocalPeer> peers;
  HostRouteRule host_routes = HostRouteRule::kAuto;
  std::vector<std::string> workload_prefixes = {"cali", "tap"};
  std::vector<TunnelNetwork> tunnel_networks;
  Bfd bfd;
  std::string include_file;  // an operator's own statements at the end; empty: none
  std::string log_file;      // empty: syslog
  Diagnostics problems;      // of the settings themselves
  std::chrono::seconds recovery_wait = kDefaultRecoveryWait;
};

struct Inputs {
  Settings settings;
  std::map<std::string, model::Node> nodes;
  std::map<std::string, Configuration> configurations;  // "default" and "node.<name>"
  std::map<std::string, Peer> peers;                    // by BGPPeer name, which makes the order of conflicts stable
  std::map<std::string, model::IpPool> pools;           // by IPPool name
  Filters filters;
  std::map<base::Prefix, BlockState> blocks;  // this node's own
  std::map<SecretRef, std::string> secrets;
  bool tunnel_ready = true;                 // BIRD knows tunl0
  LocalFile local_file = LocalFile::kNone;  // settings.include_file, if it is there and was not refused
  std::set<std::string> can_refresh;        // routers' protocols that are known to send their routes again when asked
};

// True if a route of some pool goes through tunl0 on this host.
bool needs_tunnel(const Inputs& inputs);

}  // namespace bgp
