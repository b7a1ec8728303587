// objects.h: what the data plane must do, without saying how (design-nftables §6). Back ends turn these objects into
// chains (iptables) or elements (nftables); no chain, rule text or mark appears here.
//
//   Dispatch     interface → the endpoint that decides over its packets
//   Program      an endpoint's state and its two PolicyLists, derived on demand with policy_list()
//   PolicyList   tiers in order with their policies, then profiles: the decision of one endpoint in one direction and
//   stage Policy       the shared calc::ActivePolicy / ActiveProfile AddressSet   named sets of addresses; contents
//   pass through as changes and are not kept here (they are the bulk of the memory) NatMap       floating IPs
//
// ObjectBuilder is pure and incremental: apply(change) returns which objects changed, at a cost of the change, not of
// the state (rebuilding a NatMap or DscpMap, needed only when an endpoint with such a field changes, is linear in the
// endpoints).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/symbol.h"
#include "calc/output.h"
#include "model/endpoint.h"
#include "model/network.h"
#include "model/policy.h"
#include "render/settings.h"

namespace render {

using base::Family;
using base::Symbol;

inline constexpr std::array<Family, 2> kFamilies{Family::kIpv4, Family::kIpv6};
// One value per family, e.g. PerFamily<NatMap>.
template <typename T>
struct PerFamily {
  T v4{};
  T v6{};
  T& operator[](Family family) { return family == Family::kIpv4 ? v4 : v6; }
  const T& operator[](Family family) const { return family == Family::kIpv4 ? v4 : v6; }
  friend bool operator==(const PerFamily&, const PerFamily&) = default;
};

// Seen from the endpoint: ingress is what it receives.
enum class Direction : std::uint8_t { kIngress, kEgress };
// Where a host endpoint's policies act (spec §19.2). Workload endpoints know only kNormal.
enum class Stage : std::uint8_t { kNormal, kForward, kPreDnat, kUntracked };

// --- Programs
// ---------------------------------------------------------------------------------------------------------

struct TierStep {
  Symbol tier;
  model::TierAction default_action = model::TierAction::kDeny;
  std::vector<model::PolicyKey> policies;  // in order, never empty; staged ones included (they count in group names)
  friend bool operator==(const TierStep&, const TierStep&) = default;
};

struct PolicyList {
  Direction direction = Direction::kIngress;
  Stage stage = Stage::kNormal;
  std::vector<TierStep> tiers;   // only those with a policy in this direction
  std::vector<Symbol> profiles;  // kNormal only
  bool any_tier = false;         // a tier exists in this stage, perhaps with policies in the other direction only
  friend bool operator==(const PolicyList&, const PolicyList&) = default;
};

PolicyList policy_list(const calc::LocalWorkload& endpoint, Direction direction);
PolicyList policy_list(const calc::LocalHostEndpoint& endpoint, Stage stage, Direction direction);

// Limits of one direction from qosControls; 0 is no limit.
struct TrafficLimits {
  std::int64_t packet_rate = 0;
  std::int64_t packet_burst = 0;
  std::int64_t connections = 0;
};
TrafficLimits traffic_limits(const model::WorkloadInterface& interface, Direction direction);

struct WorkloadProgram {
  model::WorkloadEndpointKey key;
  std::shared_ptr<const calc::LocalWorkload> endpoint;
};

struct HostProgram {
  model::HostEndpointKey key;
  std::shared_ptr<const calc::LocalHostEndpoint> endpoint;
};

// --- Sets
// ---------------------------------------------------------------------------------------------------------------

// Ids of the sets the agent keeps itself (spec §14.1); all others are calc::SetId.
namespace own_set {
inline constexpr std::string_view kAllPools = "all-ipam-pools";
inline constexpr std::string_view kNatPools = "masq-ipam-pools";
inline constexpr std::string_view kAllHosts = "all-hosts-net";
inline constexpr std::string_view kVxlanHosts = "all-vxlan-net";
inline constexpr std::string_view kThisHost = "this-host";
inline constexpr std::string_view kDscpSources = "dscp-src-net";
}  // namespace own_set

enum class SetKind : std::uint8_t { kNet, kIp, kIpPort };  // hash:net, hash:ip, hash:ip,port

struct SetContent {
  SetKind kind = SetKind::kNet;
  std::vector<calc::SetMember> members;  // sorted, one family
  friend bool operator==(const SetContent&, const SetContent&) = default;
};

// Of one family. An id is in at most one of the three.
struct SetChanges {
  bool complete = false;                      // from a snapshot: `created` is every set wanted, any other is to go
  std::map<std::string, SetContent> created;  // complete membership; replaces a set of that id if there is one
  std::map<std::string, calc::IpSetDelta> changed;
  std::set<std::string> removed;  // only to be removed from the kernel after the rules that name it are gone
  bool empty() const { return created.empty() && changed.empty() && removed.empty(); }
};

// --- Host-wide objects
// ----------------------------------------------------------------------------------------------------

// Destination NAT to a floating IP's owner, and source NAT for a guest that talks to its own floating IP (spec §12).
struct NatMap {
  std::map<base::IpAddress, base::IpAddress> inbound;  // external → internal, the textually smallest claimant
  std::map<base::IpAddress, base::IpAddress> hairpin;  // internal → external, the textually smallest
  friend bool operator==(const NatMap&, const NatMap&) = default;
};

using DscpMap = std::map<base::IpAddress, std::uint8_t>;
using SpoofMap = std::map<std::string, std::vector<base::Prefix>>;  // interface → allowed extra sources, sorted

// A network interface that is not a workload's, with its local addresses. Comes from the interface monitor; interfaces
// matching InterfaceExclude are left out by it.
using HostInterfaces = std::map<std::string, std::set<base::IpAddress>>;

struct HostDispatch {
  std::map<std::string, HostProgram> by_interface;
  std::optional<HostProgram> wildcard;
};

// Which host endpoint governs which interface (spec §19.1). Pure.
HostDispatch resolve_host_endpoints(
    const std::map<model::HostEndpointKey, std::shared_ptr<const calc::LocalHostEndpoint>>& endpoints,
    const HostInterfaces& interfaces);

struct Objects {
  std::map<model::PolicyKey, std::shared_ptr<const calc::ActivePolicy>> policies;  // staged ones included
  std::map<Symbol, std::shared_ptr<const calc::ActiveProfile>> profiles;
  std::map<std::string, WorkloadProgram> workloads;  // by interface; shadowed endpoints (spec §16.7) are not here
  HostDispatch hosts;
  PerFamily<NatMap> nat;
  PerFamily<DscpMap> dscp;
  PerFamily<SpoofMap> spoof;
  PerFamily<bool> nat_outgoing;  // a pool of this family has NAT outgoing
  PerFamily<std::vector<base::Prefix>> service_ranges;
};

// Which of the Objects are new, different or gone: look them up to see which.
struct ObjectChanges {
  std::set<model::PolicyKey> policies;
  std::set<Symbol> profiles;
  std::set<std::string> workloads;  // interfaces
  std::set<std::string> hosts;      // interfaces
  bool host_wildcard = false;
  PerFamily<bool> nat;
  PerFamily<bool> dscp;
  PerFamily<bool> spoof;
  PerFamily<bool> nat_outgoing;
  PerFamily<bool> service_ranges;
  PerFamily<SetChanges> sets;
};

class ObjectBuilder {
 public:
  explicit ObjectBuilder(Settings settings);

