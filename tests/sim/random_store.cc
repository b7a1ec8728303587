#include "random_store.h"

#include <array>
#include <utility>

#include <fmt/core.h>

namespace sim {
namespace {

const std::string kRoot = "/calico/resources/v3/projectcalico.org/";

struct Kind {
  std::string_view plural;
  std::string_view ns;  // a namespace with its slash
  int names;
  int weight;
};
constexpr Kind kKinds[] = {{"workloadendpoints", "openstack/", 5, 10},
                           {"hostendpoints", "", 2, 2},
                           {"profiles", "", 3, 4},
                           {"globalnetworkpolicies", "", 4, 6},
                           {"networkpolicies", "openstack/", 2, 3},
                           {"tiers", "", 2, 2},
                           {"globalnetworksets", "", 2, 4},
                           {"networksets", "openstack/", 1, 1},
                           {"ippools", "", 2, 1},
                           {"nodes", "", 2, 1},
                           {"felixconfigurations", "", 1, 1},
                           {"bgppeers", "", 1, 1}};

std::string object(std::string_view kind, std::string_view name, std::string_view spec,
                   std::string_view metadata = "") {
  return fmt::format(R"({{"apiVersion":"projectcalico.org/v3","kind":"{}","metadata":{{"name":"{}"{}}},"spec":{}}})",
                     kind, name, metadata, spec);
}

// Names as the data model asks for where it does: node and endpoint identify themselves, a policy names its tier.
std::string key_of(const Kind& kind, std::uint64_t n) {
  std::string name = fmt::format("x{}", n);
  if (kind.plural == "profiles") name = fmt::format("p{}", n);
  if (kind.plural == "tiers") name = fmt::format("t{}", n);
  if (kind.plural == "nodes") name = fmt::format("h{}", n + 1);
  if (kind.plural == "felixconfigurations") name = "default";
  if (kind.plural == "globalnetworkpolicies" && n == 0) name = "t0.x0";
  if (kind.plural == "workloadendpoints") name = fmt::format("h{}-openstack-vm{}-e{}", n == 4 ? 2 : 1, n, n);
  return fmt::format("{}{}/{}{}", kRoot, kind.plural, kind.ns, name);
}

}  // namespace

std::string RandomStore::labels() {
  constexpr std::string_view kChoices[] = {R"({})", R"({"role":"web"})", R"({"role":"db"})",
                                           R"({"role":"web","zone":"a"})", R"({"zone":"b"})"};
  return std::string(kChoices[rng_.index(std::size(kChoices))]);
}

// Never selects the vault, which alone has the label "vault".
std::string RandomStore::selector() {
  constexpr std::string_view kChoices[] = {"role == 'web'", "has(role)", "zone == 'a' || role == 'db'",
                                           "zone != 'b' && has(zone)", "role in {'web','db'}"};
  return std::string(kChoices[rng_.index(std::size(kChoices))]);
}

std::string RandomStore::rules() {
  std::string out;
  for (std::uint64_t i = rng_.below(3); i > 0; --i) {
    constexpr std::string_view kActions[] = {"Allow", "Deny", "Pass"};
    std::string rule = fmt::format(R"({{"action":"{}")", kActions[rng_.index(3)]);
    if (rng_.one_in(2)) rule += R"(,"protocol":"TCP","destination":{"ports":[5432,"80:90"]})";
    if (rng_.one_in(2)) rule += fmt::format(R"(,"source":{{"selector":"{}"}})", selector());
    if (rng_.one_in(5)) rule += R"(,"ipVersion":4)";
    out += (out.empty() ? "" : ",") + rule + "}";
  }
  return "[" + out + "]";
}

std::string RandomStore::profiles() {
  std::string out;
  for (int i = 0; i < 3; ++i) {
    if (rng_.one_in(2)) out += fmt::format(R"({}"p{}")", out.empty() ? "" : ",", i);
  }
  return "[" + out + "]";
}

std::string RandomStore::workload(bool local) {
  const auto n = rng_.below(4);
  return fmt::format(
      R"({{"orchestrator":"openstack","workload":"vm{0}","node":"{1}","endpoint":"e{0}","interfaceName":"tap{2}","mac":"fa:16:3e:00:00:0{0}","ipNetworks":["10.9.1.{3}/32"{4}],"profiles":{5}}})",
      n, local ? "h1" : "h2", rng_.below(3), rng_.below(6), rng_.one_in(3) ? R"(,"fd00::1/128")" : "", profiles());
}

std::string RandomStore::host_endpoint() {
  return fmt::format(R"({{"node":"{}","interfaceName":"{}","expectedIPs":["192.168.0.1"],"profiles":{}}})",
                     rng_.one_in(4) ? "h2" : "h1", rng_.one_in(3) ? "eth1" : "eth0", profiles());
}

std::string RandomStore::policy() {
  std::string extra;
  if (rng_.one_in(2)) extra += fmt::format(R"(,"order":{})", rng_.below(3));
  if (rng_.one_in(3)) extra += R"(,"tier":"t0")";
  return fmt::format(R"({{"selector":"{}","types":["Ingress","Egress"],"ingress":{},"egress":{}{}}})", selector(),
                     rules(), rules(), extra);
}

std::string RandomStore::value_for(std::string_view kind) {
  if (kind == "workloadendpoints") {
    return object("WorkloadEndpoint", "w", workload(!rng_.one_in(3)),
                  fmt::format(R"(,"namespace":"openstack","labels":{})", labels()));
  }
  if (kind == "hostendpoints") return object("HostEndpoint", "h", host_endpoint(), R"(,"labels":)" + labels());
  if (kind == "profiles") {
    return object("Profile", "p",
                  fmt::format(R"({{"ingress":{},"egress":{},"labelsToApply":{}}})", rules(), rules(), labels()));
  }
  if (kind == "globalnetworkpolicies") return object("GlobalNetworkPolicy", "g", policy());
  if (kind == "networkpolicies") return object("NetworkPolicy", "n", policy(), R"(,"namespace":"openstack")");
  if (kind == "tiers") {
    return object(
        "Tier", "t",
        fmt::format(R"({{"order":{}{}}})", rng_.below(3), rng_.one_in(2) ? R"(,"defaultAction":"Pass")" : ""));
  }
  if (kind == "globalnetworksets" || kind == "networksets") {
    return object(kind == "networksets" ? "NetworkSet" : "GlobalNetworkSet", "s",
                  fmt::format(R"({{"nets":["10.8.{}.0/24","10.9.1.{}"]}})", rng_.below(3), rng_.below(4)),
                  R"(,"labels":)" + labels());
  }
  if (kind == "ippools") {
    return object("IPPool", "i",
                  fmt::format(R"({{"cidr":"10.{}.0.0/16","natOutgoing":{},"ipipMode":"{}"}})", 8 + rng_.below(2),
                              rng_.one_in(2), rng_.one_in(4) ? "Always" : "Never"));
  }
  if (kind == "nodes")
    return object("Node", "n", fmt::format(R"({{"bgp":{{"ipv4Address":"192.168.0.{}/24"}}}})", 1 + rng_.below(4)));
  if (kind == "felixconfigurations") {
    return object("FelixConfiguration", "default",
                  fmt::format(R"({{"defaultEndpointToHostAction":"{}"}})", rng_.one_in(2) ? "Drop" : "Return"));
  }
  return object("BGPPeer", "b", R"({"peerIP":"192.168.0.9","asNumber":64512})");
}

void RandomStore::ready(bool ready) {
  write_(kRoot + "clusterinformations/default",
         object("ClusterInformation", "default",
                fmt::format(R"({{"clusterType":"openstack","datastoreReady":{}}})", ready)));
}

void RandomStore::sacred() {
  ready(true);
  // What an agent cannot read of its configuration it waits for.
  for (const char* key : {"felixconfigurations/default", "nodes/h1"}) write_(kRoot + key, std::nullopt);
  write_(
      kRoot + "workloadendpoints/openstack/h1-openstack-vault-e",
      object(
          "WorkloadEndpoint", "h1-openstack-vault-e",
          fmt::format(
              R"({{"orchestrator":"openstack","workload":"vault","node":"h1","endpoint":"e","interfaceName":"{}","mac":"fa:16:3e:00:00:99","ipNetworks":["{}/32"],"profiles":["vault"]}})",
              kVaultInterface, kVaultAddress),
          R"(,"namespace":"openstack","labels":{"vault":"yes"})"));
  write_(
      kRoot + "profiles/vault",
      object(
          "Profile", "vault",
          fmt::format(
              R"({{"ingress":[{{"action":"Allow","source":{{"nets":["{}/32"]}}}}],"egress":[{{"action":"Allow"}}]}})",
              kFriendAddress)));
}

void RandomStore::repair() {
  for (const std::string& key : std::exchange(bad_, {})) write_(key, std::nullopt);
}

void RandomStore::remove_all() {
  for (const Kind& kind : kKinds) {
    for (int i = 0; i < kind.names; ++i) write_(key_of(kind, static_cast<std::uint64_t>(i)), std::nullopt);
  }
}

void RandomStore::mutate() {
  int total = 0;
  for (const Kind& kind : kKinds) total += kind.weight;
  auto at = static_cast<int>(rng_.below(static_cast<std::uint64_t>(total)));
  const Kind* kind = kKinds;
  for (; at >= kind->weight; at -= kind++->weight) {
  }
  const auto n = rng_.below(static_cast<std::uint64_t>(kind->names));
  const std::string key = key_of(*kind, n);
  bad_.erase(key);
  switch (rng_.below(8)) {
    case 0:
    case 1: return write_(key, std::nullopt);
    case 2: {
      constexpr std::string_view kBad[] = {
          "", "{", "[]", "null", R"({"spec":7})", R"({"spec":{"selector":"((","ingress":3,"node":[]}})", "\xff\xfe"};
      bad_.insert(key);
      return write_(key, std::string(kBad[rng_.index(std::size(kBad))]));
    }
    default: return write_(key, value_for(kind->plural));
  }
}

}  // namespace sim
