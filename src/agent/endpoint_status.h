// endpoint_status.h: keeps the endpoint status keys in the datastore equal to what the data plane says (spec
// felix-agent §4.3).
//
// Two parts: StatusTable decides what to write (pure), EndpointStatusReporter decides when (timers, one write at a
// time).
//
// Like Calico, at most one write per tick of EndpointReportingDelaySecs (plus up to a tenth); unlike it, a write is one
// transaction of up to kBatch keys, only the newest status of an endpoint is written, and the first write after a quiet
// tick does not wait. So mass changes take seconds, not minutes, at the same number of commits for etcd. The keys are
// compared with the datastore when the data plane is first in sync, and every 180 ticks: stale keys go, wrong values
// are put right, and (unlike Calico) missing keys come back.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/status_store.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"

namespace agent {

class StatusTable {
 public:
  void set(const std::string& key, std::string value);
  void clear(const std::string& key);  // the endpoint is gone

  bool has_work() const { return !queue_.empty(); }
  // The oldest changes, at most `limit`; may be empty when changes took themselves back. The next call must be
  // written().
  StatusWrites next(std::size_t limit);
  // How the last next() went; what failed is due again.
  void written(bool succeeded);
  // All keys the datastore has below our prefixes. Keys with a write outstanding are left alone.
  // REQUIRES: no write is in flight.
  void observe(const std::vector<std::pair<std::string, std::string>>& listed);

 private:
  void enqueue(const std::string& key);

  std::map<std::string, std::string> wanted_;
  std::map<std::string, std::string> known_;  // in the datastore, as far as we know
  std::deque<std::string> queue_;
  std::set<std::string> queued_;  // the keys of queue_
  StatusWrites in_flight_;
};

struct EndpointStatusOptions {
  base::Duration delay = std::chrono::seconds(1);  // EndpointReportingDelaySecs; raised to kMinDelay
  std::vector<std::string> prefixes;               // of all keys that are ours
};

class EndpointStatusReporter {
 public:
  static constexpr std::size_t kBatch = 64;  // etcd refuses transactions of more than 128 operations
  static constexpr base::Duration kMinDelay = std::chrono::milliseconds(10);
  static constexpr int kTicksBetweenResyncs = 180;

  // `jitter` gives numbers in [0, 1). Everything on the loop's thread; store, log and loop outlive this.
  EndpointStatusReporter(base::Loop& loop, StatusStore& store, base::Log& log, base::MetricRegistry& metrics,
                         EndpointStatusOptions options, std::function<double()> jitter);
  ~EndpointStatusReporter();
  EndpointStatusReporter(const EndpointStatusReporter&) = delete;
  EndpointStatusReporter& operator=(const EndpointStatusReporter&) = delete;

  void set(const std::string& key, std::string value);
  void clear(const std::string& key);
  // The data plane has applied its first snapshot, and has told the status of every endpoint: keys it did not name are
  // stale.
  void in_sync();

 private:
  base::Duration tick() const;
  void schedule();
  void write();
  void resync();
  void resynced(std::vector<std::pair<std::string, std::string>> so_far, std::size_t next_prefix);

  base::Loop& loop_;
  StatusStore& store_;
  base::Log& log_;
  const EndpointStatusOptions options_;
  std::function<double()> jitter_;
  StatusTable table_;
  bool in_sync_ = false;
  bool busy_ = false;  // a write or a listing is in flight
  bool resync_due_ = false;
  bool failing_ = false;  // so that an outage is logged once
  base::Instant next_write_{};
  base::TimerId write_timer_{};
  base::TimerId resync_timer_{};
  base::Counter writes_;
  base::Counter failures_;
};

}  // namespace agent
