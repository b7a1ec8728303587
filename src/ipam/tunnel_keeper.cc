#include "ipam/tunnel_keeper.h"

#include <algorithm>
#include <utility>

#include "ipam/tunnels.h"
#include "model/kinds/kinds.h"
#include "model/resource.h"

namespace ipam {

namespace {

base::Duration part_of(base::Duration whole, double part) {
  return base::Duration(static_cast<std::int64_t>(static_cast<double>(whole.count()) * part));
}

}  // namespace

TunnelKeeper::TunnelKeeper(base::Loop& loop, base::Log& log, base::MetricRegistry& metrics, std::string node,
                           std::function<double()> jitter, std::function<void(base::Duration)> pause,
                           base::Duration keep)
    : loop_(loop),
      log_(log),
      node_(std::move(node)),
      node_key_(model::resource_key(model::kinds::kNode, {}, node_)),
      pool_prefix_(model::resource_prefix(model::kinds::kIpPool)),
      jitter_(std::move(jitter)),
      pause_(std::move(pause)),
      keep_(keep),
      changes_(
          metrics.counter("percale_tunnel_address_changes", "Tunnel addresses of this node assigned or released.")),
      failures_(metrics.counter("percale_tunnel_address_failures",
                                "Failed attempts to bring this node's tunnel addresses up to date.")) {}

TunnelKeeper::~TunnelKeeper() { loop_.cancel(timer_); }

void TunnelKeeper::start(store::Store& store) {
  blocking_ = std::make_unique<store::BlockingStore>(store, store::RequestOptions{.timeout = kRequest});
  // What fails is begun again by the timer, not waited for.
  ipam_ = std::make_unique<Ipam>(*blocking_,
                                 Sources{.wall = [this] { return loop_.wall(); },
                                         .now = [this] { return loop_.now(); },
                                         .jitter = jitter_,
                                         .pause = pause_},
                                 Patience{.outage = base::Duration(0)});
  subscription_ =
      store.subscribe({node_key_, pool_prefix_}, loop_, [this](const store::StoreEvent& event) { handle(event); });
}

void TunnelKeeper::handle(const store::StoreEvent& event) {
  bool relevant = false;
  if (std::holds_alternative<store::SnapshotStart>(event)) {
    in_sync_ = node_exists_ = false;
    unreadable_.clear();
  } else if (const auto* page = std::get_if<store::SnapshotPage>(&event)) {
    for (const store::KeyValue& item : page->items) (void)take(item.key, &item.value);
  } else if (std::holds_alternative<store::SnapshotDone>(event)) {
    in_sync_ = relevant = true;
  } else if (const auto* delta = std::get_if<store::Delta>(&event)) {
    for (const store::Change& change : delta->changes)
      relevant |= take(change.item.key, change.removed ? nullptr : &change.item.value);
  }
  if (!relevant || !in_sync_) return;
  retry_ = kFirstRetry;
  look_after(kEarliest + part_of(kSpread, jitter_()));
}

// Whether it is about us: other nodes' names may begin with ours.
bool TunnelKeeper::take(const std::string& key, const std::string* value) {
  if (key == node_key_) {
    node_exists_ = value != nullptr;
    return true;
  }
  if (!key.starts_with(pool_prefix_)) return false;
  const bool readable = value == nullptr || model::decode_stored(model::kinds::kIpPool, *value).has_value();
  if (readable) {
    unreadable_.erase(key);
  } else {
    unreadable_.insert(key);
  }
  return true;
}

void TunnelKeeper::look_after(base::Duration delay) {
  if (waiting_) loop_.cancel(timer_);
  waiting_ = true;
  timer_ = loop_.after(delay, [this] {
    waiting_ = false;
    look();
  });
}

void TunnelKeeper::look() {
  if (!node_exists_) return;  // nothing is kept for a host without one
  if (!unreadable_.empty()) {
    return failed(base::Error::invalid("an IP pool cannot be read; write it again with percalectl, or delete it",
                                       *unreadable_.begin()));
  }
  std::set<std::string, std::less<>> kept;
  base::Duration next = keep_;
  const auto changes = ensure_tunnel_addresses(*ipam_, node_, [&](std::string_view kind) {
    const base::Instant since = unneeded_.try_emplace(std::string(kind), loop_.now()).first->second;
    const base::Duration left = since + keep_ - loop_.now();
    if (left <= base::Duration::zero()) return false;
    next = std::min(next, left);
    kept.emplace(kind);
    return true;
  });
  if (!changes) return failed(changes.error());
  std::erase_if(unneeded_, [&kept](const auto& entry) { return !kept.contains(entry.first); });
  if (!kept.empty()) look_after(next + part_of(kSpread, jitter_()));
  retry_ = kFirstRetry;
  last_problem_.clear();
  for (const TunnelChange& change : *changes) {
    changes_.add();
    log_.info("tunnel.address", change.after.empty() ? "Released: no pool needs it any more" : "Assigned",
              {{"kind", change.name}, {"address", change.after}, {"before", change.before}});
  }
}

void TunnelKeeper::failed(const base::Error& error) {
  failures_.add();
  if (error.text() != last_problem_) {  // once, not at every attempt
    log_.warning("tunnel.address_failed", "This node's tunnel addresses cannot be brought up to date: " + error.text(),
                 {{"node", node_}});
    last_problem_ = error.text();
  }
  look_after(retry_ / 2 + part_of(retry_ / 2, jitter_()));
  retry_ = std::min(retry_ * 2, kLastRetry);
}

}  // namespace ipam
