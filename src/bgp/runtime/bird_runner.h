// bird_runner.h: keeps a BIRD daemon on the configuration that the resources ask for (spec bgp §4).
//
// One render for a burst of changes; nothing is rendered before the first snapshot, or a restart of the agent would
// drop every session. A new file is staged beside the live one, checked by BIRD, renamed over it and applied with
// `configure`, which keeps unchanged sessions. What is refused stays out: the last good file remains in force and
// status() says why.
//
// The daemon is never stopped or restarted, not even on exit: it carries routes while the agent is away, and the next
// agent adopts it by its control socket. With `supervise` a daemon that is not there is started, detached from the
// agent, with growing pauses.
//
// Whether a router can send its routes again (RFC 2918) is asked once for each session that came up. Until it is known
// the configuration does without: BIRD restarts the session of one that cannot when its import filter changes.
//
// Looked at with every poll, because nothing else would say that they changed: the secrets in use, the operator's own
// file, and whether BIRD knows tunl0. A refused file of the operator's is left out, and said, until it changes; it
// cannot hold up what the resources ask for.
//
// All calls and callbacks on the loop's thread. Must not outlive its loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "bgp/generator.h"
#include "bgp/replies.h"
#include "bgp/runtime/bird_control.h"
#include "bgp/runtime/config_file.h"
#include "bgp/runtime/daemon_starter.h"
#include "bgp/state.h"
#include "os/process.h"

namespace bgp {

struct RunnerOptions {
  std::string config_path = "/etc/bird/bird.conf";
  std::string socket_path = "/run/bird/bird.ctl";
  std::string pid_path = "/run/bird/bird.pid";
  std::string program = "bird";
  std::string group = "bird";  // owns the file, because BIRD reads it again after it gave up root; ignored if unknown
  std::string user = "bird";   // whom a supervised BIRD runs as; ignored if unknown
  std::string secret_directory = "/etc/calico/bgp-secrets";  // <secret name>/<key>, root only
  bool supervise = false;
  base::Duration quiet = std::chrono::milliseconds(100);  // spec §4.2 step 1
  base::Duration longest_wait = std::chrono::seconds(1);
  base::Duration retry =
      std::chrono::seconds(30);  // the same text can succeed later: an interface appears, a port is freed
  base::Duration poll = std::chrono::seconds(5);
  base::Duration first_pause = std::chrono::seconds(1);  // between attempts to start the daemon; doubles
};

class BirdRunner {
 public:
  BirdRunner(base::Loop& loop, base::Log& log, base::MetricRegistry& metrics, Settings settings, RunnerOptions options);
  ~BirdRunner();
  BirdRunner(const BirdRunner&) = delete;
  BirdRunner& operator=(const BirdRunner&) = delete;

  // A new snapshot begins: what is known is forgotten, the configuration stays as it is until in_sync().
  void resync();
  void apply(const model::Update& update);
  void in_sync();

  // As of the last poll. `changed` is called after every poll that saw something different.
  const BgpStatus& status() const { return status_; }
  void on_status(std::function<void(const BgpStatus&)> changed) { status_changed_ = std::move(changed); }

 private:
  enum class Step { kIdle, kChecking, kApplying };

  void schedule(base::Duration delay);
  void render();
  void ask_for_tunnel();
  bool ask_routers(std::vector<std::string> routers);
  void ask_router(std::vector<std::string> names);
  void see_router(const std::string& name, const Reply& reply);
  void forget_routers();
  bool read_secrets();
  bool read_local_file();
  void look_around();
  void report(const Diagnostics& diagnostics);
  void stage();
  void check_by_daemon();
  void check_by_program();
  void install();
  void configure();
  void configured(const base::Result<Reply>& result);
  void wait_until_running();
  void accepted(std::string_view how);
  void refused(std::string reason);
  void refused_local_file(const std::string& reason);
  void install_minimal();
  void poll();
  void poll_after(base::Duration delay);
  void see_status(const base::Result<Reply>& reply);
  void see_protocols(const base::Result<Reply>& reply);
  void see_tunnel(bool ready);
  void publish(BgpStatus status);

  base::Loop& loop_;
  base::Log& log_;
  const RunnerOptions options_;
  State state_;
  BirdControl control_;
  const ConfigFile file_;
  DaemonStarter starter_;
  std::unique_ptr<os::Process> checker_;

  bool in_sync_ = false;
  bool dirty_ = false;
  Step step_ = Step::kIdle;
  bool tunnel_asked_ = false;  // for the render under way
  bool routers_asked_ = false;
  std::vector<std::string> routers_;          // of the last rendering, in order
  std::map<std::string, std::string> known_;  // routers that are known, with when their sessions came up
  std::string local_text_;                    // the operator's file as last read; empty: none
  std::string local_refused_;                 // its text when it was refused
  std::string local_accepted_;                // its text that the daemon runs
  std::string wanted_;                        // being checked or applied
  std::string accepted_;                      // what the daemon runs, or will read when it starts; empty: not known
  Diagnostics reported_;
  base::Instant first_change_{};
  bool waiting_ = false;
  base::TimerId render_timer_{};
  base::TimerId retry_timer_{};
  base::TimerId poll_timer_{};
  bool polling_ = false;

  BgpStatus status_;
  BgpStatus polled_;  // being collected
  std::function<void(const BgpStatus&)> status_changed_;

  base::Counter renders_;
  base::Counter applied_;
  base::Counter refusals_;
  base::Gauge established_;
  base::Gauge configured_sessions_;
  base::Gauge daemon_up_;
};

}  // namespace bgp
