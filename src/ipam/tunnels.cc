#include "ipam/tunnels.h"

#include <algorithm>
#include <utility>

#include "model/kinds/kinds.h"
#include "model/resource.h"

namespace ipam {

using base::Error;
using base::ErrorKind;

namespace {

constexpr int kNodeTries = 5;

bool encapsulates(const Pool& pool, const TunnelKind& kind) {
  const std::string& mode = kind.name == "IPIP" ? pool.ipip_mode : pool.vxlan_mode;
  return mode == "Always" || mode == "CrossSubnet";
}

// One kind of address of one node.
class TunnelAddress {
 public:
  TunnelAddress(Ipam& ipam, const TunnelKind& kind, std::string node, std::vector<Pool> pools)
      : ipam_(ipam),
        kind_(kind),
        node_(std::move(node)),
        handle_(std::string(kind.handle_prefix) + node_),
        pools_(std::move(pools)) {}

  // The address the node should have, "" for none. `fresh` tells whether it was assigned just now.
  base::Result<std::string> ensure(const std::string& current, bool& fresh) {
    fresh = false;
    const auto address = base::parse_address(current);
    if (pools_.empty()) return none(address ? std::optional(*address) : std::nullopt);
    if (!address) return replace(fresh);
    auto there = ipam_.block_of(*address);
    if (!there) return base::fail(there.error());
    const auto owner = *there ? (*there)->block.owner_of(*address) : std::nullopt;
    if (!owner) return replace(fresh);
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

  base::Result<void> release() {
    const auto released = ipam_.release_by_handle(handle_);
    if (!released && released.error().kind() != ErrorKind::kNotFound) return base::fail(released.error());
    return {};
  }

 private:
  base::Result<std::string> none(const std::optional<base::IpAddress>& current) {
    if (auto released = release(); !released) return base::fail(released.error());
    if (!current) return std::string();
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
    const auto taken =
        ipam_.assign_address({.address = address, .host = node_, .handle = handle_, .attributes = attributes()});
    if (taken) {
      fresh = true;
      return base::to_string(address);
    }
    return assign(fresh);
  }

  Ipam& ipam_;
  const TunnelKind& kind_;
  const std::string node_;
  const std::string handle_;
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

// Others write the Node too: only our fields are changed, on whatever is there.
base::Result<void> write_node(Ipam& ipam, const std::string& node, std::span<const TunnelChange> changes) {
  const auto kinds = tunnel_kinds();
  Backoff backoff(ipam.access().sources());
  for (int i = 0; i < kNodeTries; ++i) {
    const auto item = read_node(ipam, node);
    if (!item) return base::fail(item.error());
    auto resource = model::decode_stored(model::kinds::kNode, (*item)->value);
    if (!resource) return base::fail(resource.error());
    for (const TunnelChange& change : changes) {
      const auto kind = std::ranges::find(kinds, std::string_view(change.name), &TunnelKind::name);
      set_field(*resource, kind->path, change.after);
    }
    const auto written = ipam.access().update((*item)->key, model::encode_stored(*resource), (*item)->mod_revision);
    if (!written) return base::fail(written.error());
    if (written->outcome == Written::kDone) return {};
    backoff.wait();
  }
  return base::fail(Error(ErrorKind::kConflict, "update conflict: Node(" + node + ")"));
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

base::Result<std::vector<TunnelChange>> ensure_tunnel_addresses(Ipam& ipam, const std::string& node) {
  const auto item = read_node(ipam, node);
  if (!item) return base::fail(item.error());
  const auto resource = model::decode_stored(model::kinds::kNode, (*item)->value);
  if (!resource) return base::fail(resource.error());
  const auto pools = ipam.pools();
  if (!pools) return base::fail(pools.error());
  std::vector<TunnelChange> changes;
  std::vector<Release> fresh_ones;
  base::Result<void> failed;
  for (const TunnelKind& kind : tunnel_kinds()) {
    TunnelAddress tunnel(ipam, kind, node, tunnel_pools(*pools, kind, labels_of(*resource)));
    const std::string before(model::text_of(resource->spec(), kind.path));
    bool fresh = false;
    const auto after = tunnel.ensure(before, fresh);
    if (!after) {
      failed = base::fail(after.error());
      break;
    }
    if (fresh) fresh_ones.push_back({.address = *base::parse_address(*after)});
    if (*after != before) changes.push_back({std::string(kind.name), before, *after});
  }
  if (failed && !changes.empty()) failed = write_node(ipam, node, changes);
  if (failed) return changes;
  // Without the Node nobody would know of them.
  if (!fresh_ones.empty()) (void)ipam.release(fresh_ones);
  return base::fail(failed.error());
}

}  // namespace ipam
