// completion_thread.h: the one thread of an EtcdStore. It waits on a gRPC completion queue; finished calls, timers and
// tasks posted by other threads run on it one at a time, so everything behind it needs no locks.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "os/event_loop.h"

namespace store {

// What the completion queue hands back. complete() may delete the object.
class Completion {
 public:
  virtual ~Completion() = default;
  virtual void complete(bool ok) = 0;
};

class CompletionThread {
 public:
  using Task = std::function<void()>;
  using Timer = std::uint64_t;  // 0 is never a live timer

  CompletionThread();
  CompletionThread(const CompletionThread&) = delete;
  CompletionThread& operator=(const CompletionThread&) = delete;
  ~CompletionThread();  // REQUIRES stop()

  // Any thread. Ignored after stop().
  void post(Task task);
  // Cancels all calls in flight, waits until they have completed, runs `last` on the thread, and joins. Not on the
  // thread.
  void stop(Task last);

  // The rest only on the thread itself.
  grpc::CompletionQueue& queue() { return queue_; }
  base::Instant now() const;
  Timer after(base::Duration delay, Task task);
  void cancel(Timer timer);
  // Contexts between attach() and detach() are cancelled by stop(). Returns false when stopping: start no call then.
  bool attach(grpc::ClientContext& context);
  // The last thing a call does; it must not touch the queue afterwards.
  void detach(grpc::ClientContext& context);
  bool stopping() const { return stopping_; }

 private:
  class Wake;
  void run() noexcept;
  void run_posted();
  void run_timers();
  void shut_down_when_quiet();

  os::SystemClock clock_;
  grpc::CompletionQueue queue_;
  std::mutex mutex_;
  std::vector<Task> posted_;   // guarded by mutex_
  bool wake_pending_ = false;  // guarded by mutex_
  bool closed_ = false;        // guarded by mutex_
  grpc::Alarm alarm_;
  std::unique_ptr<Wake> wake_;

  bool stopping_ = false;
  Task last_;
  std::map<std::pair<base::Instant, Timer>, Task> timers_;
  std::map<Timer, base::Instant> timer_times_;
  Timer last_timer_ = 0;
  std::set<grpc::ClientContext*> contexts_;
  std::thread thread_;
};

}  // namespace store
