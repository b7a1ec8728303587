// IPReservation, IPAMConfiguration and BlockAffinity (spec datamodel §4.12–§4.14). IPAM's own keys are not resources:
// src/ipam reads and writes them.

#include <boost/json/object.hpp>

#include "base/ip.h"
#include "model/kinds/kinds.h"
#include "model/resource.h"

namespace model::kinds {
namespace {

constexpr Field kReservationFields[] = {
    {.name = "reservedCIDRs",
     .doc = "Addresses and CIDRs that are never handed out by automatic assignment.",
     .list = true,
     .check = Check::kCidrs,
     .go_name = "ReservedCIDRs"},
};
constexpr Struct kReservationSpec = {.go_type = "IPReservationSpec", .fields = kReservationFields};

constexpr Column kReservationColumns[] = {
    {.heading = "NAME", .path = "metadata.name"},
    {.heading = "CIDRS", .path = "spec.reservedCIDRs", .style = CellStyle::kTruncated},
};

constexpr Field kConfigurationFields[] = {
    {.name = "strictAffinity",
     .type = FieldType::kBool,
     .doc = "Hosts use addresses of their own blocks only.",
     .presence = Presence::kAlways,
     .when_absent = "false"},
    {.name = "maxBlocksPerHost",
     .type = FieldType::kInt,
     .doc = "Blocks a host may own; 0 means 20.",
     .width = IntWidth::kInt32,
     .min = 0,
     .max = 1'000'000,
     .when_absent = "0"},
    {.name = "autoAllocateBlocks",
     .type = FieldType::kBool,
     .doc = "Hosts take new blocks when their own are full.",
     .presence = Presence::kAlways,
     .default_json = "true"},
    {.name = "kubeVirtVMAddressPersistence",
     .doc = "Used with Kubernetes only.",
     .words = "Enabled/Disabled",
     .go_name = "KubeVirtVMAddressPersistence"},
};
constexpr Struct kConfigurationSpec = {.go_type = "IPAMConfigurationSpec", .fields = kConfigurationFields};

constexpr Column kConfigurationColumns[] = {
    {.heading = "NAME", .path = "metadata.name"},
    {.heading = "STRICTAFFINITY", .path = "spec.strictAffinity", .style = CellStyle::kZero},
    {.heading = "AUTOALLOCATEBLOCKS", .path = "spec.autoAllocateBlocks", .style = CellStyle::kZero},
    {.heading = "MAXBLOCKSPERHOST", .path = "spec.maxBlocksPerHost", .style = CellStyle::kZero},
};

void check_configuration(const Resource& resource, Problems& problems) {
  if (resource.name() != "default") {
    problems.add("Metadata.Name", std::string(resource.name()),
                 "Cannot create an IPAMConfiguration resource with a name other than \"default\"");
  }
}

constexpr Field kAffinityFields[] = {
    {.name = "state",
     .doc = "How far the claim of the block has come.",
     .presence = Presence::kAlways,
     .words = "confirmed/pending/pendingDeletion"},
    {.name = "node", .doc = "Owner of the block.", .presence = Presence::kAlways},
    {.name = "type", .doc = "Kind of the owner.", .words = "host/virtual"},
    {.name = "cidr",
     .doc = "The block.",
     .presence = Presence::kAlways,
     .check = Check::kNet,
     .required = true,
     .go_name = "CIDR"},
    {.name = "deleted", .doc = "Used with Kubernetes only.", .presence = Presence::kAlways},
};
constexpr Struct kAffinitySpec = {.go_type = "BlockAffinitySpec", .fields = kAffinityFields};

constexpr Column kAffinityColumns[] = {
    {.heading = "NAME", .path = "metadata.name"},
    {.heading = "NODE", .path = "spec.node"},
    {.heading = "CIDR", .path = "spec.cidr"},
    {.heading = "STATE", .path = "spec.state"},
};

void check_affinity(const Resource& resource, Problems& problems) {
  const auto deleted = text_of(resource.spec(), "deleted");
  if (deleted == "true") problems.add("BlockAffinity.Spec.Deleted", "true", "spec.Deleted cannot be set to \"true\"");
}

}  // namespace

const Kind kIpReservation = {
    .name = "IPReservation",
    .plural = "ipreservations",
    .aliases = "ipreservation ipreservations reservation reservations",
    .doc = "Addresses of pools that are never handed out by themselves.",
    .spec = &kReservationSpec,
    .columns = kReservationColumns,
    .ps = "NAME",
    .wide = "NAME CIDRS",
};

const Kind kIpamConfiguration = {
    .name = "IPAMConfiguration",
    .plural = "ipamconfigurations",
    .aliases = "ipamconfiguration ipamconfigurations ipamconfig ipamconfigs",
    .doc = "Stored for Calico's sake; with etcd the settings in force are those of `percalectl ipam configure`.",
    .spec = &kConfigurationSpec,
    .columns = kConfigurationColumns,
    .ps = "NAME STRICTAFFINITY AUTOALLOCATEBLOCKS",
    .wide = "NAME STRICTAFFINITY AUTOALLOCATEBLOCKS MAXBLOCKSPERHOST",
    .check = check_configuration,
};

const Kind kBlockAffinity = {
    .name = "BlockAffinity",
    .plural = "blockaffinities",
    .aliases = "blockaffinity blockaffinities affinity affinities",
    .doc =
        "A block of a host as the v3 interface writes it; with etcd IPAM has keys of its own, see `percalectl ipam`.",
    .spec = &kAffinitySpec,
    .columns = kAffinityColumns,
    .ps = "NAME NODE CIDR",
    .wide = "NAME NODE CIDR STATE",
    .check = check_affinity,
};

}  // namespace model::kinds