  // Replaces everything that came from the datastore; host interfaces stay. The result names every object old and new,
  // and every set of the agent's own.
  ObjectChanges apply(const calc::Snapshot& snapshot);
  ObjectChanges apply(const calc::Delta& delta);
  ObjectChanges set_host_interfaces(HostInterfaces interfaces);
  // Only the sets that rules of tunnels name change.
  ObjectChanges set_tunnels(TunnelRules tunnels);

  const Objects& objects() const { return objects_; }
  const Settings& settings() const { return settings_; }

 private:
  using Workloads = std::map<model::WorkloadEndpointKey, std::shared_ptr<const calc::LocalWorkload>>;

  void apply_sets(const calc::Changes& changes, ObjectChanges& out) const;
  void apply_rules(const calc::Changes& changes, ObjectChanges& out);
  struct Touched {
    bool nat = false;
    bool dscp = false;
  };
  [[nodiscard]] Touched apply_workloads(const calc::Changes& changes, ObjectChanges& out);
  void replace_workload(const model::WorkloadEndpointKey& key, std::shared_ptr<const calc::LocalWorkload> endpoint,
                        ObjectChanges& out);
  void elect(const std::string& interface, ObjectChanges& out);
  void apply_hosts(ObjectChanges& out);
  void apply_network(const calc::Changes& changes, ObjectChanges& out);
  void rebuild_nat(ObjectChanges& out);
  void rebuild_dscp(ObjectChanges& out);
  void set_members(Family family, std::string_view id, SetKind kind, std::set<base::Prefix> members,
                   ObjectChanges& out);
  void drop_set(Family family, std::string_view id, ObjectChanges& out);
  void refresh_pool_sets(ObjectChanges& out);
  void refresh_host_sets(ObjectChanges& out);
  void refresh_this_host(ObjectChanges& out);

  Settings settings_;
  Objects objects_;
  Workloads workloads_;
  std::map<std::string, std::set<model::WorkloadEndpointKey>> claims_;  // interface → endpoints that name it
  std::map<model::HostEndpointKey, std::shared_ptr<const calc::LocalHostEndpoint>> host_endpoints_;
  HostInterfaces host_interfaces_;
  std::map<base::Prefix, calc::Pool> pools_;
  struct NodeAddresses {
    std::optional<base::IpAddress> v4, v6;
    bool vxlan_v4 = false, vxlan_v6 = false;
    friend bool operator==(const NodeAddresses&, const NodeAddresses&) = default;
  };
  std::map<Symbol, NodeAddresses> nodes_;
  // Members of the agent's own sets as last announced, to send deltas.
  PerFamily<std::map<std::string, std::set<base::Prefix>, std::less<>>> own_sets_;
};

}  // namespace render
