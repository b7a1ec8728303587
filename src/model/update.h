// update.h: what the datastore tells the agent, one resource at a time, decoded and validated.
//
// A value that is absent means "not there": deleted, unparsable or refused by validation (spec datamodel §6.1, §6.8).
// The decoder reports why as a Diagnostic; the calculation only ever sees good values.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/symbol.h"
#include "model/endpoint.h"
#include "model/network.h"
#include "model/policy.h"
#include "model/selector.h"

namespace model {

// One sentence for the operator about one object: what is wrong with which field, and what to do.
struct Diagnostic {
  std::string object;  // "NetworkPolicy(openstack/ossg.default.x)" or the etcd key if nothing better is known
  std::string field;   // "spec.ingress[0].protocol", may be empty
  std::string text;    // what is wrong, what happens now, what to do
  friend bool operator==(const Diagnostic&, const Diagnostic&) = default;
};
std::string to_string(const Diagnostic& diagnostic);

template <typename K, typename V>
struct Change {
  using Key = K;
  using Value = V;
  K key;
  std::optional<V> value;
};

struct TierKey {
  Symbol name;
  friend bool operator==(const TierKey&, const TierKey&) = default;
  friend auto operator<=>(const TierKey&, const TierKey&) = default;
};
struct ProfileKey {
  Symbol name;
  friend bool operator==(const ProfileKey&, const ProfileKey&) = default;
  friend auto operator<=>(const ProfileKey&, const ProfileKey&) = default;
};
struct IpPoolKey {
  std::string name;  // two pools of one CIDR: the lowest name is active (spec datamodel §6.4)
  friend bool operator==(const IpPoolKey&, const IpPoolKey&) = default;
  friend auto operator<=>(const IpPoolKey&, const IpPoolKey&) = default;
};
struct NodeKey {
  Symbol name;
  friend bool operator==(const NodeKey&, const NodeKey&) = default;
  friend auto operator<=>(const NodeKey&, const NodeKey&) = default;
};
struct IpamBlockKey {
  base::Prefix cidr;
  friend bool operator==(const IpamBlockKey&, const IpamBlockKey&) = default;
  friend auto operator<=>(const IpamBlockKey&, const IpamBlockKey&) = default;
};

// Resources whose meaning belongs to one consumer (configuration, BGP) travel as the JSON they are.
enum class DocumentKind : std::uint8_t {
  kFelixConfiguration,
  kClusterInformation,
  kBgpConfiguration,
  kBgpPeer,
  kBgpFilter,
  kBlockAffinity,  // of this node only; the name is the block's CIDR
  kNode
};
struct DocumentKey {
  DocumentKind kind{};
  std::string name;
  friend bool operator==(const DocumentKey&, const DocumentKey&) = default;
  friend auto operator<=>(const DocumentKey&, const DocumentKey&) = default;
};
using Document = std::shared_ptr<const boost::json::object>;  // the whole resource: kind, apiVersion, metadata, spec

using WorkloadEndpointChange = Change<WorkloadEndpointKey, WorkloadEndpoint>;
using HostEndpointChange = Change<HostEndpointKey, HostEndpoint>;
using NetworkSetChange = Change<NetworkSetKey, NetworkSet>;
using PolicyChange = Change<PolicyKey, Policy>;
using TierChange = Change<TierKey, Tier>;
using ProfileChange = Change<ProfileKey, Profile>;
using IpPoolChange = Change<IpPoolKey, IpPool>;
using NodeChange = Change<NodeKey, Node>;
using IpamBlockChange = Change<IpamBlockKey, IpamBlock>;
using DocumentChange = Change<DocumentKey, Document>;

using Update = std::variant<WorkloadEndpointChange, HostEndpointChange, NetworkSetChange, PolicyChange, TierChange,
                            ProfileChange, IpPoolChange, NodeChange, IpamBlockChange, DocumentChange>;

}  // namespace model
