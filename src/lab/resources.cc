#include "lab/resources.h"

#include <fmt/core.h>
#include <boost/json.hpp>

#include "base/digest.h"
#include "base/strings.h"

namespace lab {
namespace {

namespace json = boost::json;

constexpr std::string_view kNamespace = "openstack";
constexpr std::string_view kPrefix = "/calico/resources/v3/projectcalico.org/";

std::string uuid_of(std::string_view text) {
  const base::Sha256 hash = base::sha256(text);
  std::string hex;
  for (std::size_t i = 0; i < 16; ++i) hex += fmt::format("{:02x}", hash[i]);
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4), hex.substr(16, 4),
                     hex.substr(20));
}

std::string doubled_dashes(std::string_view text) { return base::replace_all(text, "-", "--"); }

json::object metadata(std::string_view name, std::string_view ns) {
  json::object object{{"name", name}};
  if (!ns.empty()) object["namespace"] = ns;
  object["creationTimestamp"] = "2026-11-24T09:00:00Z";
  object["uid"] = uuid_of(fmt::format("uid {}/{}", ns, name));
  return object;
}

std::string endpoint_name(const Guest& guest) {
  return fmt::format("{}-openstack-{}-{}", doubled_dashes(guest.host), doubled_dashes(guest.device_id),
                     doubled_dashes(guest.port_id));
}

json::object labels_of(const Guest& guest, const std::vector<SecurityGroup>& groups) {
  json::object labels;
  for (const SecurityGroup& group : groups) {
    labels["sg.projectcalico.org/openstack-" + group.id] = group.name;
    labels["sg-name.projectcalico.org/openstack-" + group.name] = group.id;
  }
  labels["projectcalico.org/namespace"] = kNamespace;
  labels["projectcalico.org/orchestrator"] = "openstack";
  labels["projectcalico.org/openstack-project-id"] = "7c1f5d0e1a7b4c5f8d2e3b4a5c6d7e8f";
  labels["projectcalico.org/openstack-project-name"] = "shop";
  labels["projectcalico.org/openstack-project-parent-id"] = "default";
  labels["projectcalico.org/openstack-network-name"] = guest.network;
  labels["role"] = guest.role;
  return labels;
}

json::object translate(const GroupRule& rule) {
  json::object result{{"action", "Allow"}, {"ipVersion", rule.ip_version}};
  if (rule.protocol == "icmp")
    result["protocol"] = rule.ip_version == 4 ? "ICMP" : "ICMPv6";
  else if (rule.protocol == "tcp")
    result["protocol"] = 6;
  else if (rule.protocol == "udp")
    result["protocol"] = 17;
  json::object source;
  json::object destination;
  json::object& peer = rule.ingress ? source : destination;
  if (!rule.remote_group.empty())
    peer["selector"] = fmt::format("has(sg.projectcalico.org/openstack-{})", rule.remote_group);
  if (rule.port != 0) destination["ports"] = json::array{rule.port};
  if (!source.empty()) result["source"] = source;
  if (!destination.empty()) result["destination"] = destination;
  return result;
}

}  // namespace

SecurityGroup make_group(std::string name) {
  std::string id = uuid_of("group " + name);
  return {std::move(name), std::move(id)};
}

std::string resource_key(std::string_view plural, std::string_view name, std::string_view ns) {
  if (ns.empty()) return fmt::format("{}{}/{}", kPrefix, plural, name);
  return fmt::format("{}{}/{}/{}", kPrefix, plural, ns, name);
}

std::string endpoint_key(const Guest& guest) {
  return resource_key("workloadendpoints", endpoint_name(guest), kNamespace);
}

std::string policy_key(const SecurityGroup& group) {
  return resource_key("networkpolicies", "ossg.default." + group.id, kNamespace);
}

Record resource(std::string_view kind, std::string_view plural, std::string_view name, json::object spec,
                std::string_view ns) {
  json::object object{{"kind", kind},
                      {"apiVersion", "projectcalico.org/v3"},
                      {"metadata", metadata(name, ns)},
                      {"spec", std::move(spec)}};
  return {resource_key(plural, name, ns), json::serialize(object)};
}

Record workload_endpoint(const Guest& guest, const std::vector<SecurityGroup>& groups) {
  json::object meta = metadata(endpoint_name(guest), kNamespace);
  meta["annotations"] = json::object{{"openstack.projectcalico.org/network-id", uuid_of("network " + guest.network)}};
  meta["labels"] = labels_of(guest, groups);
  json::object spec{
      {"orchestrator", "openstack"},
      {"workload", guest.device_id},
      {"node", guest.host},
      {"endpoint", guest.port_id},
      {"interfaceName", guest.tap},
      {"mac", guest.mac},
      {"ipNetworks", json::array{base::to_string(guest.v4.address) + "/32", base::to_string(guest.v6) + "/128"}},
      {"allowedIps", json::array{}},
      {"ipv4Gateway", base::to_string(guest.gateway_v4)}};
  json::object object{
      {"kind", "WorkloadEndpoint"}, {"apiVersion", "projectcalico.org/v3"}, {"metadata", meta}, {"spec", spec}};
  return {endpoint_key(guest), json::serialize(object)};
}

Record group_policy(const SecurityGroup& group, const std::vector<GroupRule>& rules) {
  json::array ingress;
  json::array egress;
  for (const GroupRule& rule : rules) (rule.ingress ? ingress : egress).push_back(translate(rule));
  return resource("NetworkPolicy", "networkpolicies", "ossg.default." + group.id,
                  {{"ingress", ingress},
                   {"egress", egress},
                   {"selector", fmt::format("has(sg.projectcalico.org/openstack-{})", group.id)}},
                  kNamespace);
}

