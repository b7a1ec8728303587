// bridge.h: the bridge as a whole, without its socket: requests in, etcd and Neutron out. Everything on one loop.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "neutron/compaction.h"
#include "neutron/context.h"
#include "neutron/election.h"
#include "neutron/exchange.h"
#include "neutron/guard_sweeper.h"
#include "neutron/http.h"
#include "neutron/mirror.h"
#include "neutron/repairs.h"
#include "neutron/resync.h"
#include "neutron/status.h"
#include "neutron/work_queue.h"
#include "neutron/writer.h"

namespace neutron {

struct BridgeSettings {
  std::string version;
  Election::Settings election;
  Compaction::Settings compaction;
  base::Duration resync_interval = std::chrono::seconds(60);  // 0: only the first
  base::Duration resync_max_interval = std::chrono::seconds(3600);
};

class Bridge {
 public:
  // All references outlive it.
  Bridge(Context context, BridgeSettings settings, base::MetricRegistry& metrics);
  Bridge(const Bridge&) = delete;
  Bridge& operator=(const Bridge&) = delete;

  // `loaded` is called once, when etcd's content has been read for the first time.
  void start(std::function<void()> loaded);
  // Gives leadership up; `done` when nothing more is to be waited for.
  void stop(std::function<void()> done);

  void handle(HttpRequest request, HttpRespond respond);
  void closed(ConnectionId connection) { work_.closed(connection); }

  bool leader() const { return election_.leader(); }

 private:
  void check(const json::value& message, const HttpRespond& respond);
  void etcd_answers(const std::function<void(std::string problem)>& done);
  void changed(const json::value& message, const HttpRespond& respond);
  void resync_request(const json::value& message, const HttpRespond& respond);
  json::object status() const;

  void lead(bool leader);
  void mirror_changed(const std::string& key);
  void start_resync(ResyncOptions options, std::function<void(const json::object&)> done);
  void resync_done(const json::object& result);
  void schedule_resync(base::Duration delay);
  void schedule_next(bool after_dry_run);
  void monitor();
  void take_spoofing();

  Context context_;
  BridgeSettings settings_;
  base::MetricRegistry& metrics_;
  Mirror mirror_;
  Writer writer_;
  Exchanger exchanger_;
  WorkQueue work_;
  Repairs repairs_;
  StatusKeeper statuses_;
  Resync resync_;
  Election election_;
  Compaction compaction_;
  GuardSweeper sweeper_;

  std::function<void()> loaded_;
  std::deque<std::pair<ResyncOptions, HttpRespond>> waiting_resyncs_;
  json::object last_result_;
  base::Instant last_completed_{};
  base::Instant etcd_answered_{};
  bool resync_missed_ = false;        // one was due while another ran
  bool started_resync_done_ = false;  // a full one, since we lead
  base::TimerId resync_timer_{};
  base::TimerId monitor_timer_{};
  base::Counter resyncs_, resync_failures_, changes_, refused_, deferred_, written_;
  base::Gauge leader_gauge_, dirty_gauge_, resync_seconds_;
};

}  // namespace neutron
