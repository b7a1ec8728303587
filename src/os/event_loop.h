// event_loop.h: the real base::Loop: epoll, an eventfd that wakes it, a timerfd for its timers, and the system's
// clocks.
//
// Thread rules: post() and stop() from any thread; everything else on the thread that calls run(), or before run().
// Order in one turn: the tasks posted so far, then due timers by deadline, then readable descriptors. Tasks posted by a
// task run in the next turn, so that no part can starve the others.
//
// Why not Boost.Asio: the seven calls of base::Loop are 200 lines over epoll, need no callbacks inside callbacks, wake
// a sleeping thread with one eight-byte write, and compile in a second instead of four in each of the files that
// include them (Asio also adds 150 kB to each static program). Asio remains where its protocols are needed: the HTTP
// server.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/loop.h"

namespace os {

// Reads the system's clocks; for shell code that has no loop.
class SystemClock final : public base::Clock {
 public:
  base::Instant now() const override;
  base::WallTime wall() const override;
};

class EventLoop final : public base::Loop {
 public:
  // Aborts when the kernel refuses three descriptors: no program of ours can start without them.
  EventLoop();
  ~EventLoop() override;
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs until stop(). May be called again afterwards.
  void run();
  // Makes run() return after the task at hand; tasks and timers not yet run stay where they are.
  void stop();

  base::Instant now() const override;
  base::WallTime wall() const override;
  void post(Task task) override;
  base::TimerId after(base::Duration delay, Task task) override;
  void cancel(base::TimerId timer) override;
  base::WatchId watch_readable(int fd, Task ready) override;
  void unwatch(base::WatchId watch) override;

 private:
  struct Watch {
    int fd;
    Task ready;
  };
  using TimerKey = std::pair<base::Instant, std::uint64_t>;

  void run_posted();
  void run_due_timers();
  void wait_and_dispatch();
  void dispatch(std::uint64_t id);
  void arm_timer();
  void wake();

  base::Fd epoll_;
  base::Fd wake_;
  base::Fd timer_;
  std::atomic<bool> stopping_ = false;

  std::mutex posted_mutex_;
  std::vector<Task> posted_;

  std::uint64_t last_id_;
  std::map<TimerKey, Task> timers_;
  std::unordered_map<std::uint64_t, base::Instant> deadlines_;
  base::Instant armed_ = base::Instant::max();  // what timer_ is set to
  std::unordered_map<std::uint64_t, std::shared_ptr<Watch>> watches_;
};

}  // namespace os