std::vector<GroupRule> default_rules(const SecurityGroup& group) {
  return {{.ingress = false, .ip_version = 4},
          {.ingress = false, .ip_version = 6},
          {.ingress = true, .ip_version = 4, .remote_group = group.id},
          {.ingress = true, .ip_version = 6, .remote_group = group.id}};
}

Record node_resource(const Host& host) {
  json::object bgp{{"ipv4Address", base::to_string(host.v4)}, {"ipv6Address", base::to_string(host.v6)}};
  if (host.as != kAs) bgp["asNumber"] = host.as;
  if (host.reflector) bgp["routeReflectorClusterID"] = "203.0.113.1";
  json::object spec{{"bgp", std::move(bgp)}};
  json::object meta = metadata(host.name, {});
  meta["labels"] = json::object{{"rack", host.segment}, {"route-reflector", host.reflector ? "true" : "false"}};
  json::object object{
      {"kind", "Node"}, {"apiVersion", "projectcalico.org/v3"}, {"metadata", meta}, {"spec", std::move(spec)}};
  return {resource_key("nodes", host.name), json::serialize(object)};
}

std::vector<Record> pool_records(const Plan& plan) {
  std::string_view ipip = "Never";
  std::string_view vxlan = "Never";
  switch (plan.topology.pool) {
    case PoolMode::kNone: return {};
    case PoolMode::kDirect: break;
    case PoolMode::kIpip: ipip = "Always"; break;
    case PoolMode::kIpipCrossSubnet: ipip = "CrossSubnet"; break;
    case PoolMode::kVxlan: vxlan = "Always"; break;
    case PoolMode::kVxlanCrossSubnet: vxlan = "CrossSubnet"; break;
  }
  const auto pool = [](std::string_view name, std::string_view cidr, std::string_view ipip_mode,
                       std::string_view vxlan_mode, int block, std::string_view use) {
    return resource("IPPool", "ippools", name,
                    {{"cidr", cidr},
                     {"ipipMode", ipip_mode},
                     {"vxlanMode", vxlan_mode},
                     {"natOutgoing", false},
                     {"blockSize", block},
                     {"nodeSelector", "all()"},
                     {"allowedUses", json::array{use}}});
  };
  // Neutron gives guests addresses without asking IPAM, so tunnels have pools of their own.
  return {pool("lab-v4", kPoolV4, ipip, vxlan, 26, "Workload"),
          pool("lab-v6", kPoolV6, "Never", vxlan, 122, "Workload"),
          pool("lab-tunnels-v4", kTunnelsV4, ipip, vxlan, 26, "Tunnel"),
          pool("lab-tunnels-v6", kTunnelsV6, "Never", vxlan, 122, "Tunnel")};
}

namespace {

// Who peers with whom.
std::vector<Record> peerings(const Plan& plan) {
  std::vector<Record> records;
  const auto peer = [&](const std::string& name, json::object spec) {
    records.push_back(resource("BGPPeer", "bgppeers", name, std::move(spec)));
  };
  switch (plan.topology.fabric) {
    case Fabric::kMesh: break;
    case Fabric::kReflector:
      peer("reflector-v4", {{"peerIP", base::to_string(router_id())}, {"asNumber", kAs}});
      peer("reflector-v6", {{"peerIP", base::to_string(router_id_v6())}, {"asNumber", kAs}});
      break;
    case Fabric::kReflectors:
      peer("reflectors", {{"nodeSelector", "all()"}, {"peerSelector", "route-reflector == 'true'"}});
      break;
    case Fabric::kRacks:
      for (const Segment& rack : plan.segments) {
        const std::string here = fmt::format("rack == '{}'", rack.name);
        peer(rack.name + "-tor-v4",
             {{"nodeSelector", here}, {"peerIP", base::to_string(rack.v4.address)}, {"asNumber", rack.router_as}});
        peer(rack.name + "-tor-v6",
             {{"nodeSelector", here}, {"peerIP", base::to_string(rack.v6.address)}, {"asNumber", rack.router_as}});
        // A host refuses what comes back over eBGP with its own AS, so hosts of a rack tell each other.
        peer(rack.name + "-neighbours", {{"nodeSelector", here}, {"peerSelector", here}});
      }
      break;
  }
  return records;
}

}  // namespace

std::vector<Record> cluster_records(const Plan& plan) {
  std::vector<Record> records;
  records.push_back(resource(
      "ClusterInformation", "clusterinformations", "default",
      {{"clusterGUID", "4c7d1e0b8a5f4e0c9d3b2a1f6e5d4c3b"}, {"clusterType", "openstack"}, {"datastoreReady", true}}));
  // OpenStack has no address blocks: routes to guests elsewhere follow from their endpoints.
  records.push_back(
      resource("FelixConfiguration", "felixconfigurations", "default",
               {{"endpointReportingEnabled", true}, {"interfacePrefix", "tap"}, {"routeSource", "WorkloadIPs"}}));
  records.push_back(resource("BGPConfiguration", "bgpconfigurations", "default",
                             {{"logSeverityScreen", "Info"},
                              {"nodeToNodeMeshEnabled", plan.topology.fabric == Fabric::kMesh},
                              {"asNumber", kAs}}));
  for (Record& record : peerings(plan)) records.push_back(std::move(record));
  for (Record& record : pool_records(plan)) records.push_back(std::move(record));
  for (const Host& host : plan.hosts) records.push_back(node_resource(host));
  return records;
}

}  // namespace lab
