#include "event_collector.h"

#include <utility>

namespace store_test {
namespace {

void apply(Seen& seen, store::SnapshotStart& start) {
  ++seen.snapshots_started;
  seen.in_snapshot = true;
  seen.loading.clear();
  seen.revision = start.revision;
}

void apply(Seen& seen, store::SnapshotPage& page) {
  if (!seen.in_snapshot) seen.violation = "page outside a snapshot";
  ++seen.pages;
  for (auto& item : page.items) {
    if (item.mod_revision > seen.revision) seen.violation = "item newer than its snapshot";
    if (!seen.loading.emplace(item.key, item).second) seen.violation = "key twice in a snapshot: " + item.key;
  }
}

void apply(Seen& seen, store::SnapshotDone& done) {
  if (!seen.in_snapshot || done.revision != seen.revision) seen.violation = "end without its snapshot";
  ++seen.snapshots_done;
  seen.in_snapshot = false;
  seen.items = std::exchange(seen.loading, {});
}

void apply(Seen& seen, store::Delta& delta) {
  if (seen.in_snapshot) seen.violation = "delta inside a snapshot";
  if (delta.from != seen.revision) seen.violation = "delta does not continue";
  seen.revision = delta.to;
  ++seen.deltas;
  for (auto& change : delta.changes) {
    if (change.removed) {
      seen.items.erase(change.item.key);
    } else {
      seen.items[change.item.key] = change.item;
    }
    seen.changes.push_back(std::move(change));
  }
}

void apply(Seen& seen, store::ConnectionState& state) {
  if (!state.connected) ++seen.disconnects;
  seen.connected = state.connected;
  seen.error = state.error ? state.error->text() : "";
  if (state.error) seen.error_kind = state.error->kind();
}

void apply(Seen& seen, store::Diagnostic& diagnostic) { seen.diagnostics.push_back(std::move(diagnostic)); }

}  // namespace

EventCollector::EventCollector(store::Store& store, std::vector<std::string> prefixes, std::function<void()> slow)
    : slow_(std::move(slow)) {
  subscription_ = store.subscribe(std::move(prefixes), thread_.loop(),
                                  [this](store::StoreEvent event) { handle(std::move(event)); });
  thread_.start();
}

EventCollector::~EventCollector() {
  thread_.stop();
  subscription_.reset();
}

void EventCollector::handle(store::StoreEvent event) {
  if (slow_ && std::holds_alternative<store::SnapshotPage>(event)) slow_();
  {
    const std::lock_guard lock(mutex_);
    std::visit([this](auto& e) { apply(seen_, e); }, event);
  }
  changed_.notify_all();
}

bool EventCollector::wait(const std::function<bool(const Seen&)>& condition, std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, limit, [&] { return condition(seen_); });
}

Seen EventCollector::seen() {
  const std::lock_guard lock(mutex_);
  return seen_;
}

}  // namespace store_test
