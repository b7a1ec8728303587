// bgp_side.h: decides whether this agent looks after BIRD, and hands it what it needs.
//
// BIRDMode: Enabled, Disabled, or Auto: as soon as BIRD's control socket is there and this Node has BGP settings in the
// datastore. A host whose BIRD is configured by other means (Calico's scripts for OpenStack make no Node resources) is
// left alone.
//
// While it does, and unless BIRDReadiness is Off, it reports to health as "BGP": ready by the rule of BIRDReadiness, at
// every change of a session. Once BIRD is well, routes that another BIRD left in the kernel are removed
// (stale_routes.h). On the edge thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "agent/health.h"
#include "agent/intake.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "bgp/runtime/bird_runner.h"
#include "config/resolve.h"

namespace agent {

class BgpSide {
 public:
  static constexpr base::Duration kLookForSocket = std::chrono::seconds(5);
  static constexpr base::Duration kHold = std::chrono::seconds(60);

  // Upstream's start-up window: so long every session counts (spec bgp §5.1).
  static constexpr base::Duration kStartUp = std::chrono::seconds(30);

  BgpSide(base::Loop& loop, base::Log& log, base::MetricRegistry& metrics, HealthAggregator& health,
          const config::Resolved& config, bgp::Settings settings);
  ~BgpSide() {
    loop_.cancel(timer_);
    loop_.cancel(hold_timer_);
    loop_.cancel(start_up_timer_);
  }
  BgpSide(const BgpSide&) = delete;
  BgpSide& operator=(const BgpSide&) = delete;

  void update(BgpUpdates updates);
  // The kernel thread has carried out the tunnel orders up to this one. BIRD is left as it is until the order that its
  // news come after is carried out, or kHold has passed: routes that the agent makes come before BIRD stops making
  // them, and BIRD sends into a tunnel only when other hosts have had the time to expect it.
  void release(std::uint64_t order);

 private:
  enum class Mode { kAuto, kEnabled, kDisabled };
  void proceed();
  void consider();
  bool node_has_bgp() const;
  void feed(const BgpUpdates& updates);
  void manage();
  void report_readiness();
  void consider_stale_routes();

  base::Loop& loop_;
  base::Log& log_;
  base::MetricRegistry& metrics_;
  HealthAggregator& health_;
  Mode mode_ = Mode::kAuto;
  bgp::Settings settings_;
  bgp::RunnerOptions options_;
  BgpUpdates waiting_;  // held back, or everything so far until there is a runner
  std::unique_ptr<bgp::BirdRunner> runner_;
  base::TimerId timer_{};
  base::TimerId hold_timer_{};
  std::optional<std::uint64_t> released_;
  std::optional<bgp::ReadinessRule> readiness_;  // nothing: BGP has no say
  bool starting_up_ = true;
  bool stale_routes_removed_ = false;
  base::TimerId start_up_timer_{};
};

}  // namespace agent
