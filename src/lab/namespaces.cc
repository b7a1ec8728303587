#include "lab/namespaces.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <thread>

#include <fmt/core.h>

#include "base/strings.h"
#include "os/files.h"
#include "os/process.h"

namespace lab {
namespace {

using base::Error;
using base::fail;
using base::Fd;
using base::Result;

constexpr std::string_view kPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// Everything exec needs, made before fork, because a child of a threaded process may not allocate.
struct Prepared {
  std::string file;
  std::vector<std::string> texts;
  std::vector<char*> argv;
  std::vector<char*> envp;
};

bool same_variable(std::string_view a, std::string_view b) {
  return a.substr(0, a.find('=')) == b.substr(0, b.find('='));
}

Result<Prepared> prepare(const Program& program) {
  Prepared prepared;
  auto file = os::find_program(program.arguments.at(0));
  if (!file) return fail(std::move(file).error());
  prepared.file = *file;
  std::vector<std::string> environment = program.environment;
  environment.emplace_back(kPath);
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (std::ranges::none_of(environment, [&](const std::string& e) { return same_variable(e, text); })) {
      environment.push_back(text);
    }
  }
  prepared.texts = program.arguments;
  prepared.texts.insert(prepared.texts.end(), environment.begin(), environment.end());
  for (std::size_t i = 0; i < prepared.texts.size(); ++i) {
    (i < program.arguments.size() ? prepared.argv : prepared.envp).push_back(prepared.texts[i].data());
  }
  prepared.argv.push_back(nullptr);
  prepared.envp.push_back(nullptr);
  return prepared;
}

struct NamespaceFds {
  std::vector<Fd> fds;
  Fd root;  // of the node's processes, when its mounts are entered too
};

Result<NamespaceFds> open_namespaces(const Node& node, Enter enter) {
  NamespaceFds result;
  std::vector<std::string_view> wanted = {"net"};
  if (enter == Enter::kAll) wanted = {"net", "uts", "pid", "mnt"};
  for (std::string_view name : wanted) {
    const std::string path = fmt::format("/proc/{}/ns/{}", node.holder, name);
    Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail(Error::system(errno, fmt::format("node {}: {}", node.name, path)));
    result.fds.push_back(std::move(fd));
  }
  if (enter == Enter::kAll) {
    const std::string path = fmt::format("/proc/{}/root", node.holder);
    result.root = Fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!result.root) return fail(Error::system(errno, fmt::format("node {}: {}", node.name, path)));
  }
  return result;
}

[[noreturn]] void die(const char* what) {
  const char* reason = std::strerror(errno);
  (void)!::write(2, what, std::strlen(what));
  (void)!::write(2, ": ", 2);
  (void)!::write(2, reason, std::strlen(reason));
  (void)!::write(2, "\n", 1);
  ::_exit(127);
}

void join(const NamespaceFds& namespaces) {
  for (const Fd& fd : namespaces.fds) {
    if (::setns(fd.get(), 0) != 0) die("setns");
  }
  // Entering mounts leads to their outermost root, which is not the node's where the lab runs inside a chroot.
  if (namespaces.root && (::fchdir(namespaces.root.get()) != 0 || ::chroot(".") != 0)) die("chroot");
}

[[noreturn]] void exec(const Prepared& prepared) {
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD}) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execve(prepared.file.c_str(), prepared.argv.data(), prepared.envp.data());
  die(prepared.file.c_str());
}

int exit_code(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return exit_code(status);
}

// In the child: a process only enters a process-id namespace with its own children, so one more fork is needed.
[[noreturn]] void run_child(const NamespaceFds& namespaces, const Prepared& prepared, Enter enter) {
  join(namespaces);
  if (enter == Enter::kNetwork) exec(prepared);
  const pid_t inner = ::fork();
  if (inner < 0) die("fork");
  if (inner == 0) {
    if (::chdir("/") != 0) die("chdir");
    exec(prepared);
  }
  ::_exit(wait_for(inner));
}

