// kernel_side.h: everything that lives on the kernel thread: the data plane, its ports to the kernel, the watch over
// interfaces, health and heartbeat.
//
// create() runs before the loop does and may start short programs (iptables --version, modprobe) and read the
// interfaces; from then on everything happens on the loop, and nothing is written to the kernel's tables before the
// first output.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <regex>
#include <string>

#include "agent/health.h"
#include "agent/intake.h"
#include "agent/process_status.h"
#include "agent/status_keys.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "calc/output.h"
#include "config/derived.h"
#include "dataplane/dataplane.h"
#include "kernel/link_monitor.h"

namespace agent {

constexpr std::string_view kDataplaneReporter = "InternalDataplaneMainLoop";

// Endpoint status keys with their new values; nothing where the key is to go.
using StatusChanges = std::map<std::string, std::optional<std::string>>;

class KernelSide final : public kernel::LinkListener, public dataplane::Listener {
 public:
  static constexpr base::Duration kReportInterval = std::chrono::seconds(10);
  static constexpr base::Duration kMtuCheckInterval = std::chrono::seconds(30);

  struct Options {
    config::Resolved config;
    config::Encapsulation encapsulation;
    base::Symbol hostname;
  };
  // Called on the kernel thread.
  struct Sinks {
    std::function<void(StatusChanges)> statuses;
    std::function<void(std::string, std::optional<std::uint32_t>)> link;  // a name with its MTU; nothing: it has gone
    std::function<void(StatusChanges)> files;  // status files by name, with their contents; may be empty
    std::function<void()> first_turn;
    std::function<void()> in_sync;
    std::function<void(std::uint64_t)> tunnels_ready;  // an order's number
    std::function<void()> beat;
    std::function<void(std::string)> mtu_changed;
    std::function<void(base::Error)> failed;
  };

  // All references outlive the result; it is destroyed when the loop does not run any more.
  static base::Result<std::unique_ptr<KernelSide>> create(base::Loop& loop, base::Log& log,
                                                          base::MetricRegistry& metrics, HealthAggregator& health,
                                                          const Options& options, Sinks sinks);
  ~KernelSide() override;

  void update(const calc::Output& output) { plane_->update(output); }
  void order(const TunnelOrder& order);

  void on_link(const kernel::Link& link) override;
  void on_link_gone(const std::string& name, kernel::IfIndex index) override;
  void on_addresses(const std::string& name, const std::set<base::IpAddress>& addresses) override;
  void on_links_in_sync() override;
  void on_links_failed(const base::Error& error) override;

  void on_workload_status(const model::WorkloadEndpointKey& key,
                          const std::shared_ptr<const model::WorkloadInterface>& interface,
                          std::optional<dataplane::EndpointStatus> status) override;
  void on_host_status(const model::HostEndpointKey& key, std::optional<dataplane::EndpointStatus> status) override;
  void on_first_turn() override;
  void on_in_sync() override;
  void on_tunnels_ready(std::uint64_t order) override;
  void on_failed(const base::Error& error) override;

 private:
  struct KernelPorts;
  KernelSide(base::Loop& loop, base::Log& log, base::MetricRegistry& metrics, HealthAggregator& health, Sinks sinks);

  base::Result<> open_ports(const config::Resolved& config, bool ipv6, render::Features& features);
  base::Result<> open_monitor(const config::Resolved& config);
  base::Result<> prepare_host(const Options& options, bool ipv6, std::uint32_t workload_mtu);
  render::TunnelRules old_tunnels(const dataplane::TunnelSettings& settings) const;
  void take_over();
  void catch_up();
  void report_health();
  void check_mtu();
  std::uint32_t current_mtu() const;
  void tell(std::string key, std::optional<std::string> value);
  void tell_file(std::string name, std::optional<std::string> content);

  base::Loop& loop_;
  base::Log& log_;
  base::MetricRegistry& metrics_;
  HealthAggregator& health_;
  Sinks sinks_;
  StatusPaths paths_;
  config::Resolved config_;
  std::unique_ptr<KernelPorts> ports_;
  std::unique_ptr<dataplane::Dataplane> plane_;
  std::unique_ptr<kernel::LinkMonitor> monitor_;
  std::unique_ptr<Heartbeat> heartbeat_;

  std::map<std::string, kernel::Link> links_;
  std::map<std::string, std::set<base::IpAddress>> early_addresses_;  // until there is a data plane
  std::regex mtu_pattern_;
  std::uint32_t mtu_at_start_ = 0;
  bool first_turn_done_ = false;
  StatusChanges pending_statuses_;  // told together, once a turn
  StatusChanges pending_files_;     // likewise
  struct Told {
    std::string key;
    std::string file;  // empty: it has none
  };
  std::map<model::WorkloadEndpointKey, Told> told_;  // of endpoints whose status was told
  base::TimerId health_timer_{};
  base::TimerId mtu_timer_{};
};

}  // namespace agent
