#include "calc/endpoints/local_endpoints.h"

#include <map>

#include "base/check.h"
#include "base/strings.h"

namespace calc {
namespace {

std::string name_of(const model::WorkloadEndpointKey& key) {
  return "WorkloadEndpoint(" + std::string(key.ns.view()) + "/" + key.name + ")";
}
std::string name_of(const model::HostEndpointKey& key) { return "HostEndpoint(" + std::string(key.name.view()) + ")"; }

// Names of the endpoints that claim one thing each of them should have for itself.
using Claims = std::map<std::string, std::vector<std::string>>;

void report(const Claims& claims, std::string_view field, std::string_view what, std::string_view consequence,
            std::vector<model::Diagnostic>& out) {
  for (const auto& [value, claimants] : claims) {
    if (claimants.size() < 2) continue;
    std::string text(what);
    text.append(" ").append(value).append(" is claimed by ").append(base::join(claimants, " and "));
    text.append(" on this host; ").append(consequence);
    out.push_back({.object = claimants.front(), .field = std::string(field), .text = std::move(text)});
  }
}

}  // namespace

void LocalEndpoints::put(const model::WorkloadEndpointKey& key, const model::WorkloadEndpoint& value) {
  CHECK(value.interface != nullptr);
  workloads_.put(key, {value.interface}, value.membership);
}

void LocalEndpoints::put(const model::HostEndpointKey& key, const model::HostEndpoint& value) {
  hosts_.put(key, {value.interface_name, value.membership.addresses, value.dscp}, value.membership);
}

bool LocalEndpoints::collect(const std::set<GroupId>& changed_groups, Changes& changes) {
  const bool workloads =
      workloads_.collect(changed_groups, changes.workloads, changes.workloads_removed,
                         [](const WorkloadOwn& own, const std::vector<Symbol>& profiles, const TierLists& lists) {
                           return std::make_shared<const LocalWorkload>(
                               LocalWorkload{.interface = own.interface, .profiles = profiles, .tiers = lists.normal});
                         });
  const bool hosts = hosts_.collect(
      changed_groups, changes.host_endpoints, changes.host_endpoints_removed,
      [](const HostOwn& own, const std::vector<Symbol>& profiles, const TierLists& lists) {
        return std::make_shared<const LocalHostEndpoint>(LocalHostEndpoint{.interface_name = own.interface_name,
                                                                           .expected_addresses = own.addresses,
                                                                           .profiles = profiles,
                                                                           .tiers = lists.normal,
                                                                           .untracked_tiers = lists.untracked,
                                                                           .pre_dnat_tiers = lists.pre_dnat,
                                                                           .forward_tiers = lists.forward,
                                                                           .dscp = own.dscp});
      });
  return workloads || hosts;
}

std::vector<model::Diagnostic> LocalEndpoints::problems() const {
  Claims addresses, interfaces, host_interfaces;
  workloads_.for_each([&](const model::WorkloadEndpointKey& key, const WorkloadOwn& own) {
    for (const base::IpAddress& address : own.interface->addresses) {
      auto& claimants = addresses[base::to_string(address)];
      if (claimants.empty() || claimants.back() != name_of(key)) claimants.push_back(name_of(key));
    }
    interfaces[own.interface->name].push_back(name_of(key));
  });
  hosts_.for_each([&](const model::HostEndpointKey& key, const HostOwn& own) {
    if (!own.interface_name.empty()) host_interfaces[own.interface_name].push_back(name_of(key));
  });
  std::vector<model::Diagnostic> problems;
  report(addresses, "spec.ipNetworks", "address",
         "traffic to it reaches only one of them. Give each endpoint its own address", problems);
  report(interfaces, "spec.interfaceName", "interface",
         "only the endpoint with the smallest name is programmed. Delete the one that is out of date", problems);
  report(host_interfaces, "spec.interfaceName", "interface",
         "only the endpoint with the smallest name governs it. Delete the other or name another interface", problems);
  return problems;
}

void LocalEndpoints::begin_resync() {
  workloads_.begin_resync();
  hosts_.begin_resync();
}

void LocalEndpoints::end_resync() {
  for (const model::WorkloadEndpointKey& key : workloads_.stale()) workloads_.erase(key);
  for (const model::HostEndpointKey& key : hosts_.stale()) hosts_.erase(key);
}

}  // namespace calc
