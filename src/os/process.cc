#include "os/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <optional>

#include "base/check.h"
#include "base/strings.h"
#include "os/event_loop.h"

namespace os {
namespace {

using base::Error;
using base::fail;
using base::Fd;
using base::Result;
using std::chrono::milliseconds;

constexpr std::string_view kSystemDirectories = "/usr/sbin:/sbin:/usr/bin:/bin";
// Without pidfd: how often a running program is asked whether it has ended. Short after it closed its outputs.
constexpr base::Duration kPollWhileOpen = milliseconds(20);
constexpr base::Duration kFirstPollAfterClose = milliseconds(1);

std::string_view trim_line(std::string_view text) { return base::trim(text.substr(0, text.find('\n'))); }

// A readable descriptor at the start of `input`.
Result<Fd> input_file(std::string_view input) {
  if (input.empty()) return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  Fd fd(static_cast<int>(::syscall(SYS_memfd_create, "stdin", 1u /* MFD_CLOEXEC */)));
  if (!fd) {  // before kernel 3.17
    std::array<char, 32> path = {"/tmp/percale-stdin-XXXXXX"};
    fd = Fd(::mkostemp(path.data(), O_CLOEXEC));
    if (fd) ::unlink(path.data());
  }
  if (!fd) return fail(Error::system(errno, "create a file for standard input"));
  // pwrite leaves the offset at 0, where the child begins to read.
  for (std::size_t done = 0; done < input.size();) {
    const ssize_t wrote = ::pwrite(fd.get(), input.data() + done, input.size() - done, static_cast<off_t>(done));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return fail(Error::system(errno, "write standard input"));
    done += static_cast<std::size_t>(wrote);
  }
  return fd;
}

struct Pipe {
  Fd read;
  Fd write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) < 0) return fail(Error::system(errno, "pipe"));
  Pipe pipe{Fd(ends[0]), Fd(ends[1])};
  ::fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK);  // our end only: the child expects a blocking one
  return pipe;
}

// Owns the attribute objects of posix_spawn, which need explicit destruction.
struct SpawnSettings {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;

  explicit SpawnSettings(bool own_session) {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    sigset_t set;
    sigemptyset(&set);
    posix_spawnattr_setsigmask(&attributes, &set);
    sigfillset(&set);
    posix_spawnattr_setsigdefault(&attributes, &set);
    posix_spawnattr_setpgroup(&attributes, 0);
    const int group = own_session ? POSIX_SPAWN_SETSID : POSIX_SPAWN_SETPGROUP;
    posix_spawnattr_setflags(&attributes, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | group));
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
  }
};

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// Ours with `extra` replacing entries of the same name.
std::vector<char*> environment_with(std::vector<std::string>& extra) {
  const auto name_of = [](std::string_view entry) { return entry.substr(0, entry.find('=')); };
  std::vector<char*> result;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view name = name_of(*entry);
    if (std::none_of(extra.begin(), extra.end(), [&](const std::string& e) { return name_of(e) == name; })) {
      result.push_back(*entry);
    }
  }
  for (std::string& entry : extra) result.push_back(entry.data());
  result.push_back(nullptr);
  return result;
}

Result<pid_t> spawn(std::vector<std::string> arguments, std::vector<std::string> extra_environment, int in, int out,
                    int err, bool own_session) {
  if (arguments.empty()) return fail(Error::internal("command without a program"));
  auto program = find_program(arguments.front());
  if (!program) return fail(std::move(program).error());
  SpawnSettings settings(own_session);
  posix_spawn_file_actions_adddup2(&settings.files, in, 0);
  posix_spawn_file_actions_adddup2(&settings.files, out, 1);
  posix_spawn_file_actions_adddup2(&settings.files, err, 2);
  posix_spawn_file_actions_addclosefrom_np(&settings.files, 3);  // also what we inherited without close-on-exec
  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> envp = environment_with(extra_environment);
  pid_t pid = -1;
  const int error =
      ::posix_spawn(&pid, program->c_str(), &settings.files, &settings.attributes, argv.data(), envp.data());
  if (error != 0) return fail(Error::system(error, "start " + *program));
  return pid;
}

Fd open_pidfd(pid_t pid) {
  Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0u)));  // close-on-exec by definition
  return fd;
}

}  // namespace

std::string Outcome::describe() const {
  std::string text;
  if (timed_out) {
    text = "killed after its time limit";
  } else if (signal != 0) {
    text = "killed by signal " + std::to_string(signal);
  } else {
    text = "exit status " + std::to_string(status);
  }
  const std::string_view line = trim_line(base::trim(errors));
  if (!line.empty()) text.append(": ").append(line);
  return text;
}

