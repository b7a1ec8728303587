#include "os/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>

#include "base/check.h"

namespace os {
namespace {

constexpr std::uint64_t kWakeId = 1;
constexpr std::uint64_t kTimerId = 2;
constexpr std::uint64_t kFirstFreeId = 16;
// Descriptors handled per turn; more wait for the next turn, after tasks and timers had theirs.
constexpr std::size_t kEventsPerTurn = 64;

void add_to_epoll(int epoll, int fd, std::uint64_t id) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = id;
  CHECK(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
}

// Clears an eventfd or timerfd.
void drain(int fd) {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(fd, &count, sizeof count);
}

}  // namespace

base::Instant SystemClock::now() const { return std::chrono::steady_clock::now(); }
base::WallTime SystemClock::wall() const { return std::chrono::system_clock::now(); }

EventLoop::EventLoop()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)),
      last_id_(kFirstFreeId) {
  CHECK(epoll_ && wake_ && timer_);
  add_to_epoll(epoll_.get(), wake_.get(), kWakeId);
  add_to_epoll(epoll_.get(), timer_.get(), kTimerId);
}

EventLoop::~EventLoop() = default;

base::Instant EventLoop::now() const { return std::chrono::steady_clock::now(); }
base::WallTime EventLoop::wall() const { return std::chrono::system_clock::now(); }

void EventLoop::post(Task task) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(task));
    if (posted_.size() > 1) return;  // whoever posted first has woken the loop
  }
  wake();
}

void EventLoop::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t sent = ::write(wake_.get(), &one, sizeof one);
}

void EventLoop::stop() {
  stopping_.store(true);
  wake();
}

base::TimerId EventLoop::after(base::Duration delay, Task task) {
  const std::uint64_t id = ++last_id_;
  const base::Instant deadline = now() + std::max(delay, base::Duration(0));
  timers_.emplace(TimerKey(deadline, id), std::move(task));
  deadlines_.emplace(id, deadline);
  return base::TimerId(id);
}

void EventLoop::cancel(base::TimerId timer) {
  const auto found = deadlines_.find(static_cast<std::uint64_t>(timer));
  if (found == deadlines_.end()) return;
  timers_.erase(TimerKey(found->second, found->first));
  deadlines_.erase(found);
}

base::WatchId EventLoop::watch_readable(int fd, Task ready) {
  const std::uint64_t id = ++last_id_;
  add_to_epoll(epoll_.get(), fd, id);
  watches_.emplace(id, std::make_shared<Watch>(Watch{fd, std::move(ready)}));
  return base::WatchId(id);
}

void EventLoop::unwatch(base::WatchId watch) {
  const auto found = watches_.find(static_cast<std::uint64_t>(watch));
  if (found == watches_.end()) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second->fd, nullptr);
  watches_.erase(found);
}

void EventLoop::run() {
  while (!stopping_.load()) {
    run_posted();
    if (!stopping_.load()) run_due_timers();
    if (!stopping_.load()) wait_and_dispatch();
  }
  stopping_.store(false);
}

void EventLoop::run_posted() {
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(posted_mutex_);
    tasks.swap(posted_);
  }
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    if (stopping_.load()) {  // keep the rest, in front of what was posted meanwhile
      const std::lock_guard lock(posted_mutex_);
      posted_.insert(posted_.begin(), std::make_move_iterator(tasks.begin() + static_cast<std::ptrdiff_t>(i)),
                     std::make_move_iterator(tasks.end()));
      return;
    }
    const Task task = std::move(tasks[i]);
    task();
  }
}

void EventLoop::run_due_timers() {
  // Timers set by these timers, even with no delay, wait for the next turn.
  const base::Instant until = now();
  const std::uint64_t last = last_id_;
  while (!timers_.empty() && !stopping_.load()) {
    const auto first = timers_.begin();
    if (first->first.first > until || first->first.second > last) return;
    const Task task = std::move(first->second);
    deadlines_.erase(first->first.second);
    timers_.erase(first);
    task();
  }
}

void EventLoop::arm_timer() {
  const base::Instant next = timers_.empty() ? base::Instant::max() : timers_.begin()->first.first;
  // A later deadline needs no system call: the timer fires once for nothing and is set again then.
  if (next >= armed_) return;
  armed_ = next;
  itimerspec when{};
  if (next != base::Instant::max()) {
    // An absolute time of zero would disarm; one in the past fires at once.
    const auto since = std::max(next.time_since_epoch(), base::Duration(1));
    when.it_value.tv_sec = static_cast<time_t>(since.count() / 1'000'000'000);
    when.it_value.tv_nsec = static_cast<long>(since.count() % 1'000'000'000);
  }
  CHECK(::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr) == 0);
}

void EventLoop::wait_and_dispatch() {
  arm_timer();
  std::array<epoll_event, kEventsPerTurn> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
  if (count < 0) {
    CHECK(errno == EINTR);
    return;
  }
  for (int i = 0; i < count && !stopping_.load(); ++i) dispatch(events[static_cast<std::size_t>(i)].data.u64);
}

void EventLoop::dispatch(std::uint64_t id) {
  if (id == kWakeId) return drain(wake_.get());
  if (id == kTimerId) {
    armed_ = base::Instant::max();
    return drain(timer_.get());
  }
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;                 // unwatched by a callback of this very turn
  const std::shared_ptr<Watch> watch = found->second;  // the callback may unwatch itself
  watch->ready();
}

}  // namespace os
