#include "agent/bgp_side.h"

#include "os/files.h"

namespace agent {

BgpSide::BgpSide(base::Loop& loop, base::Log& log, base::MetricRegistry& metrics, const config::Resolved& config,
                 bgp::Settings settings)
    : loop_(loop), log_(log), metrics_(metrics), settings_(std::move(settings)) {
  const std::string& mode = config.text(config::Parameter::kBIRDMode);
  mode_ = mode == "Enabled" ? Mode::kEnabled : mode == "Disabled" ? Mode::kDisabled : Mode::kAuto;
  options_.config_path = config.text(config::Parameter::kBIRDConfigFile);
  options_.socket_path = config.text(config::Parameter::kBIRDSocket);
  hold_timer_ = loop_.after(kHold, [this] { release(); });
}

void BgpSide::release() {
  if (!std::exchange(held_, false)) return;
  loop_.cancel(hold_timer_);
  consider();
}

void BgpSide::update(BgpUpdates updates) {
  if (mode_ == Mode::kDisabled) return;
  if (runner_) return feed(updates);
  fold(waiting_, std::move(updates));
  consider();
}

bool BgpSide::node_has_bgp() const {
  for (const auto& [key, update] : waiting_.updates) {
    const auto* node = std::get_if<model::NodeChange>(&update);
    if (node != nullptr && node->key.name.view() == settings_.node_name) return node->value && node->value->has_bgp;
  }
  return false;
}

void BgpSide::consider() {
  if (held_ || runner_ || !waiting_.in_sync) return;
  if (mode_ == Mode::kAuto && !node_has_bgp()) return;
  if (mode_ == Mode::kAuto && !os::file_exists(options_.socket_path)) {
    loop_.cancel(timer_);
    timer_ = loop_.after(kLookForSocket, [this] { consider(); });
    return;
  }
  log_.info("bgp.managing", "Looking after BIRD",
            {{"configuration", options_.config_path}, {"socket", options_.socket_path}});
  runner_ = std::make_unique<bgp::BirdRunner>(loop_, log_, metrics_, settings_, options_);
  feed(std::exchange(waiting_, {}));
}

void BgpSide::feed(const BgpUpdates& updates) {
  if (updates.resync) runner_->resync();
  for (const auto& [key, update] : updates.updates) runner_->apply(update);
  if (updates.in_sync) runner_->in_sync();
}

}  // namespace agent