Result<Fd> memory_file(const std::string& content) {
  Fd fd(static_cast<int>(::memfd_create("lab-input", MFD_CLOEXEC)));
  if (!fd) return fail(Error::system(errno, "memfd_create"));
  for (std::size_t at = 0; at < content.size();) {
    const auto written = ::write(fd.get(), content.data() + at, content.size() - at);
    if (written <= 0) return fail(Error::system(errno, "write to a memory file"));
    at += static_cast<std::size_t>(written);
  }
  ::lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

struct Pipe {
  Fd read;
  Fd write;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(Error::system(errno, "pipe"));
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

void collect(Fd& out, std::string& out_text, Fd& err, std::string& err_text) {
  pollfd polls[2] = {{out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}};
  std::string* texts[2] = {&out_text, &err_text};
  while (polls[0].fd >= 0 || polls[1].fd >= 0) {
    if (::poll(polls, 2, -1) < 0 && errno != EINTR) return;
    for (int i = 0; i < 2; ++i) {
      if (polls[i].fd < 0 || polls[i].revents == 0) continue;
      char buffer[8192];
      const auto got = ::read(polls[i].fd, buffer, sizeof(buffer));
      if (got > 0)
        texts[i]->append(buffer, static_cast<std::size_t>(got));
      else if (got == 0 || errno != EINTR)
        polls[i].fd = -1;
    }
  }
}

}  // namespace

std::string own_program() {
  std::error_code bad;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", bad);
  return bad ? std::string("/proc/self/exe") : path.string();
}

Result<Ended> run_in(const Node& node, const Program& program) {
  auto prepared = prepare(program);
  if (!prepared) return fail(std::move(prepared).error());
  auto namespaces = open_namespaces(node, program.enter);
  if (!namespaces) return fail(std::move(namespaces).error());
  auto input = memory_file(program.input);
  auto out = make_pipe();
  auto err = make_pipe();
  if (!input || !out || !err) return fail(Error::system(errno, "pipe"));
  const pid_t pid = ::fork();
  if (pid < 0) return fail(Error::system(errno, "fork"));
  if (pid == 0) {
    if (::dup2(input->get(), 0) < 0 || ::dup2(out->write.get(), 1) < 0 || ::dup2(err->write.get(), 2) < 0) die("dup2");
    run_child(*namespaces, *prepared, program.enter);
  }
  out->write.reset();
  err->write.reset();
  Ended ended;
  collect(out->read, ended.output, err->read, ended.errors);
  ended.status = wait_for(pid);
  return ended;
}

Result<std::string> must_run_in(const Node& node, const Program& program) {
  auto ended = run_in(node, program);
  if (!ended) return fail(std::move(ended).error());
  if (ended->status == 0) return std::move(ended->output);
  return fail(
      Error(base::ErrorKind::kInternal, fmt::format("{} in {}: exit status {}: {}", base::join(program.arguments, " "),
                                                    node.name, ended->status, base::trim(ended->errors))));
}

Result<int> run_interactive_in(const Node& node, const Program& program) {
  auto prepared = prepare(program);
  if (!prepared) return fail(std::move(prepared).error());
  auto namespaces = open_namespaces(node, program.enter);
  if (!namespaces) return fail(std::move(namespaces).error());
  const pid_t pid = ::fork();
  if (pid < 0) return fail(Error::system(errno, "fork"));
  if (pid == 0) run_child(*namespaces, *prepared, program.enter);
  ::signal(SIGINT, SIG_IGN);  // belongs to the program in front
  const int status = wait_for(pid);
  ::signal(SIGINT, SIG_DFL);
  return status;
}

Result<pid_t> start_in(const Node& node, const Program& program, const std::string& log_path) {
  auto prepared = prepare(program);
  if (!prepared) return fail(std::move(prepared).error());
  auto namespaces = open_namespaces(node, program.enter);
  if (!namespaces) return fail(std::move(namespaces).error());
  Fd log(::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
  Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  auto report = make_pipe();
  if (!log || !null || !report) return fail(Error::system(errno, log_path));
  const pid_t middle = ::fork();
  if (middle < 0) return fail(Error::system(errno, "fork"));
  if (middle == 0) {
    if (::dup2(null.get(), 0) < 0 || ::dup2(log.get(), 1) < 0 || ::dup2(log.get(), 2) < 0) die("dup2");
    join(*namespaces);
    const pid_t inner = ::fork();
    if (inner < 0) die("fork");
    if (inner == 0) {
      if (::setsid() < 0 || ::chdir("/") != 0) die("setsid");
      exec(*prepared);
    }
    (void)!::write(report->write.get(), &inner, sizeof(inner));
    ::_exit(0);
  }
  report->write.reset();
  pid_t pid = -1;
  const bool told = ::read(report->read.get(), &pid, sizeof(pid)) == static_cast<ssize_t>(sizeof(pid));
  wait_for(middle);
  if (!told)
    return fail(Error::internal(fmt::format("{} could not be started in {}", program.arguments[0], node.name)));
  return pid;
}

Result<> ip_batch(const Node& node, const std::string& lines) {
  auto done = must_run_in(node, {.arguments = {"ip", "-batch", "-"}, .input = lines, .enter = Enter::kNetwork});
  if (!done) return fail(std::move(done).error());
  return {};
}

Result<int> call_in(const Node& node, const std::function<int()>& function) {
  auto namespaces = open_namespaces(node, Enter::kNetwork);
  if (!namespaces) return fail(std::move(namespaces).error());
  const pid_t pid = ::fork();
  if (pid < 0) return fail(Error::system(errno, "fork"));
  if (pid == 0) {
    join(*namespaces);
    ::_exit(function());
  }
  return wait_for(pid);
}

Result<> write_sysctls(const Node& node, const std::vector<std::pair<std::string, std::string>>& values) {
  auto status = call_in(node, [&] {
    for (const auto& [path, value] : values) {
      if (!os::write_in_place("/proc/sys/" + path, value)) return 1;
    }
    return 0;
  });
  if (!status) return fail(std::move(status).error());
  if (*status != 0) return fail(Error::internal(fmt::format("node {}: a sysctl cannot be written", node.name)));
  return {};
}

Result<Fd> socket_in(const Node& node, const std::function<int()>& make) {
  auto namespaces = open_namespaces(node, Enter::kNetwork);
  if (!namespaces) return fail(std::move(namespaces).error());
  int fd = -1;
  int error = 0;
  // Only the thread moves, and it ends at once.
  std::thread([&] {
    if (::setns(namespaces->fds[0].get(), CLONE_NEWNET) == 0) fd = make();
    if (fd < 0) error = errno;
  }).join();
  if (fd < 0) return fail(Error::system(error, fmt::format("a socket in {}", node.name)));
  return Fd(fd);
}

Result<> enter_network(const Node& node) {
  auto namespaces = open_namespaces(node, Enter::kNetwork);
  if (!namespaces) return fail(std::move(namespaces).error());
  if (::setns(namespaces->fds[0].get(), CLONE_NEWNET) != 0) return fail(Error::system(errno, "setns"));
  return {};
}

Result<Node> start_node(const Paths& paths, std::string_view name, NodeKind kind) {
  if (auto made = os::make_directories(paths.node(name)); !made) return fail(std::move(made).error());
  auto ready = make_pipe();
  if (!ready) return fail(std::move(ready).error());
  const std::string kind_name = kind == NodeKind::kHost ? "host" : kind == NodeKind::kGuest ? "guest" : "plain";
  const std::string program = own_program();
  const std::string fd = std::to_string(ready->write.get());
  Prepared prepared;
  prepared.file = program;
  prepared.texts = {program, "lab", "__holder", paths.lab, std::string(name), kind_name, paths.root, fd};
  for (std::string& text : prepared.texts) prepared.argv.push_back(text.data());
  prepared.argv.push_back(nullptr);
  for (char** entry = environ; *entry != nullptr; ++entry) prepared.envp.push_back(*entry);
  prepared.envp.push_back(nullptr);
  const std::string log_path = paths.log(name, "holder");
  Fd log(::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
  Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!log || !null) return fail(Error::system(errno, log_path));

  // fork() with namespaces: the child is process 1 of a new process-id namespace.
  const long child =
      ::syscall(SYS_clone, CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | SIGCHLD, 0, 0, 0, 0);
  if (child < 0) return fail(Error::system(errno, "clone with new namespaces (needs root)"));
  if (child == 0) {
    ::setsid();
    if (::dup2(null.get(), 0) < 0 || ::dup2(log.get(), 1) < 0 || ::dup2(log.get(), 2) < 0) die("dup2");
    ::fcntl(ready->write.get(), F_SETFD, 0);
    ::execve(prepared.file.c_str(), prepared.argv.data(), prepared.envp.data());
    die(prepared.file.c_str());
  }
  ready->write.reset();
  char byte = 0;
  const Node node{std::string(name), static_cast<pid_t>(child)};
  if (::read(ready->read.get(), &byte, 1) != 1) {
    stop_node(node);
    const auto said = os::read_file(log_path);
    return fail(Error::internal(fmt::format("node {} did not come up: {}", name, said ? base::trim(*said) : "")));
  }
  return node;
}

namespace {

// Dead, although whoever inherited it may not have asked for its status yet.
bool is_gone(pid_t pid) {
  if (::waitpid(pid, nullptr, WNOHANG) == pid) return true;  // our own child
  const auto stat = os::read_file(fmt::format("/proc/{}/stat", pid));
  return !stat || stat->find(") Z ") != std::string::npos;
}

}  // namespace

void stop_nodes(const std::map<std::string, Node>& nodes) {
  for (const auto& [name, node] : nodes) ::kill(node.holder, SIGKILL);
  // Process 1 ends only after every process of its namespace, so a lab that comes next meets no leftovers.
  for (const auto& [name, node] : nodes) {
    for (int i = 0; i < 1000 && !is_gone(node.holder); ++i) ::usleep(2000);
  }
}

void stop_node(const Node& node) {
  if (node.holder > 0) stop_nodes({{node.name, node}});
}

std::map<std::string, Node> find_nodes(std::string_view lab) {
  std::map<std::string, Node> found;
  auto entries = os::list_directory("/proc");
  if (!entries) return found;
  for (const std::string& entry : *entries) {
    pid_t pid = 0;
    const auto [end, bad] = std::from_chars(entry.data(), entry.data() + entry.size(), pid);
    if (bad != std::errc() || end != entry.data() + entry.size()) continue;
    auto command_line = os::read_file("/proc/" + entry + "/cmdline");
    if (!command_line) continue;
    const auto words = base::split(*command_line, '\0');
    if (words.size() < 6 || words[1] != "lab" || words[2] != "__holder" || words[3] != lab) continue;
    found[std::string(words[4])] = {std::string(words[4]), pid};
  }
  return found;
}

}  // namespace lab
