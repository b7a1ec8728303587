#include "agent/bgp_side.h"

#include <algorithm>

#include "agent/stale_routes.h"
#include "kernel/route_netlink.h"
#include "os/files.h"

namespace agent {
namespace {

constexpr std::string_view kBgpReporter = "BGP";

std::optional<bgp::ReadinessRule> readiness_rule(std::string_view text) {
  if (text == "Off") return std::nullopt;
  if (text == "One") return bgp::ReadinessRule::kOne;
  return text == "All" ? bgp::ReadinessRule::kAll : bgp::ReadinessRule::kStart;
}

}  // namespace

BgpSide::BgpSide(base::Loop& loop, base::Log& log, base::MetricRegistry& metrics, HealthAggregator& health,
                 const config::Resolved& config, bgp::Settings settings)
    : loop_(loop),
      log_(log),
      metrics_(metrics),
      health_(health),
      settings_(std::move(settings)),
      readiness_(readiness_rule(config.text(config::Parameter::kBIRDReadiness))) {
  const std::string& mode = config.text(config::Parameter::kBIRDMode);
  mode_ = mode == "Enabled" ? Mode::kEnabled : mode == "Disabled" ? Mode::kDisabled : Mode::kAuto;
  options_.config_path = config.text(config::Parameter::kBIRDConfigFile);
  options_.socket_path = config.text(config::Parameter::kBIRDSocket);
  options_.pid_path = config.text(config::Parameter::kBIRDPidFile);
  options_.secret_directory = config.text(config::Parameter::kBIRDSecretDirectory);
  options_.supervise = config.text(config::Parameter::kBIRDSupervisor) == "Agent";
}

void BgpSide::release(std::uint64_t order) {
  released_ = std::max(released_.value_or(0), order);
  proceed();
}

void BgpSide::proceed() {
  if (released_ < waiting_.after) {
    if (hold_timer_ != base::TimerId{}) return;
    hold_timer_ = loop_.after(kHold, [this] {
      log_.warning("bgp.tunnels_late", "Tunnels are not ready in time; BIRD goes on without them");
      hold_timer_ = {};
      release(waiting_.after);
    });
    return;
  }
  loop_.cancel(std::exchange(hold_timer_, {}));
  if (!runner_) return consider();
  feed(std::exchange(waiting_, {}));
}

void BgpSide::update(BgpUpdates updates) {
  if (mode_ == Mode::kDisabled) return;
  fold(waiting_, std::move(updates));
  proceed();
}

bool BgpSide::node_has_bgp() const {
  for (const auto& [key, update] : waiting_.updates) {
    const auto* node = std::get_if<model::NodeChange>(&update);
    if (node != nullptr && node->key.name.view() == settings_.node_name) return node->value && node->value->has_bgp;
  }
  return false;
}

void BgpSide::consider() {
  if (runner_ || !waiting_.in_sync) return;
  if (mode_ == Mode::kAuto && !node_has_bgp()) return;
  // With a BIRD that we are to start there is no socket to wait for.
  if (mode_ == Mode::kAuto && !options_.supervise && !os::file_exists(options_.socket_path)) {
    loop_.cancel(timer_);
    timer_ = loop_.after(kLookForSocket, [this] { consider(); });
    return;
  }
  manage();
  feed(std::exchange(waiting_, {}));
}

void BgpSide::manage() {
  log_.info("bgp.managing", "Looking after BIRD",
            {{"configuration", options_.config_path}, {"socket", options_.socket_path}});
  runner_ = std::make_unique<bgp::BirdRunner>(loop_, log_, metrics_, settings_, options_);
  if (readiness_) health_.add(std::string(kBgpReporter), {.live = false, .ready = true}, base::Duration::zero());
  const auto look = [this] {
    report_readiness();
    consider_stale_routes();
  };
  runner_->on_status([look](const bgp::BgpStatus&) { look(); });
  start_up_timer_ = loop_.after(kStartUp, [this, look] {
    starting_up_ = false;
    look();
  });
}

// Not before every session had its time: until then what the other BIRD left may be all there is.
void BgpSide::consider_stale_routes() {
  const bgp::BgpStatus& status = runner_->status();
  const bool well = !bgp::why_not_ready(status, bgp::ReadinessRule::kOne, false) && !status.daemon.recovering;
  if (stale_routes_removed_ || starting_up_ || !well || status.sessions.empty()) return;
  stale_routes_removed_ = true;
  auto kernel = kernel::NetlinkRoutes::open();
  const auto removed =
      kernel ? remove_stale_bird_routes(**kernel) : base::Result<std::size_t>(base::fail(std::move(kernel).error()));
  if (!removed) {
    log_.warning("bgp.stale_routes", "cannot look for routes of a former BIRD", {{"error", removed.error().text()}});
  } else if (*removed > 0) {
    log_.info("bgp.stale_routes", "routes of a former BIRD were removed", {{"count", std::to_string(*removed)}});
  }
}

void BgpSide::report_readiness() {
  if (!readiness_) return;
  const auto why = bgp::why_not_ready(runner_->status(), *readiness_, starting_up_);
  health_.report(std::string(kBgpReporter), true, !why, why.value_or(""));
}

void BgpSide::feed(const BgpUpdates& updates) {
  if (updates.resync) runner_->resync();
  for (const auto& [key, update] : updates.updates) runner_->apply(update);
  if (updates.in_sync) runner_->in_sync();
}

}  // namespace agent
