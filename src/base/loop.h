// loop.h: one thread's event loop, as an interface. os::EventLoop (real) and testing::SimLoop (virtual clock) implement
// it.
//
// Thread rules: post() may be called from any thread; everything else only from the loop's own thread (or before
// run()). Callbacks run one at a time on the loop's thread, must not block and must not throw.
#pragma once

#include <cstdint>
#include <functional>

#include "base/clock.h"

namespace base {

enum class TimerId : std::uint64_t {};  // 0 is never a live timer
enum class WatchId : std::uint64_t {};  // 0 is never a live watch

class Loop : public Clock {
 public:
  using Task = std::function<void()>;

  // Runs `task` soon, after the tasks posted before it. Never runs it inside post().
  virtual void post(Task task) = 0;
  // Runs `task` once, not earlier than `delay` from now. A delay of zero or less means the next turn of the loop.
  virtual TimerId after(Duration delay, Task task) = 0;
  // Cancels a timer that has not run; anything else is ignored. After cancel() returns, the task will not run.
  virtual void cancel(TimerId timer) = 0;
  // Calls `ready` whenever `fd` is readable (level-triggered). The caller keeps ownership of the descriptor and must
  // unwatch() before closing it.
  virtual WatchId watch_readable(int fd, Task ready) = 0;
  virtual void unwatch(WatchId watch) = 0;
};

}  // namespace base
