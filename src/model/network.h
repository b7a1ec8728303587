// network.h: pools, nodes, IPAM blocks and BGP resources as the agent reads them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "base/symbol.h"
#include "model/labels.h"

namespace model {

enum class EncapMode : std::uint8_t { kNever, kAlways, kCrossSubnet };

struct IpPool {
  base::Prefix cidr;
  EncapMode ipip = EncapMode::kNever;
  EncapMode vxlan = EncapMode::kNever;
  bool nat_outgoing = false;
  bool disabled = false;
  bool disable_bgp_export = false;
  int block_size = 0;
  std::string node_selector;
  friend bool operator==(const IpPool&, const IpPool&) = default;
};

// Addresses keep their prefix length: it gives the host's subnet for cross-subnet decisions.
struct Node {
  bool has_bgp = false;
  std::optional<base::Prefix> bgp_ipv4;  // spec.bgp.ipv4Address, host bits kept
  std::optional<base::Prefix> bgp_ipv6;
  std::optional<std::uint32_t> as_number;
  std::string route_reflector_cluster_id;
  std::optional<base::IpAddress> ipip_tunnel;
  std::optional<base::IpAddress> vxlan_tunnel_v4;
  std::optional<base::IpAddress> vxlan_tunnel_v6;
  std::string vxlan_mac_v4;
  std::string vxlan_mac_v6;
  std::optional<base::IpAddress>
      host_ipv4;  // bgp address, else first InternalIP, else ExternalIP (spec felix-agent §1.6)
  std::optional<base::IpAddress> host_ipv6;
  // Of a node without labels both are empty, and selectors see it as one without labels. (Configurations that a node's
  // labels choose read them on their own: there a node without a label map matches nothing, spec felix-agent §2.)
  Labels labels;
  std::map<std::string, std::string> label_texts;
  friend bool operator==(const Node&, const Node&) = default;
};

struct IpamBlock {
  base::Prefix cidr;
  Symbol affinity_host;  // empty if none
  // Addresses that some other host than `affinity_host` has borrowed, in order, with that host.
  std::vector<std::pair<base::IpAddress, Symbol>> borrowed;
  friend bool operator==(const IpamBlock&, const IpamBlock&) = default;
};

}  // namespace model
