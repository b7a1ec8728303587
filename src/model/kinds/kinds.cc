#include "model/kinds/kinds.h"

#include <algorithm>
#include <array>

#include "base/strings.h"

namespace model {
namespace {

// Sorted by name. A new kind is its own file in this folder and a line here.
constexpr std::array kKinds = {
    &kinds::kBgpConfiguration,
    &kinds::kBgpFilter,
    &kinds::kBgpPeer,
    &kinds::kBlockAffinity,
    &kinds::kCalicoNodeStatus,
    &kinds::kClusterInformation,
    &kinds::kFelixConfiguration,
    &kinds::kGlobalNetworkPolicy,
    &kinds::kGlobalNetworkSet,
    &kinds::kHostEndpoint,
    &kinds::kIpamConfiguration,
    &kinds::kIpPool,
    &kinds::kIpReservation,
    &kinds::kNetworkPolicy,
    &kinds::kNetworkSet,
    &kinds::kNode,
    &kinds::kProfile,
    &kinds::kTier,
    &kinds::kWorkloadEndpoint,
};

template <typename Predicate>
const Kind* find_if(Predicate predicate) {
  const auto found = std::ranges::find_if(kKinds, predicate);
  return found == kKinds.end() ? nullptr : *found;
}

}  // namespace

std::span<const Kind* const> all_kinds() { return kKinds; }

const Kind* find_kind(std::string_view name) {
  return find_if([&](const Kind* kind) { return kind->name == name; });
}

const Kind* find_kind_by_plural(std::string_view plural) {
  return find_if([&](const Kind* kind) { return kind->plural == plural; });
}

const Kind* find_kind_by_alias(std::string_view alias) {
  const std::string wanted = base::to_lower(alias);
  return find_if([&](const Kind* kind) {
    return std::ranges::any_of(base::split(kind->aliases, ' '),
                               [&](std::string_view known) { return known == wanted; });
  });
}

}  // namespace model
