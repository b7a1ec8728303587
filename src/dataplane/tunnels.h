// tunnels.h: this host's tunnel devices, what they know about other hosts, and the routes to other hosts' guests (spec
// dataplane §16.2, §18).
//
// Owned by the kernel thread. Inputs (settings, calculation, links, addresses) only mark; apply() brings the devices,
// forwarding tables and IPv6 neighbours to what is wanted and hands routes and IPv4 neighbours to their syncers. Cost:
// what changed. Memory: 28 bytes a destination, since there is one for every guest of the cloud; what the route itself
// looks like is kept by the syncer alone.
//
// Fail closed: a device takes no packets before guard() has said that the rules are in the kernel which drop those of
// strangers, and rules() asks for them for as long as a device may take any.
//
// No packet is to be lost while a pool changes its mode, although hosts never change at the same moment:
//   a device takes packets as soon as the rules guard it, also without an address of its own;
//   a device that comes into use waits until every host has its tunnel address, kAddressesDue at most, and listens for
//     kListenFirst before routes lead into it, so that the others have theirs, too; until then routes lead where they
//     led;
//   a host's former tunnel address is known for another turn, until routes lead to the new one;
//   a route that is no longer ours to make stays for kHandOver, so that BIRD has put its own beside it;
//   a device that is no longer used stays for kLinger and goes on taking the packets of hosts that are late;
//     ipam::TunnelKeeper keeps addresses longer than that.
//
// A device that cannot be had is told in the log, once for each reason, with the remedy, and tried again; it holds up
// nothing else.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/compact_map.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/value_pool.h"
#include "calc/output.h"
#include "dataplane/tunnel_routes.h"
#include "kernel/apply_report.h"
#include "kernel/device.h"
#include "kernel/fdb.h"
#include "kernel/link.h"
#include "kernel/neighbour.h"
#include "kernel/route_syncer.h"
#include "render/objects.h"

namespace dataplane {

class Tunnels {
 public:
  // Whoever keeps addresses hears of a pool when we do, and a thousand nodes have theirs after some seconds. With
  // kListenFirst it is well below kLinger, since what was used before has to last so long.
  static constexpr base::Duration kAddressesDue = std::chrono::seconds(15);
  static constexpr base::Duration kListenFirst = std::chrono::seconds(3);
  static constexpr base::Duration kHandOver = std::chrono::seconds(10);
  static constexpr base::Duration kLinger = std::chrono::seconds(30);
  static constexpr base::Duration kLookAgain = std::chrono::seconds(10);     // after a failure
  static constexpr base::Duration kForget = std::chrono::milliseconds(500);  // a former address, at the latest

  struct Parts {
    kernel::RouteSyncer& routes_v4;
    kernel::RouteSyncer* routes_v6;  // null without IPv6
    kernel::NeighbourSyncer& neighbours_v4;
    kernel::NeighbourKernel& neighbours;
    kernel::FdbKernel& fdb;
    kernel::DeviceKernel& devices;
  };
  Tunnels(TunnelSettings settings, const Parts& parts, const base::Clock& clock, base::Log& log,
          base::MetricRegistry& metrics);

  // Another set of tunnels, other sizes or addresses. Names stay as they were.
  void change(TunnelSettings settings);
  // Whose packets the rules have to take, from known hosts only: those of devices in use and of devices that linger.
  render::TunnelRules rules() const;
  // These rules are in the kernel. True if a device has waited for them: it comes up at the next apply().
  bool guard(render::TunnelRules rules);
  // From now on rules may be on their way out of the kernel that are not among these.
  void unguard(const render::TunnelRules& but);

  void update(const calc::Changes& changes, bool snapshot);
  void link(const kernel::Link& link);
  void link_gone(const std::string& name);
  // All interfaces but those of workloads, with their addresses.
  void host_interfaces(const render::HostInterfaces& interfaces);

  void request_resync();
  kernel::ApplyReport apply();

  // Every device that can be had is up and has listened long enough, and its routes have been handed over.
  bool ready() const;
  // Requests sent that change devices and tables.
  std::uint64_t writes() const { return writes_ + fdb_.counters().writes + (ndp_ ? ndp_->counters().writes : 0); }

