// resources.h: BGPConfiguration, BGPPeer and block affinities as the generator reads them (spec bgp §2.2, §2.3, §2.5,
// §2.10). Pure. BGPFilter has a header of its own, filter.h.
//
// The JSON is any JSON: other programs write these objects too. A field that cannot be read gives a Diagnostic. In a
// BGPConfiguration it then counts as unset; a BGPPeer with a bad field is left out whole, because half a session could
// have the wrong AS, the wrong source or no password.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/ip.h"
#include "model/update.h"

namespace bgp {

using AsNumber = std::uint32_t;
using Diagnostics = std::vector<model::Diagnostic>;

// A password lives elsewhere (spec §2.6); resources only name it.
struct SecretRef {
  std::string name;
  std::string key;
  friend bool operator==(const SecretRef&, const SecretRef&) = default;
  friend auto operator<=>(const SecretRef&, const SecretRef&) = default;
};

enum class Debug : std::uint8_t { kNone, kStates, kAll };
enum class BindMode : std::uint8_t { kNone, kNodeIp };
enum class NextHopMode : std::uint8_t { kAuto, kSelf, kKeep };

// Standard (two parts of 16 bits) or large (three of 32 bits).
struct Community {
  std::uint32_t a = 0;
  std::uint32_t b = 0;
  std::optional<std::uint32_t> c;
  friend bool operator==(const Community&, const Community&) = default;
  friend auto operator<=>(const Community&, const Community&) = default;
};

// Tags announced routes inside `cidr`; originates nothing. Sorted, without duplicates.
struct Advertisement {
  base::Prefix cidr;
  std::vector<Community> communities;
  friend bool operator==(const Advertisement&, const Advertisement&) = default;
};

// One BGPConfiguration. Unset members leave the choice to the global object, or to the default after that. Fields that
// mean something only cluster-wide are read from "default" alone, whatever other objects say (spec §2.2).
struct Configuration {
  std::optional<Debug> debug;
  std::optional<std::uint16_t> listen_port;
  std::optional<bool> mesh_enabled;
  std::optional<AsNumber> as_number;
  BindMode bind_mode = BindMode::kNone;
  std::vector<std::string> ignored_interfaces;  // each matches is_interface_pattern()
  std::optional<SecretRef> mesh_password;
  std::optional<std::chrono::seconds> mesh_restart_time;
  bool program_cluster_routes = true;
  std::uint32_t normal_priority_v4 = 1024;
  std::uint32_t normal_priority_v6 = 1024;
  std::optional<std::vector<Advertisement>> advertisements;  // of a node: in place of the global ones
  // Service ranges, masked. Without Kubernetes only the ranges themselves matter: nobody announces single services.
  std::vector<base::Prefix> cluster_ips;
  std::vector<base::Prefix> external_ips;
  std::vector<base::Prefix> load_balancer_ips;
  bool aggregate_load_balancers = true;
  friend bool operator==(const Configuration&, const Configuration&) = default;
};

struct Peer {
  std::string node;
  std::string node_selector;
  std::string peer_selector;
  std::optional<base::IpAddress> peer_ip;  // exactly one of peer_ip and peer_selector is set
  std::optional<std::uint16_t> peer_port;
  std::optional<AsNumber> as_number;  // 0 in the resource means unset
  std::optional<AsNumber> local_as;
  NextHopMode next_hop = NextHopMode::kAuto;
  bool keep_original_next_hop = false;
  bool source_is_node_address = true;
  std::optional<SecretRef> password;
  std::optional<std::chrono::seconds> restart_time;
  std::optional<std::chrono::seconds> keepalive;
  int allowed_local_as = 0;
  int ttl_security = 0;
  std::optional<base::IpAddress> reachable_by;
  std::vector<std::string> filters;  // names of BGPFilters, in the order in which they apply
  bool reverse_peering = true;
  friend bool operator==(const Peer&, const Peer&) = default;
};

Configuration parse_configuration(std::string_view name, const boost::json::object& resource, Diagnostics& out);
// Nothing if the object cannot be used; `out` says why.
std::optional<Peer> parse_peer(std::string_view name, const boost::json::object& resource, Diagnostics& out);

// Spec §2.10. Pending counts as absent; a block that is being given up is still not routed elsewhere, but no longer
// announced.
enum class BlockState : std::uint8_t { kConfirmed, kPendingDeletion };
std::optional<BlockState> parse_affinity(const boost::json::object& value);

// Usable as one part of a file's path below the secret directory.
bool is_secret_name(std::string_view part);

[[nodiscard]] base::Result<Community> parse_community(std::string_view text);  // "a:b" or "a:b:c"
std::string to_string(const Community& community);                             // BIRD's "(a, b)" or "(a, b, c)"

// Spec §2.3: a number, or a string "64512" or "hi.lo".
[[nodiscard]] base::Result<AsNumber> parse_as_number(const boost::json::value& value);
// "10s", "1m30s", "250ms": rounded to whole seconds.
[[nodiscard]] base::Result<std::chrono::seconds> parse_duration(std::string_view text);
// 1 to 15 of [a-zA-Z0-9_.*-], not "*": what may stand in a BIRD interface pattern without leaving its quotes.
bool is_interface_pattern(std::string_view text);
bool is_filter_pattern(std::string_view text);  // the same, or "*"

}  // namespace bgp
