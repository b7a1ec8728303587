// NetworkSet and GlobalNetworkSet (spec datamodel §4.7).

#include <boost/json/object.hpp>

#include "model/kinds/kinds.h"
#include "model/resource.h"

namespace model::kinds {
namespace {

constexpr Field kSpecFields[] = {
    {.name = "nets",
     .doc = "Addresses and CIDRs in the set; host bits are ignored.",
     .list = true,
     .check = Check::kCidr},
};
constexpr Struct kNamespacedSpec = {.go_type = "NetworkSetSpec", .fields = kSpecFields};
constexpr Struct kGlobalSpec = {.go_type = "GlobalNetworkSetSpec", .fields = kSpecFields};

constexpr Column kColumns[] = {
    {.heading = "NAMESPACE", .path = "metadata.namespace"},
    {.heading = "NAME", .path = "metadata.name"},
    {.heading = "NETS", .path = "spec.nets", .style = CellStyle::kTruncated},
};

void check_set(const Resource& resource, Problems& problems) {
  constexpr std::string_view kReserved = "projectcalico.org/namespace";
  const boost::json::object* labels = resource.labels();
  if (labels != nullptr && labels->contains(kReserved)) {
    problems.add("Metadata.Labels (label)", std::string(kReserved),
                 "projectcalico.org/namespace is not a valid label name");
  }
}

}  // namespace

const Kind kNetworkSet = {
    .name = "NetworkSet",
    .plural = "networksets",
    .aliases = "networkset networksets netsets",
    .namespaced = true,
    .doc = "Named addresses of one namespace that rules select by label.",
    .spec = &kNamespacedSpec,
    .columns = kColumns,
    .ps = "NAME",
    .wide = "NAME NETS",
    .check = check_set,
};

const Kind kGlobalNetworkSet = {
    .name = "GlobalNetworkSet",
    .plural = "globalnetworksets",
    .aliases = "globalnetworkset globalnetworksets gnetsets",
    .doc = "Named addresses that rules select by label.",
    .spec = &kGlobalSpec,
    .columns = std::span(kColumns).subspan(1),
    .ps = "NAME",
    .wide = "NAME NETS",
    .check = check_set,
};

}  // namespace model::kinds
