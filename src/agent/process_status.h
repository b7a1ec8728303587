// process_status.h: the heartbeat that Neutron takes for "this agent is alive" (spec felix-agent §4.2, datamodel §8.1).
//
// Heartbeat runs on the kernel thread's loop, so that a hung data plane falls silent and its lease runs out;
// ProcessStatusReporter runs where the datastore is written from. Nothing is removed on exit.
#pragma once

#include <chrono>
#include <functional>

#include "agent/status_keys.h"
#include "agent/status_store.h"
#include "base/log.h"
#include "base/loop.h"

namespace agent {

// Calls `beat` 10 s after the data plane started (so that an agent that crashes again and again never reports), then
// every `interval`. An interval of zero or less means never.
class Heartbeat {
 public:
  static constexpr base::Duration kFirst = std::chrono::seconds(10);

  Heartbeat(base::Loop& loop, base::Duration interval, std::function<void()> beat);
  ~Heartbeat() { loop_.cancel(timer_); }
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

 private:
  void run();

  base::Loop& loop_;
  const base::Duration interval_;
  std::function<void()> beat_;
  base::TimerId timer_{};
};

class ProcessStatusReporter {
 public:
  // `time_to_live` is cut to whole seconds, at least one. `started`: when this process began, for the uptime.
  ProcessStatusReporter(base::Loop& loop, StatusStore& store, base::Log& log, StatusPaths paths,
                        base::Duration time_to_live, base::Instant started);

  // Writes the leased key, then the permanent one, whatever became of the first. Failures are not repeated before the
  // next beat.
  void beat();

 private:
  void write_permanent(std::string value);
  void failed(const char* key, const base::Error& error);

  base::Loop& loop_;
  StatusStore& store_;
  base::Log& log_;
  const StatusPaths paths_;
  const std::chrono::seconds time_to_live_;
  const base::Instant started_;
  bool first_update_ = true;  // until a leased write has succeeded
  bool busy_ = false;
};

}  // namespace agent