Result<std::string> find_program(std::string_view name) {
  if (name.find('/') != std::string_view::npos) return std::string(name);
  const char* path = std::getenv("PATH");
  const std::string directories =
      (path != nullptr ? std::string(path) + ":" : std::string()).append(kSystemDirectories);
  for (const std::string_view directory : base::split(directories, ':')) {
    if (directory.empty()) continue;
    std::string candidate = std::string(directory) + "/" + std::string(name);
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return fail(Error::not_found("program '" + std::string(name) + "' is not installed (looked in " + directories + ")"));
}

Process::Process(base::Loop& loop, std::size_t output_limit, Done done)
    : loop_(loop), output_limit_(output_limit), done_(std::move(done)) {}

Result<std::unique_ptr<Process>> Process::start(base::Loop& loop, Command command, Done done) {
  std::unique_ptr<Process> process(new Process(loop, command.output_limit, std::move(done)));
  process->started_ = loop.now();
  auto input = input_file(command.input);
  if (!input) return fail(std::move(input).error());
  auto out = make_pipe();
  auto err = make_pipe();
  if (!out) return fail(std::move(out).error());
  if (!err) return fail(std::move(err).error());

  auto pid = spawn(std::move(command.arguments), std::move(command.extra_environment), input->get(), out->write.get(),
                   err->write.get(), false);
  if (!pid) return fail(std::move(pid).error());
  process->pid_ = *pid;
  process->outcome_.start_time = loop.now() - process->started_;
  process->out_.fd = std::move(out->read);
  process->err_.fd = std::move(err->read);
  process->watch_outputs();
  process->watch_end();
  if (command.timeout > base::Duration(0)) {
    process->kill_timer_ = loop.after(command.timeout, [p = process.get()] {
      p->outcome_.timed_out = true;
      p->send_signal(SIGKILL);
    });
  }
  return process;
}

Process::~Process() {
  close(out_);
  close(err_);
  loop_.cancel(kill_timer_);
  loop_.cancel(poll_timer_);
  if (pidfd_) loop_.unwatch(end_watch_);
  if (pid_ > 0) {
    send_signal(SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
}

void Process::send_signal(int signal) const {
  if (pid_ > 0) ::kill(-pid_, signal);
}

void Process::watch_outputs() {
  for (Stream* stream : {&out_, &err_}) {
    stream->watch = loop_.watch_readable(stream->fd.get(), [this, stream] { read(*stream); });
  }
}

void Process::watch_end() {
  pidfd_ = open_pidfd(pid_);
  if (pidfd_) {
    end_watch_ = loop_.watch_readable(pidfd_.get(), [this] { check_end(); });
  } else {
    poll_delay_ = kPollWhileOpen;
    poll_timer_ = loop_.after(poll_delay_, [this] { poll_end(); });
  }
}

void Process::read(Stream& stream) {
  std::array<char, 16384> buffer;
  for (;;) {
    const ssize_t got = ::read(stream.fd.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) break;
    const std::size_t room = output_limit_ - std::min(output_limit_, stream.text.size());
    stream.text.append(buffer.data(), std::min(room, static_cast<std::size_t>(got)));
    if (static_cast<std::size_t>(got) > room) stream.cut = true;
  }
  close(stream);
  if (!pidfd_ && pid_ > 0 && !out_.fd && !err_.fd) {  // about to end: ask at once, then ever less often
    loop_.cancel(poll_timer_);
    poll_delay_ = kFirstPollAfterClose;
    poll_timer_ = loop_.after(base::Duration(0), [this] { poll_end(); });
  }
}

void Process::close(Stream& stream) {
  if (!stream.fd) return;
  loop_.unwatch(stream.watch);
  stream.fd.reset();
}

void Process::poll_end() {
  poll_timer_ = loop_.after(poll_delay_, [this] { poll_end(); });
  poll_delay_ = std::min(poll_delay_ * 2, kPollWhileOpen);
  check_end();
}

void Process::check_end() {
  int wait_status = 0;
  const pid_t reaped = ::waitpid(pid_, &wait_status, WNOHANG);
  if (reaped == pid_) finish(wait_status);
}

void Process::finish(int wait_status) {
  pid_ = -1;
  loop_.cancel(kill_timer_);
  loop_.cancel(poll_timer_);
  if (pidfd_) loop_.unwatch(end_watch_);
  // What it wrote before it ended is in the pipes. A grandchild may hold them open: what it writes later is not waited
  // for.
  for (Stream* stream : {&out_, &err_}) {
    if (stream->fd) read(*stream);
    close(*stream);
  }
  outcome_.status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
  outcome_.signal = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
  outcome_.output_cut = out_.cut || err_.cut;
  outcome_.output = std::move(out_.text);
  outcome_.errors = std::move(err_.text);
  outcome_.run_time = loop_.now() - started_;
  const Done done = std::move(done_);
  done(std::move(outcome_));  // may destroy *this
}

Result<Outcome> run(Command command) {
  EventLoop loop;
  std::optional<Outcome> outcome;
  auto process = Process::start(loop, std::move(command), [&](Outcome ended) {
    outcome = std::move(ended);
    loop.stop();
  });
  if (!process) return fail(std::move(process).error());
  loop.run();
  CHECK(outcome.has_value());
  return *std::move(outcome);
}

Result<pid_t> start_detached(const Command& command, const std::string& log_path) {
  const Fd in(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Fd out(::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!in || !out) return fail(Error::system(errno, "open " + (in ? log_path : std::string("/dev/null"))));
  return spawn(command.arguments, command.extra_environment, in.get(), out.get(), out.get(), true);
}

}  // namespace os
