#include "dhcp/runtime/server.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <charconv>

#include "base/strings.h"
#include "dhcp/runtime/serving_interface.h"
#include "os/files.h"
#include "os/process.h"

namespace dhcp {

using base::Error;

namespace {

// The arguments of a running process; empty when there is none.
std::vector<std::string> arguments_of(pid_t pid) {
  auto text = os::read_file("/proc/" + std::to_string(pid) + "/cmdline");
  if (!text || text->empty()) return {};
  if (text->back() == '\0') text->pop_back();
  std::vector<std::string> arguments;
  for (std::string_view part : base::split(*text, '\0')) arguments.emplace_back(part);
  return arguments;
}

// dnsmasq of this folder, whoever started it: the arguments after the program's name.
std::optional<std::vector<std::string>> dnsmasq_arguments(pid_t pid, const std::string& folder) {
  std::vector<std::string> arguments = arguments_of(pid);
  const std::string mark = "--pid-file=" + folder + "/pid";
  if (std::find(arguments.begin(), arguments.end(), mark) == arguments.end()) return std::nullopt;
  arguments.erase(arguments.begin());
  return arguments;
}

std::optional<pid_t> read_pid(const std::string& folder) {
  auto text = os::read_file(folder + "/pid");
  if (!text) return std::nullopt;
  const std::string_view digits = base::trim(*text);
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), pid);
  if (error != std::errc() || end != digits.data() + digits.size() || pid <= 1) return std::nullopt;
  return pid;
}

base::Fd open_pidfd(pid_t pid) { return base::Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

// True when the process has ended within `patience`.
bool wait_for_end(pid_t pid, base::Duration patience) {
  const base::Fd pidfd = open_pidfd(pid);
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(patience).count();
  if (pidfd) {
    pollfd waiting{pidfd.get(), POLLIN, 0};
    return ::poll(&waiting, 1, static_cast<int>(milliseconds)) == 1;
  }
  // Kernels before 5.3.
  for (int waited = 0; waited < milliseconds; waited += 10) {
    if (::kill(pid, 0) != 0) return true;
    ::poll(nullptr, 0, 10);
  }
  return ::kill(pid, 0) != 0;
}

base::Result<bool> write_if_changed(const std::string& path, const std::string& content) {
  const auto current = os::read_file(path);
  if (current && *current == content) return false;
  if (auto written = os::write_file_atomic(path, content); !written) return base::fail(std::move(written).error());
  return true;
}

}  // namespace

std::string_view to_string(Applied applied) {
  switch (applied) {
    case Applied::kNothing: return "nothing";
    case Applied::kAdopted: return "adopted";
    case Applied::kReloaded: return "reloaded";
    case Applied::kStarted: return "started";
    case Applied::kRestarted: return "restarted";
  }
  return "";
}

base::Result<Applied> Server::apply(const ServerPlan& plan, const Network& network, std::int64_t lease_expiry,
                                    const std::set<base::IpAddress>& released) {
  if (auto ready = ensure_serving_interface(plan.interface, plan.addresses); !ready) {
    return base::fail(std::move(ready).error());
  }
  const bool known = pid_.has_value();
  if (!known) find_process();
  if (auto made = os::make_directories(folder_); !made) return base::fail(std::move(made).error());
  const std::string old_hosts = os::read_file(folder_ + "/host").value_or("");
  const auto changed = write_files(plan);
  if (!changed) return base::fail(changed.error());
  const auto running = pid_ ? dnsmasq_arguments(*pid_, folder_) : std::nullopt;
  const auto leases = [this] { return os::read_file(folder_ + "/leases").value_or(""); };
  if (running && *running == plan.arguments && !has_lease(leases(), released)) {
    if (*changed && ::kill(*pid_, SIGHUP) != 0) return base::fail(Error::system(errno, "SIGHUP to dnsmasq"));
    return *changed ? Applied::kReloaded : known ? Applied::kNothing : Applied::kAdopted;
  }
  if (running) {
    if (auto stopped = stop(); !stopped) return base::fail(std::move(stopped).error());
  }
  forget();
  const std::string merged = merge_leases(leases(), old_hosts, network, lease_expiry, released);
  if (auto started = start(plan, merged); !started) return base::fail(std::move(started).error());
  return running ? Applied::kRestarted : Applied::kStarted;
}

base::Result<bool> Server::write_files(const ServerPlan& plan) {
  bool any = false;
  const std::pair<const char*, const std::string*> files[] = {
      {"/interface", &plan.interface}, {"/host", &plan.hosts}, {"/opts", &plan.options}, {"/addn_hosts", &plan.names}};
  for (const auto& [name, content] : files) {
    auto changed = write_if_changed(folder_ + name, *content);
    if (!changed) return changed;
    any = any || *changed;
  }
  return any;
}

base::Result<> Server::start(const ServerPlan& plan, const std::string& leases) {
  if (auto written = os::write_file_atomic(folder_ + "/leases", leases); !written) return written;
  std::vector<std::string> arguments = {"dnsmasq"};
  arguments.insert(arguments.end(), plan.arguments.begin(), plan.arguments.end());
  // Ends as soon as the daemon it leaves behind is ready.
  auto outcome = os::run({.arguments = std::move(arguments), .timeout = std::chrono::seconds(20)});
  if (!outcome) return base::fail(std::move(outcome).error());
  if (!outcome->ok()) return base::fail(Error::unavailable("dnsmasq does not start: " + outcome->describe()));
  find_process();
  if (!pid_) return base::fail(Error::unavailable("dnsmasq has ended at once; its reason is in the system log"));
  return {};
}

base::Result<> Server::stop() {
  const pid_t pid = *pid_;
  forget();  // its end is ours
  if (!dnsmasq_arguments(pid, folder_)) return {};
  ::kill(pid, SIGTERM);
  if (wait_for_end(pid, kStopPatience)) return {};
  ::kill(pid, SIGKILL);
  if (wait_for_end(pid, kStopPatience)) return {};
  return base::fail(Error::unavailable("dnsmasq, process " + std::to_string(pid) + ", cannot be ended"));
}

base::Result<> Server::remove(const std::string& interface) {
  if (!pid_) find_process();
  if (pid_) {
    if (auto stopped = stop(); !stopped) return stopped;
  }
  for (const char* name : {"/host", "/opts", "/addn_hosts", "/leases", "/interface", "/pid"}) {
    if (auto gone = os::remove_file(folder_ + name); !gone) return gone;
  }
  ::rmdir(folder_.c_str());  // stays when somebody put a file of his own there
  return remove_serving_interface(interface);
}

void Server::find_process() {
  const auto pid = read_pid(folder_);
  if (pid && dnsmasq_arguments(*pid, folder_)) watch(*pid);
}

void Server::watch(pid_t pid) {
  forget();
  pid_ = pid;
  pidfd_ = open_pidfd(pid);
  if (!pidfd_) return;
  watch_ = loop_.watch_readable(pidfd_.get(), [this] {
    forget();
    died_();
  });
}

void Server::forget() {
  if (watch_ != base::WatchId{}) loop_.unwatch(std::exchange(watch_, base::WatchId{}));
  pidfd_.reset();
  pid_.reset();
}

}  // namespace dhcp
