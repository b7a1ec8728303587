#include "store/etcd/completion_thread.h"

#include "base/check.h"

namespace store {

class CompletionThread::Wake final : public Completion {
 public:
  explicit Wake(CompletionThread& thread) : thread_(thread) {}
  void complete(bool) override { thread_.run_posted(); }

 private:
  CompletionThread& thread_;
};

CompletionThread::CompletionThread() : wake_(std::make_unique<Wake>(*this)), thread_([this] { run(); }) {}

CompletionThread::~CompletionThread() { CHECK(!thread_.joinable()); }

base::Instant CompletionThread::now() const { return clock_.now(); }

void CompletionThread::post(Task task) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  posted_.push_back(std::move(task));
  if (wake_pending_) return;
  wake_pending_ = true;
  alarm_.Set(&queue_, gpr_inf_past(GPR_CLOCK_MONOTONIC), wake_.get());
}

void CompletionThread::run_posted() {
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(posted_);
    wake_pending_ = false;
  }
  for (auto& task : tasks) task();
}

void CompletionThread::stop(Task last) {
  post([this, last = std::move(last)]() mutable {
    stopping_ = true;
    last_ = std::move(last);
    timers_.clear();
    timer_times_.clear();
    for (auto* context : contexts_) context->TryCancel();
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    shut_down_when_quiet();
  });
  thread_.join();
}

// A stream must still be read to its end and finished, and gRPC aborts when that happens on a queue that is shut down.
void CompletionThread::shut_down_when_quiet() {
  if (!stopping_ || !contexts_.empty()) return;
  if (last_) std::exchange(last_, nullptr)();
  queue_.Shutdown();
}

CompletionThread::Timer CompletionThread::after(base::Duration delay, Task task) {
  const Timer id = ++last_timer_;
  const base::Instant due = now() + delay;
  timer_times_.emplace(id, due);
  timers_.emplace(std::pair(due, id), std::move(task));
  return id;
}

void CompletionThread::cancel(Timer timer) {
  const auto at = timer_times_.find(timer);
  if (at == timer_times_.end()) return;
  timers_.erase({at->second, timer});
  timer_times_.erase(at);
}

bool CompletionThread::attach(grpc::ClientContext& context) {
  if (stopping_) return false;
  contexts_.insert(&context);
  return true;
}

void CompletionThread::detach(grpc::ClientContext& context) {
  contexts_.erase(&context);
  shut_down_when_quiet();
}

void CompletionThread::run_timers() {
  while (!timers_.empty() && timers_.begin()->first.first <= now()) {
    auto entry = timers_.extract(timers_.begin());
    timer_times_.erase(entry.key().second);
    entry.mapped()();
  }
}

void CompletionThread::run() noexcept {
  while (true) {
    void* tag = nullptr;
    bool ok = false;
    gpr_timespec deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    if (!timers_.empty()) {
      const base::Duration left = timers_.begin()->first.first - now();
      deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(left.count(), GPR_TIMESPAN));
    }
    switch (queue_.AsyncNext(&tag, &ok, deadline)) {
      case grpc::CompletionQueue::SHUTDOWN: return;
      case grpc::CompletionQueue::GOT_EVENT: static_cast<Completion*>(tag)->complete(ok); break;
      case grpc::CompletionQueue::TIMEOUT: break;
    }
    run_timers();
  }
}

}  // namespace store