 private:
  enum class State { kUnknown, kWaiting, kFailed, kNoAddress, kUp, kUnused };
  struct Device {
    std::string name;
    base::Family family = base::Family::kIpv4;
    bool vxlan = false;
    bool wanted = false;
    bool lingers = false;  // not wanted, but may still take packets
    State state = State::kUnknown;
    bool look = true;                            // may differ from what is wanted
    bool coming = false;                         // wanted of late; has not begun to listen
    std::optional<base::Instant> addresses_due;  // so long routes wait for hosts without a tunnel address
    std::optional<base::Instant> listens_until;  // routes wait
    std::set<base::Symbol> without;              // other hosts that have no address of this kind
    std::optional<base::Instant> retire_at;
    std::string told;  // the last reason why it is not there
    base::Gauge up;
  };
  // What is known of one family.
  struct Side {
    std::optional<base::IpAddress> host;  // this host's own address
    std::optional<std::string> parent;    // the interface that has it
    std::map<base::Symbol, Vtep> others;
    std::vector<Vtep> former;  // what some of them were, while routes may lead there
    bool others_changed = true;
  };
  struct KnownLink {
    kernel::IfIndex index = 0;
    bool running = false;
  };
  struct RouteEdits {
    std::vector<reconcile::Route> set;
    std::vector<reconcile::RouteKey> gone;
  };
  // In whose name, and through which interface, a route was handed to its syncer.
  struct Placement {
    reconcile::RouteClass owner{};
    bool any = false;
    std::uint16_t interface = 0;  // index in interface_names_
    friend bool operator==(const Placement&, const Placement&) = default;
  };
  struct Destination {
    base::PooledId route = base::kNotPooled;  // what the calculation says; kNotPooled: nothing any more
    Placement placed;
  };
  using Edits = std::map<std::tuple<base::Family, reconcile::RouteClass, std::string>, RouteEdits>;

  enum Index : std::size_t { kIpip, kVxlanV4, kVxlanV6 };
  static Index vxlan_index(base::Family family) { return family == base::Family::kIpv4 ? kVxlanV4 : kVxlanV6; }
  bool asked_for(const Device& device) const;
  bool guarded(const Device& device) const;
  void begin_use(Device& device);
  void end_use(Device& device);
  Side& side(base::Family family) { return family == base::Family::kIpv4 ? v4_ : v6_; }
  const Side& side(base::Family family) const { return family == base::Family::kIpv4 ? v4_ : v6_; }
  bool take_node(base::Symbol name, const model::Node* node);
  bool take_vtep(base::Symbol name, base::Family family, const std::optional<Vtep>& vtep);
  void take_route(const base::Prefix& prefix, const calc::ClusterRoute* route);
  void find_parents();
  void look_again();
  void mark_routes_of(const std::set<base::Symbol>& nodes);
  void mark_all_routes();

  std::optional<reconcile::DeviceSpec> spec_of(const Device& device) const;
  bool has_address(const Device& device) const;
  void await_addresses(Device& device, kernel::ApplyReport& report);
  void bring_up(Device& device, kernel::ApplyReport& report);
  base::Result<bool> converge(const reconcile::DeviceSpec& spec);
  void retire(Device& device, kernel::ApplyReport& report);
  void tell(Device& device, State state, const std::string& reason);
  std::string missing_for(const Device& device) const;

  void publish_tables(kernel::ApplyReport& report);
  void publish_routes(kernel::ApplyReport& report);
  void place(const base::Prefix& prefix, Edits& edits);
  void place(const base::Prefix& prefix, Destination& destination, Edits& edits);
  void displace(const base::Prefix& prefix, Placement& placed, Edits& edits);
  std::uint16_t interface_number(const std::string& name);
  bool held(const std::string& interface) const;

  TunnelSettings settings_;
  Parts parts_;
  const base::Clock& clock_;
  base::Log& log_;
  base::MetricRegistry& metrics_;
  kernel::FdbSyncer fdb_;
  std::optional<kernel::NeighbourSyncer> ndp_;
  std::array<Device, 3> devices_;
  Side v4_, v6_;
  render::HostInterfaces host_interfaces_;
  std::map<std::string, KnownLink> links_;
  base::CompactMap<base::Prefix, Destination> destinations_;
  base::ValuePool<calc::ClusterRoute> cluster_routes_;  // of them: few differ for the guests of one host
  std::vector<std::string> interface_names_;            // that routes were ever placed on
  std::size_t placed_count_ = 0;
  std::map<base::Prefix, base::Instant> handing_over_;  // placed, but BIRD's from then on
  std::vector<base::Prefix> dirty_;                     // in any order, some more than once
  render::TunnelRules guarded_;
  bool was_ready_ = false;  // at the last apply()
  std::uint64_t writes_ = 0;
  base::Gauge route_count_;
};

}  // namespace dataplane
