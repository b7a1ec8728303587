// shutdown.h: why and how the agent leaves (spec felix-agent §2.10). Kernel state and status keys stay as they are in
// every case.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/loop.h"

namespace agent {

enum class ShutdownCause {
  kConfigChanged,  // parameter, SIGHUP, host MTU
  kDatastoreUnready,
  kFatal,   // bad configuration while running, a part that cannot go on
  kSignal,  // SIGTERM, SIGINT
};

// What an init system sees. 129 asks for a restart in place; it counts as a failure for Restart=on-failure.
constexpr int kExitRestart = 129;
constexpr int kExitFailure = 1;
int exit_status(ShutdownCause cause);
std::string_view to_string(ShutdownCause cause);

// Collects the reasons to leave, and leaves once. On the main loop; request() from any thread.
class Shutdown {
 public:
  // Restarts in a tight loop would trip the init system's limiter.
  static constexpr base::Duration kDelay = std::chrono::seconds(2);

  // `stop` is called first, once: other threads are to be told to stop. `leave` is called last, with the exit status.
  Shutdown(base::Loop& loop, base::Log& log, std::function<void()> stop, std::function<void(int)> leave);
  ~Shutdown() { loop_.cancel(timer_); }
  Shutdown(const Shutdown&) = delete;
  Shutdown& operator=(const Shutdown&) = delete;

  // The first cause counts; leaving is delayed by kDelay except for kSignal.
  void request(ShutdownCause cause, std::string reason);
  // SIGHUP: leave for a restart; ignored while leaving. SIGTERM and SIGINT: leave at once, also during the delay.
  void signal(int number);

 private:
  void begin(ShutdownCause cause, const std::string& reason);
  void finish(int status);

  base::Loop& loop_;
  base::Log& log_;
  std::function<void()> stop_;
  std::function<void(int)> leave_;
  bool leaving_ = false;
  bool left_ = false;
  base::TimerId timer_{};
};

}  // namespace agent
