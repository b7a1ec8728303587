// signals.h: signals as events of a loop, through a signalfd, so that no code ever runs inside a signal handler.
#pragma once

#include <functional>
#include <vector>

#include "base/fd.h"
#include "base/loop.h"

namespace os {

// While it lives, `signals` are blocked in the thread that made it (and in threads started from there) and each arrival
// calls `arrived(signal number)` on the loop. Make it before starting threads: a thread that does not block the signal
// could be chosen to receive it, and die.
class SignalWatch {
 public:
  SignalWatch(base::Loop& loop, const std::vector<int>& signals, std::function<void(int)> arrived);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  void read_all();

  base::Loop& loop_;
  std::function<void(int)> arrived_;
  base::Fd fd_;
  base::WatchId watch_{};
};

// Writing to a closed pipe or socket then fails with EPIPE instead of killing the program. Every main calls it first.
void ignore_sigpipe();

}  // namespace os
