#include "testing/sim_loop.h"

#include <algorithm>

#include "base/check.h"

namespace testing {
namespace {
// A callback that posts itself for ever would hang a test; this many tasks at one virtual moment mean just that.
constexpr std::size_t kMaxTasksAtOneMoment = 10'000'000;
}  // namespace

base::TimerId SimLoop::after(base::Duration delay, Task task) {
  const std::uint64_t id = ++last_id_;
  const base::Instant deadline = now_ + std::max(delay, base::Duration(0));
  timers_.emplace(TimerKey(deadline, id), std::move(task));
  deadlines_.emplace(id, deadline);
  return base::TimerId(id);
}

void SimLoop::cancel(base::TimerId timer) {
  const auto found = deadlines_.find(static_cast<std::uint64_t>(timer));
  if (found == deadlines_.end()) return;
  timers_.erase(TimerKey(found->second, found->first));
  deadlines_.erase(found);
}

base::WatchId SimLoop::watch_readable(int fd, Task ready) {
  const std::uint64_t id = ++last_id_;
  watches_.emplace(id, std::pair(fd, std::move(ready)));
  return base::WatchId(id);
}

void SimLoop::unwatch(base::WatchId watch) { watches_.erase(static_cast<std::uint64_t>(watch)); }

void SimLoop::signal_readable(int fd) {
  for (const auto& [id, watch] : watches_) {
    if (watch.first != fd) continue;
    post([this, watch_id = id] {
      const auto found = watches_.find(watch_id);
      if (found == watches_.end()) return;
      const Task ready = found->second.second;  // a copy: the callback may unwatch itself
      ready();
    });
  }
}

std::optional<base::Instant> SimLoop::next_deadline() const {
  if (!posted_.empty()) return now_;
  if (!timers_.empty()) return timers_.begin()->first.first;
  return std::nullopt;
}

bool SimLoop::run_one() {
  if (!posted_.empty()) {
    const Task task = std::move(posted_.front());
    posted_.pop_front();
    task();
    return true;
  }
  if (timers_.empty() || timers_.begin()->first.first > now_) return false;
  const auto first = timers_.begin();
  const Task task = std::move(first->second);
  deadlines_.erase(first->first.second);
  timers_.erase(first);
  task();
  return true;
}

std::size_t SimLoop::run_pending() {
  std::size_t ran = 0;
  while (run_one()) CHECK(++ran < kMaxTasksAtOneMoment);
  return ran;
}

std::size_t SimLoop::advance(base::Duration span) {
  const base::Instant end = now_ + span;
  std::size_t ran = run_pending();
  for (auto next = next_deadline(); next && *next <= end; next = next_deadline()) {
    now_ = *next;
    ran += run_pending();
  }
  now_ = end;
  return ran;
}

bool SimLoop::run_until(const std::function<bool()>& done, base::Duration limit) {
  const base::Instant end = now_ + limit;
  if (done()) return true;
  for (auto next = next_deadline(); next && *next <= end; next = next_deadline()) {
    now_ = std::max(now_, *next);
    if (run_one() && done()) return true;
  }
  now_ = end;
  return done();
}

bool SimLoop::run_all(base::Duration limit) {
  const base::Instant end = now_ + limit;
  for (auto next = next_deadline(); next && *next <= end; next = next_deadline()) {
    now_ = std::max(now_, *next);
    run_pending();
  }
  return !next_deadline().has_value();
}

}  // namespace testing
