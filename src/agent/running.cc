#include "agent/running.h"

#include "agent/node_selector.h"
#include "agent/settings_map.h"
#include "base/path_metric.h"
#include "os/memory.h"
#include "os/pause.h"
#include "os/random.h"

namespace agent {

using P = config::Parameter;

Running::Running(const World& world, StartupResult start)
    : world_(world),
      start_(std::move(start)),
      to_status_(edge_.loop(), [this](StatusChanges changes) { take_statuses(std::move(changes)); }),
      to_bgp_(edge_.loop(), [this](BgpUpdates updates) { bgp_->update(std::move(updates)); }),
      to_kernel_(kernel_.loop(), [this](Calculated calculated) { take_output(std::move(calculated)); }),
      hand_over_(base::path_summary(world.metrics, "to_kernel")) {}

base::Result<std::unique_ptr<Running>> Running::create(const World& world, StartupResult start) {
  std::unique_ptr<Running> r(new Running(world, std::move(start)));
  const config::Resolved& config = r->start_.configuration.resolved;
  const StatusPaths paths{config::region_text(config), config.text(P::kFelixHostname)};

  base::Loop& edge = r->edge_.loop();
  r->status_store_ = make_status_store(*r->start_.store, edge);
  if (config.flag(P::kEndpointReportingEnabled)) {
    r->endpoint_status_ = std::make_unique<EndpointStatusReporter>(
        edge, *r->status_store_, world.log, world.metrics,
        EndpointStatusOptions{.delay = config.duration(P::kEndpointReportingDelaySecs),
                              .prefixes = {paths.workload_prefix(), paths.host_endpoint_prefix()}},
        os::make_jitter());
  }
  if (const std::string& prefix = config.text(P::kEndpointStatusPathPrefix); !prefix.empty()) {
    r->status_files_ = std::make_unique<StatusFiles>(edge, world.log, prefix + "/endpoint-status");
  }
  r->process_status_ = std::make_unique<ProcessStatusReporter>(
      edge, *r->status_store_, world.log, paths, config.duration(P::kReportingTTLSecs), world.process_started);
  r->bgp_ = std::make_unique<BgpSide>(edge, world.log, world.metrics, world.health, config,
                                      bgp_settings(config, r->start_.local.environment));
  auto dhcp = dhcp_settings(config);
  if (!dhcp) return base::fail(std::move(dhcp).error());
  if (*dhcp) {
    r->dhcp_service_ = std::make_unique<dhcp::Service>(r->dhcp_.loop(), world.log, world.metrics, **dhcp);
  }
  // In a directory the Nodes are files that the operator writes, each host has its own, and nobody allocates.
  if (r->start_.datastore.uses_etcd() && config.text(P::kTunnelAddressMode) == "Enabled") {
    r->tunnel_keeper_ = std::make_unique<ipam::TunnelKeeper>(r->tunnels_.loop(), world.log, world.metrics,
                                                             paths.hostname, os::make_jitter(), os::pause);
  }

  auto kernel =
      KernelSide::create(r->kernel_.loop(), world.log, world.metrics, world.health,
                         {config, r->start_.encapsulation, r->names_.intern(paths.hostname)}, r->kernel_sinks());
  if (!kernel) return base::fail(std::move(kernel).error());
  r->kernel_side_ = *std::move(kernel);

  config::ConfigTracker tracker(r->start_.local.sources, r->start_.local.diagnostics, r->start_.local.system_hostname,
                                host_probe(), node_selector_predicate());
  r->intake_ =
      std::make_unique<Intake>(r->calc_.loop(), world.log, world.metrics, world.health, r->names_, std::move(tracker),
                               Intake::Options{r->start_.configuration, r->start_.encapsulation}, r->intake_sinks());
  return r;
}

KernelSide::Sinks Running::kernel_sinks() {
  return {.statuses = [this](StatusChanges changes) { to_status_.push(std::move(changes)); },
          .link =
              [this](std::string name, std::optional<std::uint32_t> mtu) {
                if (!dhcp_service_) return;
                dhcp_.loop().post([this, name = std::move(name), mtu] { dhcp_service_->set_link(name, mtu); });
              },
          .files =
              [this](StatusChanges changes) {
                edge_.loop().post([this, all = std::move(changes)]() mutable { take_files(std::move(all)); });
              },
          .first_turn = world_.first_turn,
          .in_sync =
              [this] {
                edge_.loop().post([this] {
                  if (endpoint_status_) endpoint_status_->in_sync();
                  if (status_files_) status_files_->in_sync();
                  os::release_unused_memory();  // starting needs more than running does
                });
              },
          .tunnels_ready = [this](std::uint64_t order) { edge_.loop().post([this, order] { bgp_->release(order); }); },
          .beat = [this] { edge_.loop().post([this] { process_status_->beat(); }); },
          .mtu_changed = [this](std::string why) { world_.leave(ShutdownCause::kConfigChanged, std::move(why)); },
          .failed = [this](const base::Error& error) { world_.leave(ShutdownCause::kFatal, error.text()); }};
}

Intake::Sinks Running::intake_sinks() {
  return {.output = [this](calc::Output output) { to_kernel_.push({std::move(output), calc_.loop().now()}); },
          .tunnels = [this](TunnelOrder order) { to_kernel_.push({calc::Delta{}, calc_.loop().now(), order}); },
          .bgp = [this](BgpUpdates updates) { to_bgp_.push(std::move(updates)); },
          .timeouts = [this](config::DurationMap timeouts) { world_.health.set_overrides(std::move(timeouts)); },
          .leave = world_.leave};
}

void Running::take_output(Calculated calculated) {
  hand_over_.observe(std::chrono::duration<double>(kernel_.loop().now() - calculated.at).count());
  kernel_side_->update(calculated.output);
  if (calculated.tunnels) kernel_side_->order(*calculated.tunnels);
}

void Running::take_statuses(StatusChanges changes) {
  if (!endpoint_status_) return;
  for (auto& [key, value] : changes) {
    if (value) {
      endpoint_status_->set(key, *std::move(value));
    } else {
      endpoint_status_->clear(key);
    }
  }
}

void Running::take_files(StatusChanges changes) {
  if (!status_files_) return;
  for (auto& [name, content] : changes) {
    if (content) {
      status_files_->set(name, *std::move(content));
    } else {
      status_files_->clear(name);
    }
  }
}

void Running::start() {
  edge_.start();
  kernel_.start();
  if (dhcp_service_) {
    dhcp_.loop().post([this] { dhcp_service_->start(*start_.store); });
    dhcp_.start();
  }
  if (tunnel_keeper_) {
    tunnels_.loop().post([this] { tunnel_keeper_->start(*start_.store); });
    tunnels_.start();
  }
  calc_.loop().post([this] { intake_->start(*start_.store); });
  calc_.start();
}

Running::~Running() {
  calc_.stop();
  kernel_.stop();
  dhcp_.stop();
  tunnels_.stop();
  edge_.stop();
  // The subscription and all requests end before the store does, the store before the loops it answers on.
  intake_.reset();
  kernel_side_.reset();
  dhcp_service_.reset();
  tunnel_keeper_.reset();
  bgp_.reset();
  process_status_.reset();
  endpoint_status_.reset();
  status_files_.reset();
  status_store_.reset();
  start_.store.reset();
}

}  // namespace agent
