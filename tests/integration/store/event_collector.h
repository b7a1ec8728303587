// event_collector.h: a subscriber that keeps what the store says, as an agent would, and lets a test wait for it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "os/loop_thread.h"
#include "store/store.h"

namespace store_test {

// Everything known from the events so far.
struct Seen {
  std::map<std::string, store::KeyValue> items;    // what a consumer would believe exists
  std::map<std::string, store::KeyValue> loading;  // of the snapshot in progress
  int snapshots_started = 0;
  int snapshots_done = 0;
  int pages = 0;
  int deltas = 0;
  store::Revision revision = 0;
  bool in_snapshot = false;
  bool connected = false;
  int disconnects = 0;
  std::string error;
  base::ErrorKind error_kind{};
  std::vector<store::Diagnostic> diagnostics;
  std::vector<store::Change> changes;  // of all deltas, in order
  std::string violation;               // of the contract of store.h
};

class EventCollector {
 public:
  // `slow` is called for every page on the reader's thread.
  EventCollector(store::Store& store, std::vector<std::string> prefixes, std::function<void()> slow = {});
  ~EventCollector();

  // Waits until `condition` holds and returns true; false when `limit` has passed.
  bool wait(const std::function<bool(const Seen&)>& condition,
            std::chrono::milliseconds limit = std::chrono::seconds(10));
  Seen seen();
  base::Loop& loop() { return thread_.loop(); }

 private:
  void handle(store::StoreEvent event);

  os::LoopThread thread_{"collector"};
  std::function<void()> slow_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Seen seen_;
  std::unique_ptr<store::Subscription> subscription_;
};

}  // namespace store_test
