#include "ipam/tunnels.h"

#include <algorithm>
#include <utility>

#include "model/kinds/kinds.h"
#include "model/resource.h"

namespace ipam {

using base::Error;
using base::ErrorKind;

namespace {

constexpr int kNodeTries = 5;   // writes of the Node that others were faster with
constexpr int kWholeTries = 5;  // when somebody else changed the node's tunnel addresses meanwhile

bool encapsulates(const Pool& pool, const TunnelKind& kind) {
  const std::string& mode = kind.name == "IPIP" ? pool.ipip_mode : pool.vxlan_mode;
  return mode == "Always" || mode == "CrossSubnet";
}

// One kind of address of one node.
class TunnelAddress {
 public:
  // `all`: every pool there is; `pools`: those of which the node needs an address.
  TunnelAddress(Ipam& ipam, const TunnelKind& kind, std::string node, std::span<const Pool> all,
                std::vector<Pool> pools)
      : ipam_(ipam),
        kind_(kind),
        node_(std::move(node)),
        handle_(std::string(kind.handle_prefix) + node_),
        all_(all),
        pools_(std::move(pools)) {}

  // The address the node should have, "" for none. `fresh` tells whether it was assigned just now.
  base::Result<std::string> ensure(const std::string& current, const KeepUnneeded& keep, bool& fresh) {
    fresh = false;
    const auto address = base::parse_address(current);
    if (pools_.empty() && address && keep && keep(kind_.name)) return current;
    if (pools_.empty()) return none(address ? std::optional(*address) : std::nullopt);
    if (!address) return replace(fresh);
    if (pool_containing(all_, base::Prefix::host(*address)) == nullptr) {
      // Its pool has been deleted. Looking for its block means reading all of them, so only without the handle.
      const auto released = release();
      if (!released) return base::fail(released.error());
      if (*released) return assign(fresh);
    }
    auto there = ipam_.block_of(*address);
    if (!there) return base::fail(there.error());
    const auto owner = *there ? (*there)->block.owner_of(*address) : std::nullopt;
    if (!owner) return take_up(*address, fresh);
    if (is_ours(*owner)) {
      if (pool_containing(pools_, base::Prefix::host(*address)) != nullptr) return current;
      auto moved = replace(fresh);
      // Not found by the handle, if that had been lost.
      const Release old{.address = *address, .handle = owner->handle_text()};
      if (moved) (void)ipam_.release(std::span(&old, 1));
      return moved;
    }
    const bool nobody = !owner->handle && (!owner->attributes || owner->attributes->empty());
    if (!nobody) return assign(fresh);  // somebody else's: not ours to release
    return adopt(*address, fresh);
  }

  const std::string& handle() const { return handle_; }

  // Whether the handle was there.
  base::Result<bool> release() {
    const auto released = ipam_.release_by_handle(handle_);
    if (released) return true;
    if (released.error().kind() == ErrorKind::kNotFound) return false;
    return base::fail(released.error());
  }

 private:
  base::Result<std::string> none(const std::optional<base::IpAddress>& current) {
    const auto by_handle = release();
    // A node that may not touch IPAM has nothing of it, and needs nothing.
    if (!by_handle && !current && by_handle.error().kind() == ErrorKind::kDenied) return std::string();
    if (!by_handle) return base::fail(by_handle.error());
    if (!current || *by_handle) return std::string();
    const auto there = ipam_.block_of(*current);
    if (!there) return base::fail(there.error());
    const auto owner = *there ? (*there)->block.owner_of(*current) : std::nullopt;
    if (owner && is_ours(*owner)) {  // not found by the handle, which had been lost
      const Release old{.address = *current};
      if (const auto released = ipam_.release(std::span(&old, 1)); !released) return base::fail(released.error());
    }
    return std::string();
  }

  bool is_ours(const Owner& owner) const {
    if (!owner.attributes) return false;
    const auto is = [&](std::string_view name, std::string_view value) {
      const auto found = owner.attributes->find(std::string(name));
      return found != owner.attributes->end() && found->second == value;
    };
    return is("node", node_) && is("type", kind_.type);
  }

  Attributes attributes() const { return {{"node", node_}, {"type", std::string(kind_.type)}}; }

  base::Result<std::string> replace(bool& fresh) {
    if (auto released = release(); !released) return base::fail(released.error());
    return assign(fresh);
  }

