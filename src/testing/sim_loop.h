// sim_loop.h: base::Loop on a virtual clock, for unit tests and the simulator. Nothing sleeps: time moves only when the
// test moves it, and always straight to the next thing due, so that an hour of timers costs microseconds.
//
// Thread rules: one thread; several components may share one SimLoop, which is how the simulator runs "all threads" in
// one. Order: posted tasks in order of posting; timers by deadline, those of one moment in order of creation; posted
// tasks run before the timers of the same moment. Equal inputs give equal runs.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "base/loop.h"

namespace testing {

class SimLoop final : public base::Loop {
 public:
  // 2026-01-02T03:04:05Z plus the virtual time gone by.
  static constexpr base::WallTime kWallStart{std::chrono::seconds(1767323045)};

  base::Instant now() const override { return now_; }
  base::WallTime wall() const override { return kWallStart + now_.time_since_epoch() + wall_jump_; }

  void post(Task task) override { posted_.push_back(std::move(task)); }
  base::TimerId after(base::Duration delay, Task task) override;
  void cancel(base::TimerId timer) override;
  base::WatchId watch_readable(int fd, Task ready) override;
  void unwatch(base::WatchId watch) override;

  // Runs what is due now, and what that makes due now, until nothing is. Returns how many tasks ran.
  std::size_t run_pending();
  // Moves time forward by `span`, running everything that falls due on the way. Returns how many tasks ran.
  std::size_t advance(base::Duration span);
  // Runs until `done()` holds, checked after every task, or `limit` of virtual time has passed. Returns whether it
  // holds.
  bool run_until(const std::function<bool()>& done, base::Duration limit);
  // Runs until no task and no timer is left, or `limit` of virtual time has passed. Returns whether the loop is idle.
  bool run_all(base::Duration limit);

  // Makes `fd` readable once: its watch is called from the next turn.
  void signal_readable(int fd);
  // Steps the civil clock without touching the monotonic one.
  void jump_wall(base::Duration by) { wall_jump_ += by; }
  std::size_t pending_timers() const { return timers_.size(); }
  std::size_t watches() const { return watches_.size(); }

 private:
  using TimerKey = std::pair<base::Instant, std::uint64_t>;

  bool run_one();  // one task due now, if any
  std::optional<base::Instant> next_deadline() const;

  base::Instant now_{};
  base::Duration wall_jump_{0};
  std::uint64_t last_id_ = 0;
  std::deque<Task> posted_;
  std::map<TimerKey, Task> timers_;
  std::map<std::uint64_t, base::Instant> deadlines_;  // timer id -> deadline
  std::map<std::uint64_t, std::pair<int, Task>> watches_;
};

}  // namespace testing
