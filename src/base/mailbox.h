// mailbox.h: the only way values cross threads. A writer pushes, the reader's loop takes; when the reader lags, what
// waits is merged into one element by Fold, so the backlog is bounded by what one element can hold.
//
//   Mailbox<Changes, FoldChanges> box(reader_loop, [&](Changes c) { apply(std::move(c)); });
//   box.push(std::move(changes));        // any thread
//
// Order: the reader sees everything pushed, in push order, each element merged by fold(pending, later). The mailbox
// must outlive the reader loop's last turn.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <utility>

#include "base/loop.h"

namespace base {

template <typename T, typename Fold>
class Mailbox {
 public:
  Mailbox(Loop& reader, std::function<void(T)> deliver, Fold fold = Fold{})
      : reader_(reader), deliver_(std::move(deliver)), fold_(std::move(fold)) {}
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  void push(T value) {
    {
      const std::lock_guard lock(mutex_);
      if (pending_) {
        fold_(*pending_, std::move(value));
        return;  // a wake-up is already on its way
      }
      pending_.emplace(std::move(value));
    }
    reader_.post([this] { take(); });
  }

 private:
  void take() {
    std::optional<T> taken;
    {
      const std::lock_guard lock(mutex_);
      taken.swap(pending_);
    }
    if (taken) deliver_(std::move(*taken));
  }

  Loop& reader_;
  std::function<void(T)> deliver_;
  Fold fold_;
  std::mutex mutex_;
  std::optional<T> pending_;
};

}  // namespace base
