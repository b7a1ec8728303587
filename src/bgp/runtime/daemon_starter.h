// daemon_starter.h: starts a BIRD that is not there, with growing pauses, so that it outlives us (spec bgp §4.4, §4.5).
//
// A daemon whose predecessor left its pid file behind fell, and is started with -R: the kernel's routes stay until the
// sessions are back. At a first start that would only delay them. All calls on the loop's thread.
#pragma once

#include <memory>
#include <string>

#include "base/log.h"
#include "base/loop.h"
#include "os/process.h"

namespace bgp {

class DaemonStarter {
 public:
  struct Options {
    std::string program = "bird";
    std::string config_path;
    std::string socket_path;
    std::string pid_path;
    // Whom it runs as, if the user exists and owns the socket's directory (one that has to be made does); else as we
    // do.
    std::string user;
    base::Duration first_pause = std::chrono::seconds(1);  // after the first start; doubles with each
    base::Duration longest_pause = std::chrono::minutes(1);
    base::Duration settled = std::chrono::minutes(1);  // up for so long: the next fall counts as a first one
  };

  DaemonStarter(base::Loop& loop, base::Log& log, Options options, std::function<void()> started)
      : loop_(loop),
        log_(log),
        options_(std::move(options)),
        started_(std::move(started)),
        pause_(options_.first_pause) {}

  // The daemon does not answer: starts it, unless that was done just now. `started` is called once it is in the
  // background.
  void missing();
  void seen();  // the daemon answers

 private:
  void start();

  base::Loop& loop_;
  base::Log& log_;
  const Options options_;
  std::function<void()> started_;
  std::unique_ptr<os::Process> process_;
  base::Duration pause_;
  base::Instant next_{};
  bool up_ = false;
  base::Instant up_since_{};
};

}  // namespace bgp