  // In the Node, but free: written by hand, or IPAM's keys were lost. Upstream assigns another; who wrote it, and every
  // filter that knows it, is better served by the same.
  base::Result<std::string> take_up(const base::IpAddress& address, bool& fresh) {
    if (auto released = release(); !released) return base::fail(released.error());
    if (pool_containing(pools_, base::Prefix::host(address)) == nullptr) return assign(fresh);
    return assign_this(address, fresh);
  }

  base::Result<std::string> assign(bool& fresh) {
    std::vector<base::Prefix> cidrs;
    for (const Pool& pool : pools_) cidrs.push_back(pool.cidr);
    const auto assigned = ipam_.auto_assign({.host = node_,
                                             .use = Use::kTunnel,
                                             .family = kind_.family,
                                             .count = 1,
                                             .handle = handle_,
                                             .attributes = attributes(),
                                             .pools = cidrs});
    if (!assigned) return base::fail(assigned.error());
    if (assigned->addresses.empty()) {
      return base::fail(assigned->shortfall.value_or(Error::not_found("no address left"))
                            .in(std::string(kind_.name) + " tunnel address"));
    }
    fresh = true;
    return base::to_string(assigned->addresses.front());
  }

  // Allocations of very old releases carry neither handle nor attributes.
  base::Result<std::string> adopt(const base::IpAddress& address, bool& fresh) {
    const Release release{.address = address};
    const auto released = ipam_.release(std::span(&release, 1));
    if (!released) return base::fail(released.error());
    return assign_this(address, fresh);
  }

  // Or another, if somebody was faster.
  base::Result<std::string> assign_this(const base::IpAddress& address, bool& fresh) {
    const auto taken =
        ipam_.assign_address({.address = address, .host = node_, .handle = handle_, .attributes = attributes()});
    if (!taken && taken.error().kind() == ErrorKind::kUnavailable) return base::fail(taken.error());
    if (!taken) return assign(fresh);
    fresh = true;
    return base::to_string(address);
  }

