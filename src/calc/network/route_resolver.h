// route_resolver.h: which host has each destination inside the pools, for hosts that route to guests themselves (VXLAN,
// ProgramClusterRoutes). Spec felix-agent §3.10.
//
// Two sources. kIpam: blocks lead to the host they are affine to, and single addresses that another host has borrowed
// to that one. kWorkloads: every address of every workload endpoint; blocks have no say. OpenStack allocates no blocks
// for guests, so it needs the latter. In both, the tunnel addresses of nodes take part.
//
// Decisions where upstream leaves us a choice or has a defect:
//   an address that a guest of this host has is never routed elsewhere, whoever else claims it: a route of ours to
//     another host has a better metric than the guest's own;
//   of several remote hosts that claim one address the smallest name wins;
//   a tunnel address that no block of its host covers gets a route of its own: without one, replies to a host's own
//     packets find no way back.
//
// Cost of a change: its own destinations, and those inside a pool that changes; for a node that moved, one look at
// every route. Memory: one entry a destination, and with kWorkloads one for each workload endpoint of the cluster.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "calc/output.h"
#include "model/update.h"

namespace calc {

enum class RouteSource : std::uint8_t { kNone, kIpam, kWorkloads };

class RouteResolver {
 public:
  RouteResolver(std::string hostname, RouteSource source) : hostname_(std::move(hostname)), source_(source) {}

  // Pools and nodes are known even with kNone; workloads and blocks have to be put again: a resync must follow, and
  // until its end routes may be missing.
  // REQUIRES: the source is kNone.
  void begin(RouteSource source);
  RouteSource source() const { return source_; }

  void put(const model::WorkloadEndpointKey& key, const model::WorkloadEndpoint& endpoint);
  void erase(const model::WorkloadEndpointKey& key);
  void put(const model::IpamBlockKey& key, const model::IpamBlock& block);
  void erase(const model::IpamBlockKey& key);

  // Takes pools and nodes from what the network table has put into `changes`, and adds the routes.
  void collect(Changes& changes);

  void begin_resync() { ++generation_; }
  void keep(const model::WorkloadEndpointKey& key) { keep_in(workloads_, key); }  // counts as put
  void keep(const model::IpamBlockKey& key) { keep_in(blocks_, key); }
  void end_resync();

 private:
  enum class ClaimKind : std::uint8_t { kWorkload, kIpipTunnel, kVxlanTunnel };
  struct Claim {
    Symbol node;
    ClaimKind kind = ClaimKind::kWorkload;
    std::uint32_t count = 0;
  };
  // A destination: a block, an address that somebody claims, or both.
  struct Site {
    Symbol block_node;  // empty: no block, or nobody's
    bool is_block = false;
    std::vector<Claim> claims;
  };
  struct PoolInfo {
    PoolKind kind = PoolKind::kNoEncap;
    bool cross_subnet = false;
    friend bool operator==(const PoolInfo&, const PoolInfo&) = default;
  };
  struct Place {  // of a node, one family
    std::optional<base::Prefix> subnet;
    std::optional<base::IpAddress> address;
    friend bool operator==(const Place&, const Place&) = default;
  };
  struct NodeInfo {
    Place v4, v6;
    std::vector<std::pair<base::IpAddress, ClaimKind>> tunnels;
    friend bool operator==(const NodeInfo&, const NodeInfo&) = default;
    const Place& of(base::Family family) const { return family == base::Family::kIpv4 ? v4 : v6; }
  };
  struct Workload {
    Symbol node;
    std::vector<base::IpAddress> addresses;
    std::uint8_t generation = 0;
  };
  struct Block {
    model::IpamBlock block;
    std::uint8_t generation = 0;
  };
  using Lengths = std::map<std::uint8_t, std::size_t, std::greater<>>;  // prefix lengths in use, longest first

  void keep_in(auto& table, const auto& key) const {
    if (const auto known = table.find(key); known != table.end()) known->second.generation = generation_;
  }
  static NodeInfo info_of(const model::Node& node);
  bool is_local(Symbol node) const { return node.view() == hostname_; }
  void claim(const base::IpAddress& address, Symbol node, ClaimKind kind);
  void unclaim(const base::IpAddress& address, Symbol node, ClaimKind kind);
  void drop_if_empty(const base::Prefix& prefix);
  void take_pool(const base::Prefix& cidr, std::optional<PoolInfo> now);
  void take_node(Symbol name, NodeInfo now);
  void mark_inside(const base::Prefix& cidr);
  const PoolInfo* pool_of(const base::Prefix& prefix) const;
  Symbol covering_block_node(const base::Prefix& prefix) const;
  std::optional<ClusterRoute> resolve(const base::Prefix& prefix) const;
  std::optional<ClusterRoute> resolve_claims(const base::Prefix& prefix, const Site& site, PoolKind pool) const;

  const std::string hostname_;
  RouteSource source_;
  std::map<base::Prefix, PoolInfo> pools_;
  Lengths pool_lengths_;
  std::map<Symbol, NodeInfo> nodes_;
  NodeInfo self_;
  std::map<model::WorkloadEndpointKey, Workload> workloads_;
  std::map<model::IpamBlockKey, Block> blocks_;
  std::map<base::Prefix, Site> sites_;
  Lengths block_lengths_;
  std::set<base::Prefix> dirty_;
  std::map<base::Prefix, ClusterRoute> announced_;
  std::uint8_t generation_ = 0;
};

}  // namespace calc
