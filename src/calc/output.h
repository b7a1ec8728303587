// output.h: what the calculation tells the data plane: only what this host needs, as values. Everything below this
// header (render, evaluator, plan, kernel) works from these types alone.
//
// Invariants a consumer may rely on (spec felix-agent §2.7): every set named by a rule, every policy and profile named
// by an endpoint exists in State after the same Changes were applied, and is removed only together with or after its
// last user.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/ip.h"
#include "base/symbol.h"
#include "model/endpoint.h"
#include "model/network.h"
#include "model/policy.h"
#include "model/update.h"

namespace calc {

using base::Symbol;

// Identity of an IP set: "s:…" (selector) or "n:…" (named port), spec datamodel §5.5. Kernel names are cut from it.
using SetId = std::string;

enum class SetType : std::uint8_t { kNet, kIpPort };

struct SetMember {
  base::Prefix prefix;        // a host prefix for kIpPort
  std::uint8_t protocol = 0;  // 6, 17, 132; 0 for kNet
  std::uint16_t port = 0;
  friend bool operator==(const SetMember&, const SetMember&) = default;
  friend auto operator<=>(const SetMember&, const SetMember&) = default;
};

struct IpSet {
  SetType type = SetType::kNet;
  std::vector<SetMember> members;  // sorted
  friend bool operator==(const IpSet&, const IpSet&) = default;
};

struct IpSetDelta {
  std::vector<SetMember> added;    // sorted, disjoint from removed
  std::vector<SetMember> removed;  // sorted
};

struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
  friend bool operator==(const PortRange&, const PortRange&) = default;
};

// One side of a rule with selectors and named ports turned into sets (spec felix-agent §3.5). Lists are alternatives,
// except `sets` and `not_sets`, which must all hold.
struct RuleSide {
  std::vector<base::Prefix> nets;
  std::vector<base::Prefix> not_nets;
  std::vector<PortRange> ports;  // together with port_sets: any of them
  std::vector<PortRange> not_ports;
  std::vector<SetId> sets;
  std::vector<SetId> not_sets;
  std::vector<SetId> port_sets;
  std::vector<SetId> not_port_sets;
  friend bool operator==(const RuleSide&, const RuleSide&) = default;
};

struct Rule {
  model::RuleAction action = model::RuleAction::kAllow;
  std::optional<base::Family> ip_version;
  std::optional<model::Protocol> protocol;
  std::optional<model::Protocol> not_protocol;
  std::optional<model::IcmpMatch> icmp;
  std::optional<model::IcmpMatch> not_icmp;
  RuleSide source;
  RuleSide destination;
  bool never_matches = false;                                    // a service match that this datastore cannot resolve
  std::vector<std::pair<std::string, std::string>> annotations;  // sorted by key
  friend bool operator==(const Rule&, const Rule&) = default;
};

struct ActivePolicy {
  Symbol tier;
  std::string selector;  // canonical, as matched against endpoints
  std::vector<Rule> ingress;
  std::vector<Rule> egress;
  bool untracked = false;
  bool pre_dnat = false;
  bool force_programmed = false;  // AssumeNeededOnEveryNode
  friend bool operator==(const ActivePolicy&, const ActivePolicy&) = default;
};

struct ActiveProfile {
  std::vector<Rule> ingress;
  std::vector<Rule> egress;
  friend bool operator==(const ActiveProfile&, const ActiveProfile&) = default;
};

// The policies of one tier that apply to one endpoint, in order. A tier without any is left out.
// Staged policies are listed, because the names of policy groups count them (spec dataplane §2.2), and are in
// State::policies with their selector but without rules: they are never programmed and need no sets.
struct TierPolicies {
  Symbol tier;
  model::TierAction default_action = model::TierAction::kDeny;
  std::vector<model::PolicyKey> ingress;
  std::vector<model::PolicyKey> egress;
  friend bool operator==(const TierPolicies&, const TierPolicies&) = default;
};

struct LocalWorkload {
  std::shared_ptr<const model::WorkloadInterface> interface;  // never null
  std::vector<Symbol> profiles;
  std::vector<TierPolicies> tiers;
  friend bool operator==(const LocalWorkload& a, const LocalWorkload& b) {
    return *a.interface == *b.interface && a.profiles == b.profiles && a.tiers == b.tiers;
  }
};

struct LocalHostEndpoint {
  std::string interface_name;
  std::vector<base::IpAddress> expected_addresses;
  std::vector<Symbol> profiles;
  std::vector<TierPolicies> tiers;
  std::vector<TierPolicies> untracked_tiers;
  std::vector<TierPolicies> pre_dnat_tiers;
  std::vector<TierPolicies> forward_tiers;
  std::optional<std::uint8_t> dscp;
  friend bool operator==(const LocalHostEndpoint&, const LocalHostEndpoint&) = default;
};

