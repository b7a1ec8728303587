#include "model/decode/key.h"

#include <string>
#include <vector>

#include "model/decoder.h"

namespace model::decode {
namespace {

constexpr std::string_view kResources = "/calico/resources/v3/projectcalico.org/";
constexpr std::string_view kBlocks = "/calico/ipam/v2/assignment/";
constexpr std::string_view kHosts = "/calico/ipam/v2/host/";

struct ResourceKind {
  std::string_view plural;
  Kind kind;
  bool namespaced;
};

// In the order in which an agent wants its snapshot: what decides how to run, then what names refer to, then the many.
constexpr ResourceKind kResourceKinds[] = {
    {"clusterinformations", Kind::kClusterInformation, false},
    {"felixconfigurations", Kind::kFelixConfiguration, false},
    {"nodes", Kind::kNode, false},
    {"bgpconfigurations", Kind::kBgpConfiguration, false},
    {"bgppeers", Kind::kBgpPeer, false},
    {"bgpfilters", Kind::kBgpFilter, false},
    {"ippools", Kind::kIpPool, false},
    {"tiers", Kind::kTier, false},
    {"profiles", Kind::kProfile, false},
    {"globalnetworkpolicies", Kind::kGlobalNetworkPolicy, false},
    {"networkpolicies", Kind::kNetworkPolicy, true},
    {"stagedglobalnetworkpolicies", Kind::kStagedGlobalNetworkPolicy, false},
    {"stagednetworkpolicies", Kind::kStagedNetworkPolicy, true},
    {"globalnetworksets", Kind::kGlobalNetworkSet, false},
    {"networksets", Kind::kNetworkSet, true},
    {"hostendpoints", Kind::kHostEndpoint, false},
    {"workloadendpoints", Kind::kWorkloadEndpoint, true},
};

std::optional<Key> parse_resource(std::string_view rest) {
  const auto slash = rest.find('/');
  const std::string_view plural = rest.substr(0, slash);
  if (slash == std::string_view::npos) return std::nullopt;
  rest.remove_prefix(slash + 1);
  for (const ResourceKind& candidate : kResourceKinds) {
    if (candidate.plural != plural) continue;
    Key key{candidate.kind, {}, rest};
    if (candidate.namespaced) {
      const auto end = rest.find('/');
      if (end == std::string_view::npos || end == 0) return std::nullopt;
      key.ns = rest.substr(0, end);
      key.name = rest.substr(end + 1);
    }
    if (key.name.empty() || key.name.find('/') != std::string_view::npos) return std::nullopt;
    return key;
  }
  return std::nullopt;
}

// "ipv4/block/10.65.0.0-26": the CIDR. Nothing for anything else.
std::optional<std::string_view> block_name(std::string_view rest) {
  for (const std::string_view family : {"ipv4/block/", "ipv6/block/"}) {
    if (!rest.starts_with(family)) continue;
    const std::string_view name = rest.substr(family.size());
    if (!name.empty() && name.find('/') == std::string_view::npos) return name;
  }
  return std::nullopt;
}

std::optional<Key> parse_affinity(std::string_view rest) {
  const auto slash = rest.find('/');
  if (slash == std::string_view::npos || slash == 0) return std::nullopt;
  const auto name = block_name(rest.substr(slash + 1));
  if (!name) return std::nullopt;
  return Key{Kind::kBlockAffinity, rest.substr(0, slash), *name};
}

}  // namespace

std::optional<Key> parse_key(std::string_view key) {
  if (key.starts_with(kResources)) return parse_resource(key.substr(kResources.size()));
  if (key.starts_with(kHosts)) return parse_affinity(key.substr(kHosts.size()));
  if (!key.starts_with(kBlocks)) return std::nullopt;
  if (const auto name = block_name(key.substr(kBlocks.size()))) return Key{Kind::kIpamBlock, {}, *name};
  return std::nullopt;
}

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::kWorkloadEndpoint: return "WorkloadEndpoint";
    case Kind::kHostEndpoint: return "HostEndpoint";
    case Kind::kNetworkSet: return "NetworkSet";
    case Kind::kGlobalNetworkSet: return "GlobalNetworkSet";
    case Kind::kNetworkPolicy: return "NetworkPolicy";
    case Kind::kGlobalNetworkPolicy: return "GlobalNetworkPolicy";
    case Kind::kStagedNetworkPolicy: return "StagedNetworkPolicy";
    case Kind::kStagedGlobalNetworkPolicy: return "StagedGlobalNetworkPolicy";
    case Kind::kTier: return "Tier";
    case Kind::kProfile: return "Profile";
    case Kind::kIpPool: return "IPPool";
    case Kind::kNode: return "Node";
    case Kind::kFelixConfiguration: return "FelixConfiguration";
    case Kind::kClusterInformation: return "ClusterInformation";
    case Kind::kBgpConfiguration: return "BGPConfiguration";
    case Kind::kBgpPeer: return "BGPPeer";
    case Kind::kBgpFilter: return "BGPFilter";
    case Kind::kIpamBlock: return "IPAMBlock";
    case Kind::kBlockAffinity: return "BlockAffinity";
  }
  return "";
}

}  // namespace model::decode

namespace model {

std::vector<std::string> agent_prefixes(std::string_view node) {
  std::vector<std::string> prefixes;
  for (const decode::ResourceKind& kind : decode::kResourceKinds) {
    prefixes.push_back(std::string(decode::kResources).append(kind.plural).append("/"));
  }
  prefixes.emplace_back(decode::kBlocks);
  if (!node.empty()) prefixes.push_back(std::string(decode::kHosts).append(node).append("/"));
  return prefixes;
}

}  // namespace model
