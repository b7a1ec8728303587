// startup.h: from nothing to a complete configuration and an open store (spec felix-agent §2.2 step 3), on the main
// loop.
//
// Reads file and environment, opens the store, reads ClusterInformation, the FelixConfigurations, this Node and the
// IPPools, and waits until the cluster says that its datastore is ready. Whatever fails is logged once with its remedy
// and tried again every second, from the beginning: an operator repairs the file, not the process. Unlike upstream
// there is one store for all attempts with the same settings, so no attempt leaks a connection and no restart is needed
// after several.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "agent/health.h"
#include "agent/local_config.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "config/derived.h"
#include "config/tracker.h"
#include "store/open_store.h"
#include "store/store.h"

namespace agent {

constexpr std::string_view kStartupReporter = "FelixStartup";

struct StartupResult {
  LocalConfig local;
  config::DatastoreSettings datastore;
  config::Configuration configuration;
  config::Encapsulation encapsulation;
  std::unique_ptr<store::Store> store;
};

class Startup {
 public:
  static constexpr base::Duration kRetry = std::chrono::seconds(1);

  struct Ports {  // what it uses of the world
    std::function<base::Result<LocalConfig>()> load_local;
    std::function<base::Result<std::unique_ptr<store::Store>>(const config::DatastoreSettings&)> open_store;
    // Called with file and environment as soon as they are known, each time: for the health server.
    std::function<void(const config::Resolved&)> local_known;
  };

  // `done` is called once, from the loop. It may destroy this.
  Startup(base::Loop& loop, base::Log& log, HealthAggregator& health, Ports ports,
          std::function<void(StartupResult)> done);
  ~Startup() { loop_.cancel(timer_); }
  Startup(const Startup&) = delete;
  Startup& operator=(const Startup&) = delete;

  void start() { attempt(); }

 private:
  void attempt();
  void read();
  void got(base::Result<store::ReadReply> reply);
  void evaluate();
  void say(const config::Diagnostics& diagnostics);  // unless that was said at the last attempt
  void retry(const std::string& problem, std::string_view event);
  void wait(std::string_view event, std::string_view what, const std::string& text);

  base::Loop& loop_;
  base::Log& log_;
  HealthAggregator& health_;
  Ports ports_;
  std::function<void(StartupResult)> done_;
  StartupResult result_;
  base::TimerId timer_{};
  std::string last_problem_;
  config::Diagnostics said_;
  std::size_t outstanding_ = 0;
  std::optional<base::Error> failure_;
  std::map<std::string, std::string> documents_;  // key -> value
};

}  // namespace agent
