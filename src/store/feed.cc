#include "store/feed.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/check.h"

namespace store {
namespace {
// Below this many changes a pending delta is not worth searching.
constexpr std::size_t kMergeFloor = 1024;
}  // namespace

void append_delta(Delta& pending, Delta&& later) {
  CHECK(pending.to == later.from);
  pending.to = later.to;
  pending.changes.insert(pending.changes.end(), std::make_move_iterator(later.changes.begin()),
                         std::make_move_iterator(later.changes.end()));
}

void keep_last_changes(Delta& delta) {
  // Marks from the back, then compacts: the views must stay valid while the set lives.
  std::unordered_set<std::string_view> seen;
  std::vector<bool> keep(delta.changes.size());
  for (std::size_t i = delta.changes.size(); i-- > 0;) keep[i] = seen.insert(delta.changes[i].item.key).second;
  seen.clear();
  std::size_t kept = 0;
  for (std::size_t i = 0; i < delta.changes.size(); ++i) {
    if (!keep[i]) continue;
    if (kept != i) delta.changes[kept] = std::move(delta.changes[i]);
    ++kept;
  }
  delta.changes.resize(kept);
}

void Feed::close() {
  const std::lock_guard lock(mutex_);
  closed_.store(true, std::memory_order_relaxed);
  pending_.clear();
}

void Feed::push(StoreEvent event) {
  const std::lock_guard lock(mutex_);
  if (closed() || merged(event)) return;
  merge_at_ = 0;
  pending_.push_back(std::move(event));
  if (pending_.size() > 1) return;  // a wake-up is already on its way
  reader_.post([self = shared_from_this()] { self->deliver_pending(); });
}

// Whether the last event that waits could take up this one.
bool Feed::merged(StoreEvent& event) {
  if (pending_.empty()) return false;
  StoreEvent& last = pending_.back();
  if (std::holds_alternative<ConnectionState>(event) && std::holds_alternative<ConnectionState>(last)) {
    last = std::move(event);
    return true;
  }
  auto* later = std::get_if<Delta>(&event);
  auto* pending = std::get_if<Delta>(&last);
  if (later == nullptr || pending == nullptr) return false;
  append_delta(*pending, std::move(*later));
  if (pending->changes.size() >= std::max(kMergeFloor, merge_at_)) {
    keep_last_changes(*pending);
    merge_at_ = 2 * pending->changes.size();
  }
  return true;
}

void Feed::deliver_pending() {
  std::deque<StoreEvent> taken;
  {
    const std::lock_guard lock(mutex_);
    taken.swap(pending_);
    merge_at_ = 0;
  }
  while (!taken.empty() && !closed()) {
    StoreEvent event = std::move(taken.front());
    taken.pop_front();
    const bool page = std::holds_alternative<SnapshotPage>(event);
    handler_(std::move(event));
    if (page && !closed()) consumed_();
  }
}

}  // namespace store
