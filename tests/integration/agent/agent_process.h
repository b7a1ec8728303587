// agent_process.h: a percaled that runs as a child, and what can be asked of it from outside.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "os/event_loop.h"
#include "os/process.h"

namespace agent_test {

constexpr std::uint16_t kHealthPort = 9099;
constexpr std::uint16_t kMetricsPort = 9091;

struct Answer {
  int status = 0;  // 0: no answer
  std::string body;
};
Answer get(std::uint16_t port, const std::string& path);

class AgentProcess {
 protected:
  static os::Outcome program(std::vector<std::string> arguments);
  void launch(std::vector<std::string> arguments, std::vector<std::string> environment);
  // Keeps the loop running until it holds; false after twenty seconds.
  bool wait(const std::function<bool()>& holds);
  bool ready();
  bool ended();
  // `name` with its labels; -1 when there is no such series.
  static double metric(const std::string& name);

  os::EventLoop loop_;
  std::optional<os::Outcome> outcome_;
  std::unique_ptr<os::Process> agent_;
};

}  // namespace agent_test