  Ipam& ipam_;
  const TunnelKind& kind_;
  const std::string node_;
  const std::string handle_;
  const std::span<const Pool> all_;
  const std::vector<Pool> pools_;
};

// An emptied `bgp` becomes absent.
void set_field(model::Resource& node, std::string_view path, const std::string& value) {
  constexpr std::string_view kBgp = "bgp.";
  boost::json::object& spec = node.spec();
  if (!path.starts_with(kBgp)) {
    if (value.empty()) {
      spec.erase(path);
    } else {
      spec[path] = value;
    }
    return;
  }
  boost::json::value& bgp = spec["bgp"];
  if (!bgp.is_object()) bgp.emplace_object();
  boost::json::object& members = bgp.get_object();
  const std::string_view member = path.substr(kBgp.size());
  if (value.empty()) {
    members.erase(member);
  } else {
    members[member] = value;
  }
  if (members.empty()) spec.erase("bgp");
}

base::Result<std::optional<store::KeyValue>> read_node(Ipam& ipam, const std::string& node) {
  auto item = ipam.access().get(model::resource_key(model::kinds::kNode, {}, node));
  if (!item) return item;
  if (!*item) return base::fail(Error::not_found("resource does not exist: Node(" + node + ") with error: <nil>"));
  return item;
}

enum class NodeWrite {
  kDone,
  kOvertaken,  // somebody else has changed the addresses: what was decided may be wrong now
};

std::string address_in(const model::Resource& node, std::string_view kind_name) {
  const auto kinds = tunnel_kinds();
  return std::string(model::text_of(node.spec(), std::ranges::find(kinds, kind_name, &TunnelKind::name)->path));
}

// Others write the Node too: only our fields are changed, on whatever is there.
base::Result<NodeWrite> write_node(Ipam& ipam, const std::string& node, std::span<const TunnelChange> changes) {
  const auto kinds = tunnel_kinds();
  Backoff backoff(ipam.access().sources());
  for (int i = 0; i < kNodeTries; ++i) {
    const auto item = read_node(ipam, node);
    if (!item) return base::fail(item.error());
    auto resource = model::decode_stored(model::kinds::kNode, (*item)->value);
    if (!resource) return base::fail(resource.error());
    bool written = true;
    for (const TunnelChange& change : changes) {
      const std::string now = address_in(*resource, change.name);
      if (now == change.after) continue;  // by an earlier try whose answer was lost
      if (now != change.before) return NodeWrite::kOvertaken;
      const auto kind = std::ranges::find(kinds, std::string_view(change.name), &TunnelKind::name);
      set_field(*resource, kind->path, change.after);
      written = false;
    }
    if (written) return NodeWrite::kDone;
    const auto update = ipam.access().update((*item)->key, model::encode_stored(*resource), (*item)->mod_revision);
    if (!update) return base::fail(update.error());
    if (update->outcome == Written::kDone) return NodeWrite::kDone;
    backoff.wait();
  }
  return base::fail(Error(ErrorKind::kConflict, "update conflict: Node(" + node + ")"));
}

// What was assigned for a Node that could not be written, unless another process for this node, which uses the same
// handle, has put it there.
void give_back(Ipam& ipam, const std::string& node, std::vector<Release> fresh) {
  if (fresh.empty()) return;
  if (const auto item = read_node(ipam, node)) {
    if (const auto resource = model::decode_stored(model::kinds::kNode, (*item)->value)) {
      std::erase_if(fresh, [&](const Release& release) {
        return std::ranges::any_of(tunnel_kinds(), [&](const TunnelKind& kind) {
          return model::text_of(resource->spec(), kind.path) == base::to_string(release.address);
        });
      });
    }
  }
  (void)ipam.release(fresh);
}

struct Outcome {
  NodeWrite written = NodeWrite::kDone;
  std::vector<TunnelChange> changes;
};

base::Result<Outcome> ensure_once(Ipam& ipam, const std::string& node, const KeepUnneeded& keep) {
  const auto item = read_node(ipam, node);
  if (!item) return base::fail(item.error());
  const auto resource = model::decode_stored(model::kinds::kNode, (*item)->value);
  if (!resource) return base::fail(resource.error());
  const auto pools = ipam.pools();
  if (!pools) return base::fail(pools.error());
  Outcome outcome;
  std::vector<Release> fresh_ones;
  base::Result<void> failed;
  for (const TunnelKind& kind : tunnel_kinds()) {
    TunnelAddress tunnel(ipam, kind, node, *pools, tunnel_pools(*pools, kind, labels_of(*resource)));
    const std::string before(model::text_of(resource->spec(), kind.path));
    bool fresh = false;
    const auto after = tunnel.ensure(before, keep, fresh);
    if (!after) {
      failed = base::fail(after.error());
      break;
    }
    if (fresh) fresh_ones.push_back({.address = *base::parse_address(*after), .handle = tunnel.handle()});
    if (*after != before) outcome.changes.push_back({std::string(kind.name), before, *after});
  }
  if (failed && !outcome.changes.empty()) {
    const auto written = write_node(ipam, node, outcome.changes);
    if (!written) failed = base::fail(written.error());
    if (written) outcome.written = *written;
  }
  // Without the Node nobody would know of them. If the datastore is away, whether the Node has them is not known; the
  // handle leads to them the next time.
  const bool unwritten =
      failed ? outcome.written == NodeWrite::kOvertaken : failed.error().kind() != ErrorKind::kUnavailable;
  if (unwritten) give_back(ipam, node, std::move(fresh_ones));
  if (!failed) return base::fail(failed.error());
  return outcome;
}

}  // namespace

std::vector<TunnelKind> tunnel_kinds() {
  using base::Family;
  return {
      {"IPIP", "ipip-tunnel-addr-", "ipipTunnelAddress", "bgp.ipv4IPIPTunnelAddr", Family::kIpv4},
      {"VXLAN", "vxlan-tunnel-addr-", "vxlanTunnelAddress", "ipv4VXLANTunnelAddr", Family::kIpv4},
      {"VXLAN IPv6", "vxlan-v6-tunnel-addr-", "vxlanV6TunnelAddress", "ipv6VXLANTunnelAddr", Family::kIpv6},
  };
}

std::vector<Pool> tunnel_pools(std::span<const Pool> pools, const TunnelKind& kind, const LabelMap& node_labels) {
  std::vector<Pool> chosen;
  std::ranges::copy_if(pools, std::back_inserter(chosen), [&](const Pool& pool) {
    return pool.enabled() && pool.cidr.family() == kind.family && encapsulates(pool, kind) &&
           pool.allows(Use::kTunnel) && selects(pool.node_selector, node_labels);
  });
  return chosen;
}

base::Result<std::vector<TunnelChange>> ensure_tunnel_addresses(Ipam& ipam, const std::string& node,
                                                                const KeepUnneeded& keep) {
  Backoff backoff(ipam.access().sources());
  for (int i = 0; i < kWholeTries; ++i) {
    auto outcome = ensure_once(ipam, node, keep);
    if (!outcome) return base::fail(outcome.error());
    if (outcome->written == NodeWrite::kDone) return std::move(outcome->changes);
    backoff.wait();
  }
  return base::fail(Error(ErrorKind::kConflict, "update conflict: Node(" + node + ")"));
}

}  // namespace ipam
