#include "cli/system_environment.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <ctime>

#include "base/strings.h"
#include "os/event_loop.h"
#include "os/files.h"
#include "os/pause.h"
#include "os/random.h"

namespace cli {
namespace {

constexpr std::size_t kMaxInputBytes = 256u << 20;

}  // namespace

SystemEnvironment::SystemEnvironment(char** variables)
    : variables_(variables),
      jitter_(os::make_jitter()),
      host_(node::make_system_host()),
      prober_(node::make_system_prober()) {}

base::WallTime SystemEnvironment::wall() { return os::SystemClock().wall(); }
base::Instant SystemEnvironment::now() { return os::SystemClock().now(); }

void SystemEnvironment::print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void SystemEnvironment::print_error(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

base::Result<std::string> SystemEnvironment::read_standard_input() {
  std::string text;
  char buffer[65536];
  while (true) {
    const ssize_t count = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::fail(base::Error::system(errno, "read standard input"));
    if (count == 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
    if (text.size() > kMaxInputBytes) return base::fail(base::Error::invalid("standard input is too long"));
  }
}

std::optional<std::string> SystemEnvironment::variable(const std::string& name) const {
  const std::string wanted = name + "=";
  for (char** entry = variables_; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (text.starts_with(wanted)) return std::string(text.substr(wanted.size()));
  }
  return std::nullopt;
}

std::string SystemEnvironment::new_uid() {
  const auto text = os::read_file("/proc/sys/kernel/random/uuid");
  return std::string(base::trim(text.value_or("")));
}

std::string SystemEnvironment::timestamp() {
  const std::time_t now = std::chrono::system_clock::to_time_t(os::SystemClock().wall());
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char buffer[32];
  const std::size_t length = std::strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return std::string(buffer, length);
}

void SystemEnvironment::pause(base::Duration duration) { os::pause(duration); }

base::Result<std::unique_ptr<store::Store>> SystemEnvironment::open(const store::ConnectionSettings& settings) {
  return store::open_store(settings, log_, metrics_);
}

}  // namespace cli
