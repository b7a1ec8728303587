// server.h: one network's dnsmasq: started, told of changes, adopted from an earlier agent, ended.
//
// The process is a daemon that outlives the agent. It is known by its pid file and recognised by its arguments, so that
// a recycled process number is never signalled. Blocking: starting takes 10–20 ms; ending up to kStopPatience where
// dnsmasq does not want to. One thread.
#pragma once

#include <sys/types.h>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/result.h"
#include "dhcp/dnsmasq.h"

namespace dhcp {

constexpr base::Duration kStopPatience = std::chrono::seconds(5);

// What apply() had to do; for the log and the tests.
enum class Applied { kNothing, kAdopted, kReloaded, kStarted, kRestarted };
std::string_view to_string(Applied applied);

class Server {
 public:
  // `died` is called on the loop when the process ends without our doing.
  Server(base::Loop& loop, std::string folder, std::function<void()> died)
      : loop_(loop), folder_(std::move(folder)), died_(std::move(died)) {}
  ~Server() { forget(); }  // the process goes on
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Makes interface, files and process those of the plan. `network` for the lease file. Where one of `released` is
  // leased, the server starts again without that lease: it would keep it until its end. After an error nothing is known
  // to be right; apply() may be called again.
  base::Result<Applied> apply(const ServerPlan& plan, const Network& network, std::int64_t lease_expiry,
                              const std::set<base::IpAddress>& released = {});
  // Ends the process, removes its interface and its files.
  base::Result<> remove(const std::string& interface);

  std::optional<pid_t> pid() const { return pid_; }

 private:
  base::Result<bool> write_files(const ServerPlan& plan);  // whether any changed
  base::Result<> start(const ServerPlan& plan, const std::string& leases);
  base::Result<> stop();
  void find_process();
  void watch(pid_t pid);
  void forget();

  base::Loop& loop_;
  const std::string folder_;
  std::function<void()> died_;
  std::optional<pid_t> pid_;
  base::Fd pidfd_;
  base::WatchId watch_{};
};

}  // namespace dhcp
