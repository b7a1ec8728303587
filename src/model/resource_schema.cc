#include "model/resource_schema.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace model {
namespace {

// Beginnings of member names that upstream spells as acronyms in its exported names.
constexpr std::array<std::pair<std::string_view, std::string_view>, 17> kAcronyms = {{
    {"asNumber", "ASNumber"},
    {"asPath", "ASPath"},
    {"bgp", "BGP"},
    {"bpf", "BPF"},
    {"cidr", "CIDR"},
    {"icmp", "ICMP"},
    {"ipip", "IPIP"},
    {"ipNAT", "IPNAT"},
    {"ipNet", "IPNet"},
    {"ipv4", "IPv4"},
    {"ipv6", "IPv6"},
    {"ipF", "IPF"},
    {"nat", "NAT"},
    {"vxlan", "VXLAN"},
    {"xdp", "XDP"},
    {"mtu", "MTU"},
    {"aws", "AWS"},
}};

constexpr std::string_view kMetadataDoc = "Carried for Kubernetes tools; not used by this datastore.";

constexpr Field kMetadataFields[] = {
    {.name = "name",
     .doc = "Name of the object, unique per kind (and namespace). DNS-1123 subdomain.",
     .required = true},
    {.name = "generateName", .doc = "Not supported: a name must be given."},
    {.name = "namespace", .doc = "Namespace of a namespaced kind; 'default' if not given on the command line."},
    {.name = "selfLink", .doc = kMetadataDoc},
    {.name = "uid", .doc = "Random identity, assigned at creation.", .go_name = "UID"},
    {.name = "resourceVersion",
     .doc = "Revision of the stored value; given in an update, the update fails if it is out of date."},
    {.name = "generation", .type = FieldType::kInt, .doc = kMetadataDoc},
    {.name = "creationTimestamp", .doc = "When the object was created, RFC 3339 in UTC."},
    {.name = "deletionTimestamp", .doc = kMetadataDoc, .presence = Presence::kOmitAbsent},
    {.name = "deletionGracePeriodSeconds",
     .type = FieldType::kInt,
     .doc = kMetadataDoc,
     .presence = Presence::kOmitAbsent},
    {.name = "labels", .type = FieldType::kStringMap, .doc = "Labels that selectors match.", .check = Check::kLabels},
    {.name = "annotations", .type = FieldType::kStringMap, .doc = "Free texts for tools."},
    {.name = "ownerReferences", .type = FieldType::kAny, .doc = kMetadataDoc},
    {.name = "finalizers", .doc = kMetadataDoc, .list = true},
    {.name = "managedFields", .type = FieldType::kAny, .doc = kMetadataDoc},
};
constexpr Struct kMetadata = {.go_type = "ObjectMeta", .fields = kMetadataFields};

}  // namespace

std::string go_name(const Field& field) {
  if (!field.go_name.empty()) return std::string(field.go_name);
  for (const auto& [prefix, acronym] : kAcronyms) {
    if (field.name.starts_with(prefix)) return std::string(acronym) + std::string(field.name.substr(prefix.size()));
  }
  std::string name(field.name);
  if (name.front() >= 'a' && name.front() <= 'z') name.front() = static_cast<char>(name.front() - 'a' + 'A');
  return name;
}

const Struct& metadata_schema() { return kMetadata; }

const Field* find_field(const Struct& schema, std::string_view name) {
  const auto found = std::ranges::find(schema.fields, name, &Field::name);
  return found == schema.fields.end() ? nullptr : &*found;
}

}  // namespace model
