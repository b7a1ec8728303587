// repairs.h: what could not be brought to etcd when it changed (etcd was away, others kept writing). Tried again as
// soon as etcd and a worker are there, and then every kRetry until it is done. In memory: after a restart of the bridge
// the resync finds the same.
#pragma once

#include <set>
#include <vector>

#include "neutron/exchange.h"
#include "neutron/work_queue.h"

namespace neutron {

class Repairs {
 public:
  Repairs(Context& context, Exchanger& exchanger, WorkQueue& work)
      : context_(context), exchanger_(exchanger), work_(work) {}

  void add(const std::vector<ObjectId>& objects);
  // Etcd or a worker has come.
  void wake();
  std::size_t size() const { return dirty_.size(); }

  struct Outcome {
    std::vector<ObjectId> unfinished;
    std::size_t written = 0;
    std::string reason;
    bool stale = false;  // something is unfinished because the database shows an older state
  };
  // One exchange about `objects`, read through the worker. Also for the resync.
  void run(const std::vector<ObjectId>& objects, ExchangeOptions options, std::function<void(Outcome)> done);

  static constexpr base::Duration kRetry = std::chrono::seconds(2);

 private:
  struct Run;
  void step(const std::shared_ptr<Run>& run, const json::object& message);
  void replied(const std::shared_ptr<Run>& run, ExchangeReply reply);
  void read_next(const std::shared_ptr<Run>& run);
  void start();
  void retry_later();

  Context& context_;
  Exchanger& exchanger_;
  WorkQueue& work_;
  std::set<ObjectId> dirty_;
  bool running_ = false;
  bool waiting_ = false;
  int failures_ = 0;        // in a row
  int stale_failures_ = 0;  // of these
};

}  // namespace neutron
