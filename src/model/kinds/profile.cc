// Profile (spec datamodel §4.6).

#include <boost/json/object.hpp>

#include "model/kinds/kinds.h"
#include "model/resource.h"

namespace model::kinds {
namespace {

constexpr Field kSpecFields[] = {
    {.name = "ingress",
     .type = FieldType::kStruct,
     .doc = "Rules for packets to endpoints that list the profile, after all tiers.",
     .members = &kRule,
     .list = true},
    {.name = "egress",
     .type = FieldType::kStruct,
     .doc = "Rules for packets from endpoints that list the profile, after all tiers.",
     .members = &kRule,
     .list = true},
    {.name = "labelsToApply",
     .type = FieldType::kStringMap,
     .doc = "Labels that endpoints inherit from the profile.",
     .check = Check::kLabels},
};
constexpr Struct kSpec = {.go_type = "ProfileSpec", .fields = kSpecFields};

constexpr Column kColumns[] = {
    {.heading = "NAME", .path = "metadata.name"},
    {.heading = "LABELS", .path = "spec.labelsToApply", .style = CellStyle::kJoined},
};

}  // namespace

const Kind kProfile = {
    .name = "Profile",
    .plural = "profiles",
    .aliases = "profile profiles pro pros",
    .doc = "Rules and labels that the endpoints listing the profile share.",
    .spec = &kSpec,
    .has_schema = false,
    .columns = kColumns,
    .ps = "NAME",
    .wide = "NAME LABELS",
};

}  // namespace model::kinds
