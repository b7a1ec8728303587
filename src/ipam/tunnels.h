// tunnels.h: the addresses of a node's tunnel devices, taken from the pools whose traffic they carry (spec cli §12.6).
//
// Idempotent: an address that is the node's and lies in an eligible pool stays; anything else is put right, the Node is
// written once at the end, and what was assigned for nothing is given back. Run it at start and when a pool or the Node
// changes (tunnel_keeper.h does). Several processes may do so for one node at once: whoever finds that the Node's
// tunnel addresses are no longer those that it read begins again.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ipam/ipam.h"
#include "store/blocking.h"

namespace ipam {

struct TunnelKind {
  std::string_view name;  // "IPIP", for messages
  std::string_view handle_prefix;
  std::string_view type;  // attribute
  std::string_view path;  // of the Node's field
  base::Family family;
};
// In the order in which they are looked after. WireGuard is not among them: this release has none.
std::vector<TunnelKind> tunnel_kinds();

// The pools of which a node needs an address of this kind.
std::vector<Pool> tunnel_pools(std::span<const Pool> pools, const TunnelKind& kind, const LabelMap& node_labels);

struct TunnelChange {
  std::string name;    // of the kind
  std::string before;  // address in the Node, "" for none
  std::string after;
};

// Whether an address of this kind, which no pool needs any more, is to stay all the same. Every address is released if
// there is nobody to ask.
using KeepUnneeded = std::function<bool(std::string_view kind)>;

// kNotFound if there is no such Node, or no pool has an address left. Returns what is different now; empty: nothing was
// to do.
base::Result<std::vector<TunnelChange>> ensure_tunnel_addresses(Ipam& ipam, const std::string& node,
                                                                const KeepUnneeded& keep = {});

}  // namespace ipam
