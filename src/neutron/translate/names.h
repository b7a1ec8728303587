// names.h: how Neutron's objects are called in etcd (spec openstack §2.1, §2.2, §2.4): regions, namespaces, keys, names
// of endpoints, label texts. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace neutron {

// What the bridge writes about: a kind and Neutron's id.
enum class Kind { kPort, kSecurityGroup, kSubnet, kAddressGroup, kNetwork };
std::string_view to_string(Kind kind);  // as the socket's protocol names it: "security_group"
std::optional<Kind> parse_kind(std::string_view text);

struct ObjectId {
  Kind kind = Kind::kPort;
  std::string id;

  friend auto operator<=>(const ObjectId&, const ObjectId&) = default;
};

struct EndpointName {
  std::string host, device, port;
};

// `<host>-openstack-<device>-<port>`, dashes within the parts doubled.
std::string endpoint_name(const EndpointName& parts);
// Nothing unless there are exactly four parts, and the second is "openstack".
std::optional<EndpointName> parse_endpoint_name(std::string_view name);

// Cut to `limit` code points, then everything outside [-_.A-Za-z0-9] made '_', then both ends stripped of what is no
// letter or digit. In this order.
std::string sanitised(std::string_view text, std::size_t limit);
inline constexpr std::size_t kLabelValueLimit = 63;
inline constexpr std::size_t kGroupNameLimit = 27;  // 63 less the length of "sg-name.projectcalico.org/openstack-"

inline constexpr std::string_view kGroupLabel = "sg.projectcalico.org/openstack-";
inline constexpr std::string_view kGroupNameLabel = "sg-name.projectcalico.org/openstack-";
// Percale's own: network sets of address groups, and endpoints without port security.
inline constexpr std::string_view kAddressGroupLabel = "ag.projectcalico.org/openstack-";
inline constexpr std::string_view kPortSecurityLabel = "projectcalico.org/openstack-port-security";
inline constexpr std::string_view kNetworkAnnotation = "openstack.projectcalico.org/network-id";

inline constexpr std::string_view kResources = "/calico/resources/v3/projectcalico.org/";

// The names of one region.
class Region {
 public:
  // `name` as configured; empty for none. Refuses what is no lower-case DNS label of at most 46 characters.
  static base::Result<Region> make(std::string_view name);

  bool configured() const { return text_ != "no-region"; }
  const std::string& text() const { return text_; }     // "no-region", "region-east"
  const std::string& ns() const { return namespace_; }  // "openstack", "openstack-region-east"

  // Prefixes end in '/'.
  std::string endpoint_prefix() const { return resource_prefix("workloadendpoints"); }
  std::string policy_prefix() const { return resource_prefix("networkpolicies"); }
  std::string network_set_prefix() const { return resource_prefix("networksets"); }
  std::string live_migration_prefix() const { return resource_prefix("livemigrations"); }
  std::string subnet_prefix() const { return "/calico/dhcp/v2/" + text_ + "/subnet/"; }
  std::string status_prefix() const { return "/calico/felix/v2/" + text_ + "/host/"; }
  std::string election_key() const { return "/calico/openstack/v2/" + text_ + "/neutron_election"; }
  std::string guard_prefix() const { return "/calico/percale/v1/" + text_ + "/guard/"; }

  std::string policy_key(std::string_view group) const { return policy_prefix() + policy_name(group); }
  std::string network_set_key(std::string_view group) const { return network_set_prefix() + network_set_name(group); }
  std::string guard_key(const ObjectId& object) const;
  // The key of the policy that stands in for the groups of a port without port security.
  std::string open_policy_key() const { return policy_prefix() + std::string(kOpenPolicy); }

  static std::string policy_name(std::string_view group) { return std::string(kPolicyPrefix) + std::string(group); }
  static std::string network_set_name(std::string_view group) {
    return std::string(kNetworkSetNamePrefix) + std::string(group);
  }
  static constexpr std::string_view kPolicyPrefix = "ossg.default.";
  static constexpr std::string_view kNetworkSetNamePrefix = "osag.default.";
  // Not below ossg.default.: upstream's resync deletes what it does not know there.
  static constexpr std::string_view kOpenPolicy = "percale.port-security-off";

  // Whose key this is, if the bridge writes it for an object.
  std::optional<ObjectId> owner(std::string_view key) const;

 private:
  Region(std::string text, std::string ns) : text_(std::move(text)), namespace_(std::move(ns)) {}
  std::string resource_prefix(std::string_view plural) const {
    return std::string(kResources) + std::string(plural) + "/" + namespace_ + "/";
  }

  std::string text_;
  std::string namespace_;
};

inline constexpr std::string_view kClusterInformationKey =
    "/calico/resources/v3/projectcalico.org/clusterinformations/default";
inline constexpr std::string_view kFelixConfigurationKey =
    "/calico/resources/v3/projectcalico.org/felixconfigurations/default";

}  // namespace neutron
