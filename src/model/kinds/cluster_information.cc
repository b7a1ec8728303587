// ClusterInformation (spec datamodel §4.17). Read-only on the command line.

#include <boost/json/object.hpp>

#include "model/kinds/kinds.h"
#include "model/resource.h"

namespace model::kinds {
namespace {

constexpr Field kSpecFields[] = {
    {.name = "clusterGUID", .doc = "Random identity of the cluster, 32 hexadecimal digits."},
    {.name = "clusterType", .doc = "What the cluster is made of, separated by commas, e.g. openstack."},
    {.name = "calicoVersion",
     .doc = "Release whose data model the datastore follows; not written by Neutron's driver."},
    {.name = "datastoreReady",
     .type = FieldType::kBool,
     .doc = "true: agents work. false: they pause, during maintenance. Absent: not decided yet.",
     .presence = Presence::kOmitAbsent},
    {.name = "variant", .doc = "Calico."},
};
constexpr Struct kSpec = {.go_type = "ClusterInformationSpec", .fields = kSpecFields};

constexpr Column kColumns[] = {
    {.heading = "NAME", .path = "metadata.name"},
    {.heading = "CLUSTERGUID", .path = "spec.clusterGUID"},
    {.heading = "CLUSTERTYPE", .path = "spec.clusterType"},
    {.heading = "CALICOVERSION", .path = "spec.calicoVersion"},
    {.heading = "DATASTOREREADY", .path = "spec.datastoreReady", .style = CellStyle::kPointer},
};

void check_information(const Resource& resource, Problems& problems) {
  if (resource.name() != "default") {
    problems.add("Metadata.Name", std::string(resource.name()),
                 "Cannot create a Cluster Information resource with a name other than \"default\"");
  }
}

}  // namespace

const Kind kClusterInformation = {
    .name = "ClusterInformation",
    .plural = "clusterinformations",
    .aliases = "clusterinformation clusterinformations clusterinfo clusterinfos",
    .doc = "Identity and state of the cluster. Read-only here; the only one is `default`.",
    .spec = &kSpec,
    .columns = kColumns,
    .ps = "NAME CLUSTERGUID CLUSTERTYPE CALICOVERSION DATASTOREREADY",
    .wide = "NAME CLUSTERGUID CLUSTERTYPE CALICOVERSION DATASTOREREADY",
    .check = check_information,
};

}  // namespace model::kinds
