// test_lab.h: a lab of one test, used as its users do: through percalectl alone.
#pragma once

#include <unistd.h>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "os/files.h"
#include "os/process.h"

struct Said {
  int status = -1;
  std::string text;
};

inline Said percalectl(std::vector<std::string> arguments, const std::string& input = {}) {
  arguments.insert(arguments.begin(), PERCALECTL);
  auto outcome = os::run({.arguments = arguments, .input = input, .timeout = std::chrono::minutes(4)});
  if (!outcome) return {-1, outcome.error().text()};
  return {outcome->status, outcome->output + outcome->errors};
}

// Up for one test, gone afterwards whatever happens.
class TestLab {
 public:
  explicit TestLab(std::string name, std::vector<std::string> options = {}) : name_(std::move(name)) {
    percalectl({"lab", "down", name_});
    options.insert(options.begin(), {"lab", "up", name_});
    up_ = percalectl(options);
  }
  ~TestLab() { percalectl({"lab", "down", name_}); }
  TestLab(const TestLab&) = delete;
  TestLab& operator=(const TestLab&) = delete;

  const Said& up() const { return up_; }
  const std::string& name() const { return name_; }
  Said tunnel() const { return percalectl({"lab", "tunnel", name_}); }
  Said matrix() const { return percalectl({"lab", "matrix", name_}); }
  Said in(const std::string& node, std::vector<std::string> command, const std::string& input = {}) const {
    command.insert(command.begin(), {"lab", "exec", name_, node, "--"});
    return percalectl(command, input);
  }
  Said apply(const std::string& yaml) const { return in("etcd", {PERCALECTL, "apply", "-f", "-"}, yaml); }
  // The agent's process number while it lives; the lab does not start it again.
  std::string agent(const std::string& host) const {
    const std::string pid = os::read_file("/run/percale-lab/" + name_ + "/nodes/" + host + "/agent.pid").value_or("0");
    return std::atoi(pid.c_str()) > 0 && ::kill(std::atoi(pid.c_str()), 0) == 0 ? pid : "gone";
  }
  // Freezes the agents: what is broken now stays broken.
  void freeze_agents(const std::vector<std::string>& hosts) const {
    for (const std::string& host : hosts) {
      const auto pid = os::read_file("/run/percale-lab/" + name_ + "/nodes/" + host + "/agent.pid");
      ASSERT_TRUE(pid);
      ASSERT_EQ(::kill(std::atoi(pid->c_str()), SIGSTOP), 0);
    }
  }

 private:
  std::string name_;
  Said up_;
};

// A matrix some time after a change: agents need a moment.
inline Said matrix_soon(const TestLab& lab) {
  Said said;
  for (int i = 0; i < 5; ++i) {
    said = lab.matrix();
    if (said.status == 0) break;
  }
  return said;
}

class NeedsRoot : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "labs need root";
  }
};
