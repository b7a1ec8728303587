// workload_interfaces.h: what each workload interface of this host needs beside rules: routes, static ARP, sysctls; and
// whether its endpoint is up (spec dataplane §16.2, §16.5, §17.2, §17.4).
//
// Owned by the kernel thread. Inputs (endpoints, links) only mark; configure() writes sysctls, and the syncers handed
// in write routes and neighbours when their owner applies them. Cost: the interfaces that changed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "calc/output.h"
#include "kernel/apply_report.h"
#include "kernel/device.h"
#include "kernel/link.h"
#include "kernel/neighbour.h"
#include "kernel/route_syncer.h"
#include "kernel/sysctl.h"

namespace dataplane {

struct WorkloadSettings {
  bool ipv6 = true;
  std::uint8_t route_protocol = reconcile::kProtocolBoot;  // DeviceRouteProtocol
  std::uint32_t priority_v4 = 1024;                        // IPv4NormalRoutePriority
  std::uint32_t priority_v6 = 1024;
  std::optional<base::IpAddress> route_source_v4;  // DeviceRouteSourceAddress
  std::optional<base::IpAddress> route_source_v6;
  bool floating_ips = false;    // FloatingIPs=Enabled; OpenStack endpoints have theirs always
  std::string rp_filter = "1";  // kernel::default_rp_filter()
  // kernel::Mtus::workload where there are tunnels: what a guest may send so that it fits into them. Interfaces with a
  // larger MTU get this one. 0: left alone.
  std::uint32_t largest_mtu = 0;
};

// The routes that a workload's addresses and floating IPs need on its interface, both families. Pure.
std::vector<reconcile::Route> workload_routes(const calc::LocalWorkload& workload, const WorkloadSettings& settings);

class WorkloadInterfaces {
 public:
  struct Syncers {
    kernel::RouteSyncer& routes_v4;
    kernel::RouteSyncer* routes_v6;  // null without IPv6
    kernel::NeighbourSyncer& arp;
    kernel::Sysctl& sysctl;
    kernel::DeviceKernel* devices;  // null: MTUs are left alone
  };

  WorkloadInterfaces(WorkloadSettings settings, Syncers syncers, base::Log& log);

  // The endpoint that owns `interface` (shadowed ones are not told), or null when none does any more.
  void want(const std::string& interface, std::shared_ptr<const calc::LocalWorkload> workload);
  void set_largest_mtu(std::uint32_t mtu);
  void link(const kernel::Link& link);
  void link_gone(const std::string& name);

  // Sysctls and MTU of running interfaces that are new, came up, or failed before. What fails stays to be tried again.
  kernel::ApplyReport configure();

  // True if the endpoint on `interface` is active, its interface runs, and its sysctls are set.
  bool up(const std::string& interface) const;
  // Interfaces whose up() may have changed since the last call.
  std::set<std::string> take_touched();

  std::uint64_t sysctl_writes() const { return counters_.writes; }
  std::uint64_t mtu_writes() const { return mtu_writes_; }

 private:
  struct Interface {
    std::shared_ptr<const calc::LocalWorkload> workload;
    bool running = false;
    bool configured = false;  // sysctls written since it last came up
    kernel::IfIndex index = 0;
    std::uint32_t mtu = 0;
  };
  void limit_mtu(const std::string& name, const Interface& interface, kernel::ApplyReport& report);
  void publish_wants(const std::string& name, const Interface& interface);
  void forget_if_unused(const std::string& name);

  WorkloadSettings settings_;
  Syncers syncers_;
  base::Log& log_;
  kernel::SyncCounters counters_;
  std::uint64_t mtu_writes_ = 0;
  std::map<std::string, Interface> interfaces_;
  std::set<std::string> unconfigured_;
  std::set<std::string> touched_;
};

}  // namespace dataplane
