#include "bgp/runtime/daemon_starter.h"

#include <unistd.h>
#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "os/files.h"

namespace bgp {
namespace {

bool user_exists(std::string_view name) {
  const auto text = os::read_file("/etc/passwd");
  if (!text || name.empty()) return false;
  const std::string start = std::string(name) + ":";
  return std::ranges::any_of(base::split(*text, '\n'), [&](std::string_view line) { return line.starts_with(start); });
}

}  // namespace

void DaemonStarter::seen() {
  const base::Instant now = loop_.now();
  if (!std::exchange(up_, true)) up_since_ = now;
  if (now - up_since_ >= options_.settled) pause_ = options_.first_pause;
}

void DaemonStarter::missing() {
  up_ = false;
  if (process_ || loop_.now() < next_ || !os::file_exists(options_.config_path)) return;
  next_ = loop_.now() + pause_;
  pause_ = std::min(2 * pause_, options_.longest_pause);
  start();
}

void DaemonStarter::start() {
  const std::string directory = options_.socket_path.substr(0, options_.socket_path.rfind('/'));
  if (auto made = os::make_directories(directory, 0755); !made) {
    return log_.error("bgp.no_directory", "cannot start BIRD", {{"error", made.error().text()}});
  }
  os::Command command;
  command.arguments = {options_.program,     "-c", options_.config_path, "-s",
                       options_.socket_path, "-P", options_.pid_path};
  if (::geteuid() == 0 && user_exists(options_.user)) {
    command.arguments.insert(command.arguments.end(), {"-u", options_.user, "-g", options_.user});
  }
  const bool recover = os::file_exists(options_.pid_path);
  if (recover) command.arguments.emplace_back("-R");
  auto started = os::Process::start(loop_, std::move(command), [this, recover](const os::Outcome& outcome) {
    const auto finished = std::exchange(process_, nullptr);
    if (!outcome.ok()) return log_.error("bgp.start_failed", "BIRD does not start", {{"reason", outcome.describe()}});
    log_.info("bgp.started", recover ? "BIRD had fallen and has been started again" : "BIRD has been started",
              {{"socket", options_.socket_path}});
    started_();
  });
  if (!started) return log_.error("bgp.start_failed", "BIRD does not start", {{"reason", started.error().text()}});
  process_ = std::move(*started);
}

}  // namespace bgp