// Pools after conflict resolution, by CIDR.
struct Pool {
  model::EncapMode ipip = model::EncapMode::kNever;
  model::EncapMode vxlan = model::EncapMode::kNever;
  bool nat_outgoing = false;
  bool disabled = false;
  bool disable_bgp_export = false;
  friend bool operator==(const Pool&, const Pool&) = default;
};

// How guests of a pool reach each other (spec felix-agent §3.10).
enum class PoolKind : std::uint8_t { kNoEncap, kVxlan, kIpip };

// A destination inside a pool, and which host has it. Only what this host's routes need: addresses of its own guests
// are in `workloads`, and what no pool contains is no business of ours.
struct ClusterRoute {
  enum class Kind : std::uint8_t {
    kRemoteWorkload,  // a block or address of another host
    kRemoteTunnel,    // another host's tunnel address that no block of that host covers
    kLocalBlock,      // a block of this host: what has no route of its own in it is nowhere
  };
  Kind kind = Kind::kRemoteWorkload;
  PoolKind pool = PoolKind::kNoEncap;
  bool same_subnet = false;  // the pool says CrossSubnet, and the host is in this host's subnet
  Symbol node;
  std::optional<base::IpAddress> node_address;  // of the destination's family; nothing if the node has none
  friend bool operator==(const ClusterRoute&, const ClusterRoute&) = default;
  friend auto operator<=>(const ClusterRoute&, const ClusterRoute&) = default;  // some order, for pools of them
};

// Everything at one moment. Shared pointers let State and Changes share bulky parts; nothing behind them is ever
// changed.
struct State {
  std::map<SetId, IpSet> sets;
  std::map<model::PolicyKey, std::shared_ptr<const ActivePolicy>> policies;
  std::map<Symbol, std::shared_ptr<const ActiveProfile>> profiles;
  std::map<model::WorkloadEndpointKey, std::shared_ptr<const LocalWorkload>> workloads;
  std::map<model::HostEndpointKey, std::shared_ptr<const LocalHostEndpoint>> host_endpoints;
  std::map<base::Prefix, Pool> pools;
  std::map<Symbol, model::Node> nodes;
  std::map<base::Prefix, ClusterRoute> routes;  // empty unless the calculator was asked for them
  std::vector<base::Prefix> service_ranges;     // of BGPConfiguration "default", sorted
};

// The difference between two States. A key is in at most one of the updated/removed pair of its kind, and a set is in
// at most one of created, changed and removed.
struct Changes {
  std::map<SetId, IpSet> sets_created;  // complete membership; replaces a set of that id if there is one
  std::map<SetId, IpSetDelta> sets_changed;
  std::set<SetId> sets_removed;
  std::map<model::PolicyKey, std::shared_ptr<const ActivePolicy>> policies;
  std::set<model::PolicyKey> policies_removed;
  std::map<Symbol, std::shared_ptr<const ActiveProfile>> profiles;
  std::set<Symbol> profiles_removed;
  std::map<model::WorkloadEndpointKey, std::shared_ptr<const LocalWorkload>> workloads;
  std::set<model::WorkloadEndpointKey> workloads_removed;
  std::map<model::HostEndpointKey, std::shared_ptr<const LocalHostEndpoint>> host_endpoints;
  std::set<model::HostEndpointKey> host_endpoints_removed;
  std::map<base::Prefix, Pool> pools;
  std::set<base::Prefix> pools_removed;
  std::map<Symbol, model::Node> nodes;
  std::set<Symbol> nodes_removed;
  std::map<base::Prefix, ClusterRoute> routes;
  std::set<base::Prefix> routes_removed;
  std::optional<std::vector<base::Prefix>> service_ranges;  // all of them, if they changed

  bool empty() const;
};

// Snapshot and delta are different types on purpose: the first replaces everything (start-up, and the only permission
// to remove what an earlier run left in the kernel), the second is only valid on top of it.
struct Snapshot {
  Changes all;  // nothing in the *_removed members
};
struct Delta {
  Changes changes;
};
using Output = std::variant<Snapshot, Delta>;

// Contents, not pointers.
bool equal(const State& a, const State& b);

// Aborts if the changes do not fit the state (a delta for an unknown set). Removing what is not there is no error:
// folding leaves such removals behind for objects that came and went between two looks of the reader.
void apply(State& state, const Changes& changes);
// A snapshot replaces the state, a delta changes it.
void apply(State& state, const Output& output);
// Afterwards `pending` is what applying both in turn would have done. Used when the reader lags.
void fold(Changes& pending, Changes&& later);
// For Mailbox<Output, …>: a snapshot replaces what waits, a delta folds into it.
void fold(Output& pending, Output&& later);

}  // namespace calc
