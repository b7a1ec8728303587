// process.h: other programs, started with an argument vector and bytes on standard input; never through a shell.
//
// Start: posix_spawn, which on Linux shares memory with the parent until exec, so that its cost does not grow with our
// size (what remains, 1-4 ms, is exec and the program's own start). The child gets default signal handling, an empty
// signal mask, its own process group, and no descriptor of ours but 0, 1 and 2. Standard input is an unlinked memory
// file holding the whole input, so the parent never has to feed a pipe and no child that writes before it has read can
// block us. The end is noticed through a pidfd (kernel 5.3) or, before that, by asking from a timer: no SIGCHLD
// handler, no thread.
#pragma once

#include <sys/types.h>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/loop.h"
#include "base/result.h"

namespace os {

struct Command {
  // A program without '/' is looked for in PATH and then in the usual system directories, where daemons started with a
  // short PATH still find iptables and ipset.
  std::vector<std::string> arguments = {};
  std::string input = {};
  std::vector<std::string> extra_environment = {};   // "NAME=value", on top of ours
  base::Duration timeout = std::chrono::minutes(1);  // then SIGKILL to its process group; zero means no limit
  // Kept of each of standard output and error; the rest is read and thrown away.
  std::size_t output_limit = 1u << 20;
};

struct Outcome {
  int status = 0;  // exit status, or -1 when a signal ended it
  int signal = 0;
  bool timed_out = false;
  bool output_cut = false;
  std::string output = {};
  std::string errors = {};       // standard error
  base::Duration start_time{0};  // spent in starting it
  base::Duration run_time{0};    // from start to end

  bool ok() const { return status == 0 && !timed_out; }
  // "exit status 2: <first line of standard error>", for messages.
  std::string describe() const;
};

// A program that runs beside a loop. All calls and callbacks on the loop's thread.
class Process {
 public:
  using Done = std::function<void(Outcome)>;

  // `done` is called exactly once, after the program ended, from the loop; never from inside start(). It may destroy
  // the Process. Fails when the program cannot be started (kNotFound when there is none of that name).
  static base::Result<std::unique_ptr<Process>> start(base::Loop& loop, Command command, Done done);
  // Kills the program if it still runs, and reaps it; `done` is then never called.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  // To the whole process group.
  void send_signal(int signal) const;

 private:
  struct Stream {
    base::Fd fd;
    base::WatchId watch{};
    std::string text;
    bool cut = false;
  };
  Process(base::Loop& loop, std::size_t output_limit, Done done);

  void watch_outputs();
  void watch_end();
  void read(Stream& stream);
  void close(Stream& stream);
  void poll_end();
  void check_end();
  void finish(int wait_status);

  base::Loop& loop_;
  const std::size_t output_limit_;
  Done done_;
  pid_t pid_ = -1;
  base::Instant started_{};
  Outcome outcome_;
  Stream out_;
  Stream err_;
  base::Fd pidfd_;
  base::WatchId end_watch_{};
  base::TimerId poll_timer_{};
  base::Duration poll_delay_{};
  base::TimerId kill_timer_{};
};

// Runs a program to its end and blocks the calling thread meanwhile. For command lines and tests; never inside a loop.
base::Result<Outcome> run(Command command);

// Starts a program that outlives us: own session, standard input from /dev/null, standard output and error appended to
// `log_path`. The caller reaps it or leaves it to init. `command.input`, `timeout` and `output_limit` are not used.
base::Result<pid_t> start_detached(const Command& command, const std::string& log_path);

// The file that Command would run, e.g. "/usr/sbin/iptables-nft-restore".
base::Result<std::string> find_program(std::string_view name);

}  // namespace os
