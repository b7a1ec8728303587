// inputs.h: everything that decides what stands in a node's BIRD configuration. Values only; equal inputs give equal
// text.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
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
  std::string password;
  friend bool operator==(const LocalPeer&, const LocalPeer&) = default;
};

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
  std::string log_file;  // empty: syslog
  std::chrono::seconds recovery_wait = kDefaultRecoveryWait;
  friend bool operator==(const Settings&, const Settings&) = default;
};

struct Inputs {
  Settings settings;
  std::map<std::string, model::Node> nodes;
  std::map<std::string, Configuration> configurations;  // "default" and "node.<name>"
  std::map<std::string, Peer> peers;                    // by BGPPeer name, which makes the order of conflicts stable
  std::map<std::string, model::IpPool> pools;           // by IPPool name
  std::map<SecretRef, std::string> secrets;
};

}  // namespace bgp
