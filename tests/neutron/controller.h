// controller.h: one controller in a simulated cloud: a bridge that can be killed and started again, Neutron's worker
// beside it, and the shim's hooks in its API processes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "neutron/bridge.h"
#include "random_cloud.h"
#include "shaky_store.h"

namespace neutron_test {

// What can go wrong, apart from the store.
struct Faults : StoreFaults {
  bool lost_calls = false;     // API processes die between commit and the bridge's answer
  bool kills = false;          // bridges die and are started again
  bool resyncs = false;        // on demand, on any controller, several at once
  bool periodic = false;       // the leader's own resync, all the time
  bool outages = false;        // etcd is away for moments
  bool worker_errors = false;  // the database refuses a worker's read
  base::Duration lag{0};       // of the database replica that readers may get

  // Whether the hooks and the bridges' own repairs must be enough, without any later resync.
  bool lossless() const { return !lost_calls && !kills && lag.count() == 0; }
};

// What all controllers share.
struct Surroundings {
  testing::SimLoop& loop;
  testing::Rng& rng;
  store::Store& store;
  const RandomCloud& cloud;
  const Faults& faults;
  int last_pid = 0;
  std::vector<int> running = {};  // pids of bridges
};

class Controller {
 public:
  Controller(Surroundings& around, std::string name) : around_(around), name_(std::move(name)) { start(); }

  void start();
  void kill();

  // As the shim after a commit: tells, reads what is asked for, and gives up when the bridge does not answer.
  void hook(const std::string& kind, const std::string& id);
  // What POST /v1/resync says; nothing when the bridge dies meanwhile.
  void resync(bool dry_run, std::function<void(const json::object& result)> done);
  json::object status();

  bool running() const { return bridge_ != nullptr; }
  int hooks_open() const { return hooks_open_; }
  // The first thing that must not happen and did.
  const std::string& complaint() const { return complaint_; }

 private:
  class GateLoop;
  struct Hook;
  using Reply = std::function<void(unsigned status, const std::string& body)>;

  // `lost` is called when there is no answer.
  void request(neutron::ConnectionId connection, std::string path, const json::object& body, Reply reply,
               std::function<void()> lost);
  void step(const std::shared_ptr<Hook>& hook, json::object message);
  void answered(const std::shared_ptr<Hook>& hook, unsigned status, const std::string& body);
  void poll(neutron::ConnectionId connection, json::object message);
  void work(neutron::ConnectionId connection, const json::object& call);
  json::value read(const json::object& spec);
  json::value read_for_bridge(const json::object& spec);
  base::Duration delay();

  Surroundings& around_;
  const std::string name_;
  Alive alive_;
  int pid_ = 0;
  base::NullLog log_;
  std::vector<std::unique_ptr<ShakyStore>> stores_;  // of former bridges too: their requests are under way
  std::vector<std::unique_ptr<base::Loop>> loops_;
  std::unique_ptr<base::MetricRegistry> metrics_;
  std::unique_ptr<neutron::Bridge> bridge_;
  std::map<std::uint64_t, std::function<void()>> inside_;  // requests that the bridge has not answered: what if it dies
  std::uint64_t last_request_ = 0;
  RandomCloud::State page_state_;  // what the worker last listed from: for Without::kReRead
  int hooks_open_ = 0;
  std::uint64_t last_uid_ = 0;
  std::string complaint_;
};

}  // namespace neutron_test
