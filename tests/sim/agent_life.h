// agent_life.h: one life of the agent on a simulated host: start-up, calculation and data plane as in agent/running.cc,
// all on one virtual loop. Destroying it is kill -9.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "agent/health.h"
#include "agent/intake.h"
#include "agent/startup.h"
#include "base/mailbox.h"
#include "dataplane/dataplane.h"
#include "host.h"
#include "kernel/route_fake.h"
#include "store/memory_store.h"
#include "testing/sim_loop.h"

namespace sim {

// A view of the loop of which nothing runs any more once it is closed: what a killed process had planned. Requests to
// the datastore may still answer to it, so it must live as long as the datastore.
class LifeLoop final : public base::Loop {
 public:
  explicit LifeLoop(testing::SimLoop& loop) : loop_(loop) {}
  void close() { *open_ = false; }

  base::Instant now() const override { return loop_.now(); }
  base::WallTime wall() const override { return loop_.wall(); }
  void post(Task task) override { loop_.post(guarded(std::move(task))); }
  base::TimerId after(base::Duration delay, Task task) override { return loop_.after(delay, guarded(std::move(task))); }
  void cancel(base::TimerId timer) override { loop_.cancel(timer); }
  base::WatchId watch_readable(int fd, Task ready) override {
    return loop_.watch_readable(fd, guarded(std::move(ready)));
  }
  void unwatch(base::WatchId watch) override { loop_.unwatch(watch); }

 private:
  Task guarded(Task task) {
    return [open = open_, task = std::move(task)] {
      if (*open) task();
    };
  }
  testing::SimLoop& loop_;
  std::shared_ptr<bool> open_ = std::make_shared<bool>(true);
};

class AgentLife final : public dataplane::Listener {
 public:
  AgentLife(LifeLoop& loop, store::MemoryStore& store, Host& host, base::Log& log);
  ~AgentLife() override;

  // It asked to leave; the init system starts another.
  const std::optional<std::string>& left() const { return left_; }
  bool first_turn() const { return first_turn_; }
  // Everything it knows of is in the kernel, and everything the datastore has is known.
  bool settled() const { return plane_ != nullptr && in_sync_ && plane_->idle() && !left_; }
  // Nothing may have been written to the kernel so far in this life.
  bool may_not_write_yet() const { return !snapshot_passed_; }
  // "key=up" lines: what was reported.
  std::string statuses() const;

  void on_workload_status(const model::WorkloadEndpointKey& key,
                          const std::shared_ptr<const model::WorkloadInterface>& interface,
                          std::optional<dataplane::EndpointStatus> status) override;
  void on_host_status(const model::HostEndpointKey& key, std::optional<dataplane::EndpointStatus> status) override;
  void on_first_turn() override { first_turn_ = true; }
  void on_in_sync() override { in_sync_ = true; }
  void on_failed(const base::Error& error) override { left_ = error.text(); }

 private:
  struct Fold {
    void operator()(calc::Output& pending, calc::Output later) const { calc::fold(pending, std::move(later)); }
  };
  void forget_connections();
  void begin(agent::StartupResult result);
  void report(const std::string& name, std::optional<dataplane::EndpointStatus> status);

  LifeLoop& loop_;
  store::MemoryStore& store_;
  Host& host_;
  base::Log& log_;
  base::MetricRegistry metrics_;
  agent::HealthAggregator health_{loop_};
  base::Interner names_;
  kernel::FakeConntrackCleaner conntrack_;
  std::unique_ptr<agent::Startup> startup_;
  agent::StartupResult result_;
  std::unique_ptr<dataplane::Dataplane> plane_;
  std::unique_ptr<base::Mailbox<calc::Output, Fold>> to_kernel_;
  std::unique_ptr<agent::Intake> intake_;
  std::map<std::string, std::string> statuses_;
  std::optional<std::string> left_;
  bool first_turn_ = false;
  bool in_sync_ = false;
  bool snapshot_passed_ = false;
};

}  // namespace sim
