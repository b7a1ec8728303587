// bgp_hosts.h: for tests: this process's namespace as a host with BIRD under the runner, and neighbours in network
// namespaces of their own, each with a veth to it and a BIRD of a few lines. Needs root; nothing outside the test's own
// namespaces is touched.
#pragma once

#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "os/files.h"
#include "os/process.h"
#include "testing/temp_directory.h"

namespace bgp {

inline std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> result;
  std::string word;
  for (const char c : text + " ") {
    if (c != ' ')
      word += c;
    else if (!word.empty())
      result.push_back(std::exchange(word, ""));
  }
  return result;
}

// Runs to its end; standard output, or a test failure and "".
inline std::string run(std::vector<std::string> arguments) {
  std::string line;
  for (const std::string& argument : arguments) line += argument + " ";
  const auto outcome = os::run({.arguments = std::move(arguments)});
  if (!outcome || !outcome->ok()) {
    ADD_FAILURE() << line << ": " << (outcome ? outcome->describe() : outcome.error().text());
    return "";
  }
  return outcome->output;
}
inline std::string run(const std::string& line) { return run(words(line)); }

class Neighbour {
 public:
  // A namespace with nothing in it but loopback.
  Neighbour(const testing::TempDirectory& directory, std::string name) : directory_(directory), name_(std::move(name)) {
    const auto started =
        os::start_detached({.arguments = {"unshare", "-n", "sleep", "600"}}, directory_.file(name_ + ".holder.log"));
    if (!started) {
      ADD_FAILURE() << started.error().text();
      return;
    }
    pid_ = *started;
    const auto space = [](const std::string& pid) {
      std::error_code ignored;
      return std::filesystem::read_symlink("/proc/" + pid + "/ns/net", ignored);
    };
    // The program makes its namespace when it runs, a moment after it was started.
    while (space(std::to_string(pid_)) == space("self") && ::kill(pid_, 0) == 0) std::this_thread::yield();
    run("nsenter -t " + std::to_string(pid_) + " -n ip link set lo up");
  }
  ~Neighbour() {
    stop_bird(SIGKILL);
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  Neighbour(const Neighbour&) = delete;
  Neighbour& operator=(const Neighbour&) = delete;

  std::string in(const std::string& line) const { return run("nsenter -t " + std::to_string(pid_) + " -n " + line); }

  // A cable between `ours` with `our_address` here and eth0 with `address` there.
  void connect(const std::string& ours, const std::string& our_address, const std::string& address) const {
    run(fmt::format("ip link add {} type veth peer name eth0 netns {}", ours, pid_));
    run(fmt::format("ip addr add {} dev {}", our_address, ours));
    run(fmt::format("ip link set {} up", ours));
    in(fmt::format("ip addr add {} dev eth0", address));
    in("ip link set eth0 up");
  }

  void start_bird(const std::string& configuration) {
    const std::string file = directory_.write(name_ + ".conf", configuration);
    in(fmt::format("bird -c {} -s {} -P {}", file, socket(), pid_file()));
  }
  void stop_bird(int signal) const {
    const auto text = os::read_file(pid_file());
    const int daemon = text ? std::atoi(text->c_str()) : 0;
    if (daemon > 0) ::kill(daemon, signal);
  }
  std::string birdc(const std::string& command) const {
    std::vector<std::string> line = {"birdc", "-s", socket()};
    for (std::string& word : words(command)) line.push_back(std::move(word));
    return run(std::move(line));
  }
  std::string routes() const { return in("ip -4 route show"); }

 private:
  std::string socket() const { return directory_.file(name_ + ".ctl"); }
  std::string pid_file() const { return directory_.file(name_ + ".pid"); }

  const testing::TempDirectory& directory_;
  const std::string name_;
  pid_t pid_ = -1;
};

// What a router of ours would have in its file.
struct NeighbourConfig {
  std::string router_id;
  std::string protocols;  // "protocol bgp …"
  std::string networks;   // "route … blackhole;"
};
inline std::string text(const NeighbourConfig& config) {
  return fmt::format(
      "log stderr all; router id {}; graceful restart wait 20;\n"
      "protocol device {{ scan time 1; }}\nprotocol direct {{ ipv4; }}\n"
      "protocol kernel {{ persist; scan time 1; graceful restart; ipv4 {{ export where source != RTS_DEVICE; }}; }}\n"
      "protocol static {{ ipv4; {} }}\n"
      "template bgp host {{ graceful restart; connect delay time 1; connect retry time 1; error wait time 1, 2;\n"
      "  ipv4 {{ import all; export where source = RTS_STATIC; }}; }}\n{}\n",
      config.router_id, config.networks, config.protocols);
}

}  // namespace bgp
