// dataplane.h: the kernel thread's one object: turns the calculation's output into kernel state (spec dataplane §1.3).
//
// One turn, on this order because a rule may not name a set that does not exist and the kernel refuses to destroy a set
// that a rule still names:
//
//   1 IP sets: create, fill           4 when the rules are in: destroy sets no longer named
//   2 rules: start the restore        5 tell which endpoints are up
//   3 tunnel devices, ARP, routes, sysctls meanwhile
//
// Nothing is written before the first calc::Snapshot and the first complete picture of the interfaces are both there:
// an agent that restarts leaves the rules of its predecessor in force until then. The first change after idle is
// written at once; changes that arrive during a restore are merged by the syncers and go in the next one. What fails is
// retried with back-off, beside the rest.
//
// A turn begins while the restores of earlier ones may still run. Each remembers what it covers, and steps 4 and 5
// are done for that when its own restores end: changes that never stop coming do not keep them waiting.
//
// Thread rules: everything on the loop's thread. The ports, log and registry outlive the object.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "calc/output.h"
#include "dataplane/message_metrics.h"
#include "dataplane/tunnels.h"
#include "dataplane/workload_interfaces.h"
#include "kernel/conntrack.h"
#include "kernel/ipset_syncer.h"
#include "kernel/iptables_syncer.h"
#include "kernel/link.h"
#include "kernel/neighbour.h"
#include "kernel/route_syncer.h"
#include "kernel/sysctl.h"
#include "render/iptables/renderer.h"

