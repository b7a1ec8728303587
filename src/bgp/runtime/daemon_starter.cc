#include "bgp/runtime/daemon_starter.h"

#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "os/files.h"

namespace bgp {
namespace {

struct User {
  uid_t uid = 0;
  gid_t gid = 0;
};

// Reads /etc/passwd itself: getpwnam() would need shared libraries of the very glibc a static program was linked with.
std::optional<User> find_user(std::string_view name) {
  const auto text = os::read_file("/etc/passwd");
  if (!text || name.empty()) return std::nullopt;
  for (const std::string_view line : base::split(*text, '\n')) {
    const auto fields = base::split(line, ':');  // name:password:uid:gid:…
    if (fields.size() < 4 || fields[0] != name) continue;
    User user;
    const auto number = [](std::string_view digits, auto& out) {
      return std::from_chars(digits.data(), digits.data() + digits.size(), out).ec == std::errc();
    };
    if (number(fields[2], user.uid) && number(fields[3], user.gid)) return user;
  }
  return std::nullopt;
}

// BIRD makes its pid file when it has given up root already, so the directory must be the user's.
bool can_run_as(const User& user, const std::string& directory, bool made_now) {
  if (made_now && ::chown(directory.c_str(), user.uid, user.gid) != 0) return false;
  struct stat info{};
  return ::stat(directory.c_str(), &info) == 0 && info.st_uid == user.uid;
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
  const bool made_now = !os::file_exists(directory);
  if (auto made = os::make_directories(directory, 0755); !made) {
    return log_.error("bgp.no_directory", "cannot start BIRD", {{"error", made.error().text()}});
  }
  os::Command command;
  command.arguments = {options_.program,     "-c", options_.config_path, "-s",
                       options_.socket_path, "-P", options_.pid_path};
  const auto user = ::geteuid() == 0 ? find_user(options_.user) : std::nullopt;
  if (user && can_run_as(*user, directory, made_now)) {
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
