// key.h: etcd keys of what an agent reads (spec datamodel §1.2–1.4).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace model::decode {

// Not read: StagedKubernetesNetworkPolicy (staged policies are never enforced, and this kind is Kubernetes' own),
// LiveMigration and everything that only other programs use.
enum class Kind : std::uint8_t {
  kWorkloadEndpoint,
  kHostEndpoint,
  kNetworkSet,
  kGlobalNetworkSet,
  kNetworkPolicy,
  kGlobalNetworkPolicy,
  kStagedNetworkPolicy,
  kStagedGlobalNetworkPolicy,
  kTier,
  kProfile,
  kIpPool,
  kNode,
  kFelixConfiguration,
  kClusterInformation,
  kBgpConfiguration,
  kBgpPeer,
  kBgpFilter,
  kIpamBlock,
  kBlockAffinity,
};

struct Key {
  Kind kind{};
  std::string_view ns;    // empty for global kinds; of a block affinity: its host
  std::string_view name;  // of an IPAM block or block affinity: its CIDR with '-' for '/'
};

// Views into `key`. Nothing if the key is none of ours or has a level too many or too few.
std::optional<Key> parse_key(std::string_view key);

std::string_view kind_name(Kind kind);  // "WorkloadEndpoint"

}  // namespace model::decode
