#include "dataplane/workload_interfaces.h"

#include <utility>

namespace dataplane {
namespace {

constexpr std::string_view kOpenStack = "openstack";

reconcile::Route device_route(const base::IpAddress& address, const WorkloadSettings& settings) {
  reconcile::Route route;
  route.key = reconcile::make_route_key(base::Prefix::host(address),
                                        address.is_v4() ? settings.priority_v4 : settings.priority_v6);
  route.attributes.scope = reconcile::RouteScope::kLink;
  route.attributes.protocol = settings.route_protocol;
  route.attributes.source = address.is_v4() ? settings.route_source_v4 : settings.route_source_v6;
  return route;
}

bool may_spoof(const calc::LocalWorkload& workload) { return !workload.interface->allowed_source_prefixes.empty(); }

}  // namespace

std::vector<reconcile::Route> workload_routes(const calc::LocalWorkload& workload, const WorkloadSettings& settings) {
  const model::WorkloadInterface& interface = *workload.interface;
  std::vector<reconcile::Route> routes;
  if (!interface.active) return routes;
  for (const base::IpAddress& address : interface.addresses) routes.push_back(device_route(address, settings));
  if (settings.floating_ips || interface.orchestrator == kOpenStack) {
    for (const model::NatMapping& nat : interface.nats) routes.push_back(device_route(nat.external, settings));
  }
  return routes;
}

WorkloadInterfaces::WorkloadInterfaces(WorkloadSettings settings, Syncers syncers, base::Log& log)
    : settings_(std::move(settings)), syncers_(syncers), log_(log) {}

void WorkloadInterfaces::want(const std::string& interface, std::shared_ptr<const calc::LocalWorkload> workload) {
  Interface& entry = interfaces_[interface];
  // The rp_filter setting follows the endpoint, so every update of one is a reason to look at the sysctls again; the
  // endpoint is not down meanwhile if they stay the same.
  const bool same = entry.workload && workload && may_spoof(*entry.workload) == may_spoof(*workload);
  entry.workload = std::move(workload);
  entry.configured = entry.configured && same;
  if (entry.workload) {
    unconfigured_.insert(interface);
  } else {
    unconfigured_.erase(interface);
  }
  publish_wants(interface, entry);
  touched_.insert(interface);
  forget_if_unused(interface);
}

// Where tunnels have gone, guests keep what they have until Nova plugs them again.
void WorkloadInterfaces::set_largest_mtu(std::uint32_t mtu) {
  if (std::exchange(settings_.largest_mtu, mtu) == mtu || mtu == 0) return;
  for (const auto& [name, interface] : interfaces_) {
    if (interface.workload && interface.mtu > mtu) unconfigured_.insert(name);
  }
}

void WorkloadInterfaces::link(const kernel::Link& link) {
  syncers_.routes_v4.interface_present(link.name, link.index, link.running);
  if (syncers_.routes_v6 != nullptr) syncers_.routes_v6->interface_present(link.name, link.index, link.running);
  syncers_.arp.interface_present(link.name, link.index, link.running);
  Interface& entry = interfaces_[link.name];
  const bool came_up = link.running && !entry.running;
  entry.running = link.running;
  entry.index = link.index;
  if (entry.workload && link.mtu > entry.mtu) unconfigured_.insert(link.name);  // somebody raised it
  entry.mtu = link.mtu;
  if (came_up || !link.running) entry.configured = false;
  if (entry.workload) {
    if (came_up) unconfigured_.insert(link.name);
    touched_.insert(link.name);
  }
}

void WorkloadInterfaces::link_gone(const std::string& name) {
  syncers_.routes_v4.interface_gone(name);
  if (syncers_.routes_v6 != nullptr) syncers_.routes_v6->interface_gone(name);
  syncers_.arp.interface_gone(name);
  const auto found = interfaces_.find(name);
  if (found == interfaces_.end()) return;
  found->second.running = false;
  found->second.configured = false;
  if (found->second.workload) touched_.insert(name);
  forget_if_unused(name);
}

kernel::ApplyReport WorkloadInterfaces::configure() {
  kernel::ApplyReport report;
  std::set<std::string> pending;
  pending.swap(unconfigured_);
  for (const std::string& name : pending) {
    const auto found = interfaces_.find(name);
    if (found == interfaces_.end() || !found->second.workload) continue;
    Interface& entry = found->second;
    if (!entry.running) continue;  // coming up puts it back
    kernel::InterfaceSysctls wanted;
    wanted.interface = name;
    wanted.rp_filter = may_spoof(*entry.workload) ? "0" : settings_.rp_filter;
    wanted.ipv6 = settings_.ipv6;
    auto done = kernel::configure_interface(syncers_.sysctl, wanted, log_, counters_);
    touched_.insert(name);
    entry.configured = done.has_value();
    limit_mtu(name, entry, report);
    if (!done) {
      unconfigured_.insert(name);
      report.retry = true;
      report.problems.push_back({"sysctls of " + name, std::move(done).error()});
    }
  }
  return report;
}

// A guest that sends more than fits into a tunnel would have to be told for each destination.
void WorkloadInterfaces::limit_mtu(const std::string& name, const Interface& interface, kernel::ApplyReport& report) {
  if (syncers_.devices == nullptr || settings_.largest_mtu == 0 || interface.mtu <= settings_.largest_mtu) return;
  reconcile::DeviceEdit edit;
  edit.kind = reconcile::DeviceEdit::Kind::kSetMtu;
  edit.index = interface.index;
  edit.spec.name = name;
  edit.mtu = settings_.largest_mtu;
  ++mtu_writes_;
  if (auto done = syncers_.devices->apply(edit); !done) {
    unconfigured_.insert(name);
    report.retry = true;
    report.problems.push_back({"MTU of " + name, std::move(done).error()});
  }
}

bool WorkloadInterfaces::up(const std::string& interface) const {
  const auto found = interfaces_.find(interface);
  if (found == interfaces_.end()) return false;
  const Interface& entry = found->second;
  return entry.workload && entry.workload->interface->active && entry.running && entry.configured;
}

std::set<std::string> WorkloadInterfaces::take_touched() { return std::exchange(touched_, {}); }

void WorkloadInterfaces::publish_wants(const std::string& name, const Interface& interface) {
  std::vector<reconcile::Route> routes;
  std::vector<reconcile::Neighbour> neighbours;
  if (interface.workload) {
    routes = workload_routes(*interface.workload, settings_);
    if (const auto& mac = interface.workload->interface->mac) {
      for (const reconcile::Route& route : routes) {
        if (route.key.prefix.address.is_v4()) neighbours.push_back({route.key.prefix.address, *mac});
      }
    }
  }
  syncers_.routes_v4.want(reconcile::RouteClass::kLocalWorkload, name, routes);
  if (syncers_.routes_v6 != nullptr) syncers_.routes_v6->want(reconcile::RouteClass::kLocalWorkload, name, routes);
  syncers_.arp.want(name, neighbours);
}

void WorkloadInterfaces::forget_if_unused(const std::string& name) {
  const auto found = interfaces_.find(name);
  if (!found->second.workload && !found->second.running) interfaces_.erase(found);
}

}  // namespace dataplane
