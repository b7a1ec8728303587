// health.h: who in the agent is alive and ready, for /liveness and /readiness (spec felix-agent §2.9).
//
// A reporter that has not reported for longer than its timeout counts as neither. The clock of a new one starts at its
// registration, live and not ready. Thread-safe, by one mutex: reports come from every loop, questions from the HTTP
// thread.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace agent {

struct HealthAspects {
  bool live = true;   // reports liveness
  bool ready = true;  // reports readiness
};

struct HealthSummary {
  bool live = true;
  bool ready = true;
  std::string table;  // for people, one line for each reporter
};

class HealthAggregator {
 public:
  explicit HealthAggregator(const base::Clock& clock) : clock_(clock) {}
  ~HealthAggregator() = default;
  HealthAggregator(const HealthAggregator&) = delete;
  HealthAggregator& operator=(const HealthAggregator&) = delete;

  // A timeout of zero means none. Registering a name again replaces it.
  void add(const std::string& name, HealthAspects aspects, base::Duration timeout);
  void report(const std::string& name, bool live, bool ready, std::string detail = "");
  void remove(const std::string& name);
  // HealthTimeoutOverrides: own timeouts by name, also for reporters that register later. Zero means none.
  void set_overrides(std::map<std::string, base::Duration> overrides);

  HealthSummary summary() const;

 private:
  struct Reporter {
    HealthAspects aspects;
    base::Duration timeout{0};
    bool live = true;
    bool ready = false;
    std::string detail;
    base::Instant last{};
  };

  const base::Clock& clock_;
  mutable std::mutex mutex_;
  std::map<std::string, Reporter> reporters_;
  std::map<std::string, base::Duration> overrides_;
};

// Go's notation without needless units: "30s", "1m30s", "500ms".
std::string duration_text(base::Duration duration);

}  // namespace agent
