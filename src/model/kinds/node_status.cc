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

constexpr Field kAgentFields[] = {
    {.name = "birdV4",
     .type = FieldType::kAny,
     .doc = "State, version and times of BIRD for IPv4.",
     .presence = Presence::kAlways},
    {.name = "birdV6", .type = FieldType::kAny, .doc = "The same for IPv6.", .presence = Presence::kAlways},
};
constexpr Struct kAgent = {.go_type = "CalicoNodeAgentStatus", .fields = kAgentFields};

constexpr Field count_field(std::string_view name, std::string_view doc) {
  return {.name = name, .type = FieldType::kInt, .doc = doc, .presence = Presence::kAlways};
}
constexpr Field kBgpFields[] = {
    count_field("numberEstablishedV4", "IPv4 sessions that are up."),
    count_field("numberNotEstablishedV4", "IPv4 sessions that are not."),
    count_field("numberEstablishedV6", "IPv6 sessions that are up."),
    count_field("numberNotEstablishedV6", "IPv6 sessions that are not."),
    {.name = "peersV4", .type = FieldType::kAny, .doc = "IPv4 sessions."},
    {.name = "peersV6", .type = FieldType::kAny, .doc = "IPv6 sessions."},
};
constexpr Struct kBgp = {.go_type = "CalicoNodeBGPStatus", .fields = kBgpFields};

constexpr Field kRoutesFields[] = {
    {.name = "routesV4", .type = FieldType::kAny, .doc = "IPv4 routes."},
    {.name = "routesV6", .type = FieldType::kAny, .doc = "IPv6 routes."},
};
constexpr Struct kRoutes = {.go_type = "CalicoNodeBGPRouteStatus", .fields = kRoutesFields};

constexpr Field kStatusFields[] = {
    {.name = "lastUpdated",
     .type = FieldType::kAny,
     .doc = "When the report was written; null before the first one.",
     .presence = Presence::kAlways,
     .zero_is_null = true},
    {.name = "agent",
     .type = FieldType::kStruct,
     .doc = "State, version and times of BIRD.",
     .members = &kAgent,
     .presence = Presence::kAlways},
    {.name = "bgp", .type = FieldType::kStruct, .doc = "Sessions.", .members = &kBgp, .presence = Presence::kAlways},
    {.name = "routes",
     .type = FieldType::kStruct,
     .doc = "Routes as BIRD has them.",
     .members = &kRoutes,
     .presence = Presence::kAlways},
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
    .status_presence = Presence::kAlways,
    .columns = kColumns,
    .ps = "NAME NODE",
    .wide = "NAME NODE CLASSES UPDATED",
};

}  // namespace model::kinds
