// running.h: the agent in steady state: its threads, the mailboxes between them, and who owns what. All of it in one
// place.
//
//   store's own ─► calc ──output──► kernel ──statuses, beat──► edge ─► store
//                    └────bgp──────────────────────────────────► edge ─► BIRD
//   store's own ─► dhcp ─► dnsmasq         kernel ──links──► dhcp
//   store's own ─► tunnels ─► store
//
//   thread   loop runs                                        may block on
//   calc     Intake: decode, calculate, notice configuration  nothing
//   kernel   KernelSide: render, reconcile, write             netlink requests; never on a child process
//   edge     status reporters, BgpSide                        small files
//   dhcp     dhcp::Service                                    files; dnsmasq's start and end
//   tunnels  ipam::TunnelKeeper                               requests to the datastore
//   http     health and metrics                               nothing
//   main     start-up, signals, leaving                       nothing
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "agent/bgp_side.h"
#include "agent/endpoint_status.h"
#include "agent/health.h"
#include "agent/intake.h"
#include "agent/kernel_side.h"
#include "agent/process_status.h"
#include "agent/shutdown.h"
#include "agent/startup.h"
#include "agent/status_files.h"
#include "base/mailbox.h"
#include "dhcp/runtime/service.h"
#include "ipam/tunnel_keeper.h"
#include "os/loop_thread.h"

namespace agent {

class Running {
 public:
  struct World {
    base::Log& log;
    base::MetricRegistry& metrics;
    HealthAggregator& health;
    base::Instant process_started;
    std::function<void(ShutdownCause, std::string)> leave;  // any thread
    std::function<void()> first_turn;                       // any thread; the kernel is programmed for the first time
  };

  // Starts nothing yet. Fails when this host cannot be programmed (no iptables, not root, …).
  static base::Result<std::unique_ptr<Running>> create(const World& world, StartupResult start);
  ~Running();  // stops the threads, from the source of the data to its end
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void start();

 private:
  struct Calculated {
    calc::Output output;
    base::Instant at;
    std::optional<TunnelOrder> tunnels = {};  // the last of several covers them
  };
  struct Fold {
    void operator()(Calculated& pending, Calculated later) const {
      calc::fold(pending.output, std::move(later.output));
      if (later.tunnels) pending.tunnels = later.tunnels;
    }
    void operator()(BgpUpdates& pending, BgpUpdates later) const { agent::fold(pending, std::move(later)); }
    void operator()(StatusChanges& pending, StatusChanges later) const {
      for (auto& [key, value] : later) pending.insert_or_assign(key, std::move(value));
    }
  };

  Running(const World& world, StartupResult start);
  KernelSide::Sinks kernel_sinks();
  Intake::Sinks intake_sinks();
  void take_statuses(StatusChanges changes);
  void take_files(StatusChanges changes);
  void take_output(Calculated calculated);

  const World world_;
  base::Interner names_;  // outlives everything that symbols travel to

  os::LoopThread edge_{"edge"};
  os::LoopThread kernel_{"kernel"};
  os::LoopThread calc_{"calc"};
  os::LoopThread dhcp_{"dhcp"};
  os::LoopThread tunnels_{"tunnels"};
  StartupResult start_;  // holds the store, which the loops outlive

  std::unique_ptr<StatusStore> status_store_;
  std::unique_ptr<EndpointStatusReporter> endpoint_status_;  // null unless EndpointReportingEnabled
  std::unique_ptr<StatusFiles> status_files_;                // null without EndpointStatusPathPrefix
  std::unique_ptr<ProcessStatusReporter> process_status_;
  std::unique_ptr<BgpSide> bgp_;
  std::unique_ptr<dhcp::Service> dhcp_service_;        // null with DHCPMode Disabled
  std::unique_ptr<ipam::TunnelKeeper> tunnel_keeper_;  // null without etcd, and with TunnelAddressMode Disabled
  std::unique_ptr<KernelSide> kernel_side_;

  base::Mailbox<StatusChanges, Fold> to_status_;  // kernel -> edge
  base::Mailbox<BgpUpdates, Fold> to_bgp_;        // calc -> edge
  base::Mailbox<Calculated, Fold> to_kernel_;     // calc -> kernel
  base::Summary hand_over_;                       // of to_kernel_

  std::unique_ptr<Intake> intake_;
};

}  // namespace agent
