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
// every route. Memory: about 40 bytes a destination, and with kWorkloads 25 for each workload endpoint of the cluster
// (a cloud has fifty thousand): whatever follows from the node, as its address, is not kept with the destination.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <boost/container/small_vector.hpp>

#include "base/compact_map.h"
#include "calc/containers/compact_array.h"
#include "calc/output.h"
#include "calc/sets/set_index.h"
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

  // Workloads by the number that the set index has given them. Their resync is the set index's, too: what it erases
  // has to be erased here.
  void put(EndpointNumber number, const model::WorkloadEndpoint& endpoint);
  void erase(EndpointNumber number);
  void put(const model::IpamBlockKey& key, const model::IpamBlock& block);
  void erase(const model::IpamBlockKey& key);

  // Takes pools and nodes from what the network table has put into `changes`, and adds the routes.
  void collect(Changes& changes);

  void begin_resync() { ++generation_; }
  void keep(const model::IpamBlockKey& key);  // counts as put
  void end_resync();

 private:
  enum class ClaimKind : std::uint8_t { kWorkload, kIpipTunnel, kVxlanTunnel };
  struct Claim {
    Symbol node;
    ClaimKind kind = ClaimKind::kWorkload;
    std::uint32_t count = 0;
  };
  using Claims = boost::container::small_vector<Claim, 2>;  // by node, then kind
  // What has been said of a destination. The node's address is not kept: it is what nodes_ has, or had until this
  // collect().
  struct Announced {
    Symbol node;
    ClusterRoute::Kind kind{};
    PoolKind pool{};
    bool same_subnet = false;
    bool any = false;
    friend bool operator==(const Announced&, const Announced&) = default;
  };
  // A destination: a block, an address that somebody claims, or one of which something has been said. Nearly every
  // address has one claim, counted once.
  struct Site {
    Symbol claimed_by;
    ClaimKind claim_kind{};
    enum class Claimed : std::uint8_t { kNo, kOnce, kContested } claimed{};  // kContested: see contested_
    Announced announced;
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
  // One with addresses. The usual one has one of IPv4 and needs no allocation.
  struct Workload {
    Symbol node;
    std::uint32_t only_v4 = 0;  // unless there are others
    CompactArray<base::IpAddress> others;
  };
  struct Block {
    model::IpamBlock block;
    std::uint8_t generation = 0;
  };
  using Lengths = std::map<std::uint8_t, std::size_t, std::greater<>>;  // prefix lengths in use, longest first

  static NodeInfo info_of(const model::Node& node);
  bool is_local(Symbol node) const { return node.view() == hostname_; }
  void claim(const base::IpAddress& address, Symbol node, ClaimKind kind);
  void unclaim(const base::IpAddress& address, Symbol node, ClaimKind kind);
  template <typename Visitor>
  static void for_each_address(const Workload& workload, Visitor visit);
  Claims claims_of(const base::Prefix& prefix, const Site& site) const;
  void set_claims(const base::Prefix& prefix, Site& site, const Claims& claims);
  void take_pool(const base::Prefix& cidr, std::optional<PoolInfo> now);
  void take_node(Symbol name, NodeInfo now);
  void mark_inside(const base::Prefix& cidr);
  const PoolInfo* pool_of(const base::Prefix& prefix) const;
  const model::IpamBlock* block_at(const base::Prefix& prefix) const;  // null if there is none
  Symbol covering_block_node(const base::Prefix& prefix) const;
  std::optional<ClusterRoute> resolve(const base::Prefix& prefix, const Claims& claims) const;
  std::optional<ClusterRoute> resolve_claims(const base::Prefix& prefix, const Claims& claims, PoolKind pool) const;
  void announce(const base::Prefix& prefix, Changes& changes);

  const std::string hostname_;
  RouteSource source_;
  std::map<base::Prefix, PoolInfo> pools_;
  Lengths pool_lengths_;
  std::map<Symbol, NodeInfo> nodes_;
  NodeInfo self_;
  base::CompactMap<EndpointNumber, Workload> workloads_;
  std::map<model::IpamBlockKey, Block> blocks_;
  base::CompactMap<base::Prefix, Site> sites_;
  std::map<base::Prefix, Claims> contested_;
  Lengths block_lengths_;
  std::vector<base::Prefix> dirty_;                        // in any order, some more than once; each has a site
  std::set<std::pair<Symbol, base::Family>> readdressed_;  // nodes with another address since the last collect()
  std::uint8_t generation_ = 0;
};

}  // namespace calc