namespace dataplane {

struct Settings {
  render::Settings render;
  WorkloadSettings workload;
  TunnelSettings tunnels;
  std::uint32_t max_set_elements = 1'048'576;                // MaxIpsetSize
  bool program_routes = true;                                // false: RouteSyncDisabled
  bool remove_external_routes = true;                        // RemoveExternalRoutes
  base::Duration sets_refresh = std::chrono::seconds(90);    // IpsetsRefreshInterval; zero or less: never
  base::Duration routes_refresh = std::chrono::seconds(90);  // RouteRefreshInterval
  std::chrono::milliseconds rules_first_check{5'000};        // IptablesPostWriteCheckIntervalSecs
  std::chrono::milliseconds rules_refresh{180'000};          // IptablesRefreshInterval
  reconcile::IptablesOptions planner;
};

struct Ports {
  kernel::IpSetKernel& sets;
  kernel::RouteKernel& routes;
  kernel::ConntrackCleaner& conntrack;
  kernel::NeighbourKernel& neighbours;
  kernel::Sysctl& sysctl;
  kernel::IptablesTool& iptables_v4;
  kernel::IptablesTool* iptables_v6;  // null without IPv6
  // Both or none. Without them there are no tunnels, and guests keep the MTU they have.
  kernel::DeviceKernel* devices = nullptr;
  kernel::FdbKernel* fdb = nullptr;
};

enum class EndpointStatus : std::uint8_t { kUp, kDown, kError };

// Called on the data plane's thread.
class Listener {
 public:
  virtual ~Listener() = default;
  // What is told is what changed, status or interface; no status means that the endpoint is gone.
  virtual void on_workload_status(const model::WorkloadEndpointKey& key,
                                  const std::shared_ptr<const model::WorkloadInterface>& interface,
                                  std::optional<EndpointStatus> status) = 0;
  virtual void on_host_status(const model::HostEndpointKey& key, std::optional<EndpointStatus> status) = 0;
  // After the first turn has run, whether or not it left something to retry: what readiness waits for.
  virtual void on_first_turn() = 0;
  // After the first turn that left nothing: the kernel is as wanted.
  virtual void on_in_sync() = 0;
  // What Dataplane::set_tunnels() has ordered, and the routes calculated before it, is in the kernel as far as it can
  // be had, and other hosts have had their time. BIRD may now make the routes that follow from the order.
  virtual void on_tunnels_ready(std::uint64_t /*order*/) {}
  // Interfaces can no longer be watched: the process must start afresh.
  virtual void on_failed(const base::Error& error) = 0;
};

// What has been written since the start, for metrics and for proving that a restart with nothing changed writes
// nothing.
struct WriteCounts {
  std::uint64_t sets = 0;
  std::uint64_t rules = 0;  // restores
  std::uint64_t routes = 0;
  std::uint64_t neighbours = 0;
  std::uint64_t sysctls = 0;
  std::uint64_t tunnels = 0;  // devices, their MTU and tables
  std::uint64_t total() const { return sets + rules + routes + neighbours + sysctls + tunnels; }
};

class Dataplane final : public kernel::LinkListener {
 public:
  // Fails when the mark mask has too few bits.
  [[nodiscard]] static base::Result<std::unique_ptr<Dataplane>> create(base::Loop& loop, base::Log& log,
                                                                       base::MetricRegistry& metrics, Settings settings,
                                                                       const Ports& ports, Listener& listener);
  ~Dataplane() override;
  Dataplane(const Dataplane&) = delete;
  Dataplane& operator=(const Dataplane&) = delete;

  void update(const calc::Output& output);
  // Another set of tunnels, or the same again. `largest_mtu` as in WorkloadSettings. Orders count upwards; that of a
  // later call covers all before it.
  void set_tunnels(TunnelSettings tunnels, std::uint32_t largest_mtu, std::uint64_t order);

  void on_link(const kernel::Link& link) override;
  void on_link_gone(const std::string& name, kernel::IfIndex index) override;
  void on_addresses(const std::string& name, const std::set<base::IpAddress>& addresses) override;
  void on_links_in_sync() override;
  void on_links_failed(const base::Error& error) override;

  // Nothing is waiting to be written, and no restore runs.
  bool idle() const { return !scheduled_ && turns_.empty() && clean_; }
  // Reads everything back at the next turn and corrects what differs.
  void resync();
  WriteCounts writes() const;

 private:
  // Everything of one address family.
  struct FamilyPlane {
    FamilyPlane(base::Loop& loop, base::Log& log, base::MetricRegistry& metrics, const Settings& settings,
                const Ports& ports, kernel::IptablesTool& tool, const kernel::IptablesSyncer::Hooks& hooks,
                base::Family family);
    base::Family family;
    kernel::IpSetSyncer sets;
    kernel::IptablesSyncer rules;
    kernel::RouteSyncer routes;
    base::Gauge wanted_sets, wanted_routes, route_interfaces;  // felix_ipsets_calico, felix_route_table_num_…
    // Rendered, but the next turn has yet to create the sets that they name.
    render::iptables::PerTable<render::iptables::TableChanges> staged;
  };
  // From the moment it writes sets until the rules it found are in.
  struct Turn {
    base::Instant started{};
    base::Instant rules_started{};
    std::uint64_t restores_before = 0;
    int pending = 0;                  // families whose rules are not in yet
    bool clean = true;                // nothing left to retry
    bool unwritten = false;           // a table could not be read or written
    std::uint64_t tunnels_ready = 0;  // the order that is carried out: devices, and the routes into them
    std::optional<base::Duration> retry_after;
    std::set<std::string> problems;
  };
  struct PathMetrics {
    explicit PathMetrics(base::MetricRegistry& metrics);
    base::Summary render, sets, rules, routes;
  };

  Dataplane(base::Loop& loop, base::Log& log, base::MetricRegistry& metrics, Settings settings, const Ports& ports,
            Listener& listener, render::iptables::Renderer renderer);

  void take(const render::iptables::RenderChanges& changes);
  void track_workloads(const calc::Output& output);
  void follow_interfaces(const std::set<std::string>& names);

  void follow_tunnels(render::TunnelRules now);
  bool may_write() const { return snapshot_seen_ && links_in_sync_; }
  void schedule();
  void turn();
  void rules_done(std::uint64_t number, FamilyPlane& plane, std::uint64_t mark, const kernel::ApplyReport& report);
  void end_of_turn(Turn& turn);
  void note(Turn& turn, const kernel::ApplyReport& report, std::string_view what);
  void arm_retry(const Turn& turn);
  void arm_refresh(base::TimerId& timer, base::Duration interval, const std::function<void()>& refresh);
  void publish_statuses();
  void publish_host_statuses();
  void publish_gauges();
  void publish_set_counters();
  void look_for_misconfiguration();

  base::Loop& loop_;
  base::Log& log_;
  base::MetricRegistry& metrics_;
  const Settings settings_;
  Listener& listener_;
  render::iptables::Renderer renderer_;
  kernel::ConntrackCleaner& conntrack_;
  std::unique_ptr<FamilyPlane> v4_;
  std::unique_ptr<FamilyPlane> v6_;  // null without IPv6
  std::vector<FamilyPlane*> planes_;
  kernel::NeighbourSyncer arp_;
  WorkloadInterfaces interfaces_;
  std::unique_ptr<Tunnels> tunnels_;  // null without ports for them

  bool snapshot_seen_ = false;
  bool links_in_sync_ = false;
  bool scheduled_ = false;
  bool first_turn_done_ = false;
  bool in_sync_ = false;
  std::map<std::uint64_t, Turn> turns_;   // that have not ended, by number
  std::uint64_t last_turn_ = 0;           // begun
  std::uint64_t written_turn_ = 0;        // the last one whose rules are in, and so are those of all before
  bool clean_ = true;                     // the turn that ended last left nothing
  std::set<std::string> known_problems_;  // of the turn that ended last: logged already
  render::TunnelRules tunnel_rules_;      // wanted
  std::uint64_t tunnel_rules_since_ = 1;  // the turn that writes them
  std::uint64_t tunnels_ordered_ = 0;
  std::uint64_t tunnels_told_ = 0;
  base::Duration backoff_{};
  base::TimerId retry_timer_{};
  base::TimerId sets_timer_{};
  base::TimerId routes_timer_{};

  struct Workload {
    std::shared_ptr<const calc::LocalWorkload> workload;
    std::optional<EndpointStatus> told;
    std::shared_ptr<const model::WorkloadInterface> told_interface;
    std::string placed;       // the interface that it owns and is active on, or none
    std::uint64_t since = 0;  // the turn that writes the first rules for that
  };
  std::map<model::WorkloadEndpointKey, Workload> workloads_;
  std::map<std::string, std::set<model::WorkloadEndpointKey>> by_interface_;
  std::set<model::WorkloadEndpointKey> status_dirty_;
  std::map<model::HostEndpointKey, std::optional<EndpointStatus>> host_endpoints_;  // and what was told
  std::set<model::HostEndpointKey> host_removed_;
  render::HostInterfaces host_interfaces_;
  std::map<std::string, bool> running_;  // by interface, for host endpoint status
  bool interfaces_changed_ = true;       // since the last look for a misconfiguration
  std::string misconfiguration_;         // as last logged

  PathMetrics path_;
  MessageMetrics messages_;
  base::Summary apply_time_;
  base::Gauge first_apply_time_;
  base::Counter failures_;
  base::Gauge total_sets_;
  base::Counter set_calls_, set_errors_, set_operations_;
  // As last told to the metrics.
  WriteCounts published_;
  kernel::IpSetCounters published_sets_;
};

}  // namespace dataplane
