// CalicoNodeStatus (spec datamodel §4.18, spec bgp §8.1): what a node is asked to report, and what it last reported.

#include "model/kinds/kinds.h"
#include "model/resource.h"

namespace model::kinds {
namespace {

constexpr Field kSpecFields[] = {
    {.name = "node", .doc = "The node that reports.", .check = Check::kName, .required = true},
    {.name = "classes",
     .doc = "What it reports.",
     .list = true,
     .words = "Agent/BGP/Routes",
     .unique = true,
     .required = true},
    {.name = "updatePeriodSeconds",
     .type = FieldType::kInt,
     .doc = "How often it looks, in seconds; 0: once.",
     .presence = Presence::kOmitAbsent,
     .width = IntWidth::kUint32,
     .min = 0,
     .max = 86400,
     .required = true},
};
constexpr Struct kSpec = {.go_type = "CalicoNodeStatusSpec", .fields = kSpecFields};

constexpr Field kStatusFields[] = {
    {.name = "lastUpdated", .type = FieldType::kAny, .doc = "When the report was written."},
    {.name = "agent",
     .type = FieldType::kAny,
     .doc = "State, version and times of BIRD.",
     .presence = Presence::kAlways},
    {.name = "bgp", .type = FieldType::kAny, .doc = "Sessions.", .presence = Presence::kAlways},
    {.name = "routes", .type = FieldType::kAny, .doc = "Routes as BIRD has them.", .presence = Presence::kAlways},
};
constexpr Struct kStatus = {.go_type = "CalicoNodeStatusStatus", .fields = kStatusFields};

constexpr Column kColumns[] = {
    {.heading = "NAME", .path = "metadata.name"},
    {.heading = "NODE", .path = "spec.node"},
    {.heading = "CLASSES", .path = "spec.classes", .style = CellStyle::kJoined},
    {.heading = "UPDATED", .path = "status.lastUpdated"},
};

}  // namespace

const Kind kCalicoNodeStatus = {
    .name = "CalicoNodeStatus",
    .plural = "caliconodestatuses",
    .aliases = "caliconodestatus caliconodestatuses nodestatus nodestatuses",
    .doc = "Asks a node to report its BGP sessions and routes, and holds the report.",
    .spec = &kSpec,
    .status = &kStatus,
    .columns = kColumns,
    .ps = "NAME NODE",
    .wide = "NAME NODE CLASSES UPDATED",
};

}  // namespace model::kinds
