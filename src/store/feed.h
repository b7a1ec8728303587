// feed.h: carries the events of one subscription from the store's thread to the reader's loop, in order.
//
// Bounded: consecutive deltas that the reader has not taken are merged, keeping the last change of each key; pages are
// bounded by the writer, which hands over the next one only when told that one has been consumed.
//
// Thread rules: push() from the writer's thread; close() from the reader's. Feed is shared by both ends; the writer's
// may be the last, so the reader's loop must outlive close(), not the Feed.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "store/store.h"

namespace store {

class Feed : public std::enable_shared_from_this<Feed> {
 public:
  // `consumed` is called on the reader's thread after each SnapshotPage was handled.
  Feed(base::Loop& reader, EventHandler handler, std::function<void()> consumed)
      : reader_(reader), handler_(std::move(handler)), consumed_(std::move(consumed)) {}

  void push(StoreEvent event);
  // When it returns, the reader's loop is not touched any more and may go.
  void close();
  bool closed() const { return closed_.load(std::memory_order_relaxed); }

 private:
  void deliver_pending();
  bool merged(StoreEvent& event);

  base::Loop& reader_;
  EventHandler handler_;
  std::function<void()> consumed_;
  std::atomic<bool> closed_{false};
  std::mutex mutex_;
  std::deque<StoreEvent> pending_;
  std::size_t merge_at_ = 0;  // size at which the last pending delta is searched for overwritten changes
};

// Appends `later` to `pending`. REQUIRES pending.to == later.from.
void append_delta(Delta& pending, Delta&& later);
// Drops changes that a later change of the same key makes void; the order of the last changes stays.
void keep_last_changes(Delta& delta);

}  // namespace store
