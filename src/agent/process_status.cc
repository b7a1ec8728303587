#include "agent/process_status.h"

#include <algorithm>

namespace agent {

Heartbeat::Heartbeat(base::Loop& loop, base::Duration interval, std::function<void()> beat)
    : loop_(loop), interval_(interval), beat_(std::move(beat)) {
  if (interval_ > base::Duration(0)) timer_ = loop_.after(kFirst, [this] { run(); });
}

void Heartbeat::run() {
  timer_ = loop_.after(interval_, [this] { run(); });
  beat_();
}

ProcessStatusReporter::ProcessStatusReporter(base::Loop& loop, StatusStore& store, base::Log& log, StatusPaths paths,
                                             base::Duration time_to_live, base::Instant started)
    : loop_(loop),
      store_(store),
      log_(log),
      paths_(std::move(paths)),
      time_to_live_(std::max(std::chrono::seconds(1), std::chrono::duration_cast<std::chrono::seconds>(time_to_live))),
      started_(started) {}

void ProcessStatusReporter::beat() {
  if (busy_) return;  // the datastore is slower than the interval; the lease decides what others see
  busy_ = true;
  std::string value = process_value(loop_.wall(), loop_.now() - started_, first_update_);
  store_.put_for(paths_.process(), value, time_to_live_, [this, value](base::Result<> result) {
    if (result) first_update_ = false;
    if (!result) failed("status", result.error());
    write_permanent(value);
  });
}

void ProcessStatusReporter::write_permanent(std::string value) {
  store_.write({{{paths_.last_reported(), std::move(value)}}, {}}, [this](base::Result<> result) {
    busy_ = false;
    if (!result) failed("last_reported_status", result.error());
  });
}

void ProcessStatusReporter::failed(const char* key, const base::Error& error) {
  log_.warning("status.heartbeat_failed", "Heartbeat was not written; the next one comes after the reporting interval",
               {{"key", key}, {"error", error.text()}});
}

}  // namespace agent
