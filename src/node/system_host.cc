#include <unistd.h>

#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "bgp/runtime/bird_control.h"
#include "node/host.h"
#include "node/interfaces.h"
#include "os/event_loop.h"
#include "os/files.h"

namespace node {

namespace {

std::string_view file_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string link_target(const std::string& path) {
  std::array<char, 4096> buffer{};
  const ssize_t length = ::readlink(path.c_str(), buffer.data(), buffer.size());
  return length > 0 ? std::string(buffer.data(), static_cast<std::size_t>(length)) : std::string();
}

class SystemHost final : public Host {
 public:
  base::Result<std::vector<Interface>> interfaces() override { return list_interfaces(); }
  base::Result<base::IpAddress> local_address_towards(const std::string& host, base::Family family) override {
    return find_local_address(host, family);
  }
  std::string hostname() override {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : std::string();
  }
  base::Result<std::string> read_file(const std::string& path) override { return os::read_file(path); }
  base::Result<void> write_file(const std::string& path, std::string_view content) override {
    return os::write_file_atomic(path, content);
  }
  base::Result<void> make_directories(const std::string& path) override { return os::make_directories(path); }

  std::vector<Process> processes() override {
    std::vector<Process> found;
    for (const std::string& entry : os::list_directory("/proc").value_or(std::vector<std::string>{})) {
      int pid = 0;
      const auto [end, failure] = std::from_chars(entry.data(), entry.data() + entry.size(), pid);
      if (failure != std::errc() || end != entry.data() + entry.size()) continue;
      const auto line = os::read_file("/proc/" + entry + "/cmdline");  // it may have ended meanwhile
      if (!line || line->empty()) continue;
      Process process{.pid = pid, .arguments = {}, .executable = link_target("/proc/" + entry + "/exe")};
      for (const std::string_view word : base::split(*line, '\0')) process.arguments.emplace_back(word);
      found.push_back(std::move(process));
    }
    return found;
  }

  base::Result<bgp::Reply> ask_bird(const std::string& socket_path, const std::string& command) override {
    os::EventLoop loop;
    bgp::BirdControl control(loop, socket_path);
    std::optional<base::Result<bgp::Reply>> answer;
    control.command(command, [&](base::Result<bgp::Reply> reply) {
      answer = std::move(reply);
      loop.stop();
    });
    loop.run();
    return std::move(*answer);
  }
};

}  // namespace

bool Process::is(std::string_view name) const {
  const bool by_argument = !arguments.empty() && file_name(arguments.front()) == name;
  return by_argument || file_name(executable) == name;
}

std::unique_ptr<Host> make_system_host() { return std::make_unique<SystemHost>(); }

}  // namespace node
