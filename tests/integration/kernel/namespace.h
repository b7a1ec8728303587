// namespace.h: a fresh network namespace for each test, and the few commands tests need inside it.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/fd.h"
#include "os/process.h"

namespace kernel_test {

// The calling thread moves into a new network namespace and back again at the end.
class FreshNamespace {
 public:
  FreshNamespace() : before_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    entered_ = before_ && ::unshare(CLONE_NEWNET) == 0;
    if (entered_) inside_.reset(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  }
  ~FreshNamespace() {
    if (entered_ && ::setns(before_.get(), CLONE_NEWNET) != 0) ADD_FAILURE() << "cannot return to the first namespace";
  }
  FreshNamespace(const FreshNamespace&) = delete;
  FreshNamespace& operator=(const FreshNamespace&) = delete;

  bool entered() const { return entered_; }
  int fd() const { return inside_.get(); }
  void enter() const { ASSERT_EQ(::setns(inside_.get(), CLONE_NEWNET), 0); }

 private:
  base::Fd before_;
  base::Fd inside_;
  bool entered_ = false;
};

class NamespaceTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root for a network namespace of its own";
    ASSERT_TRUE(netns_.entered()) << "unshare(CLONE_NEWNET) refused";
  }

  // Splits at spaces: run("ip link set lo up").
  static std::string run(const std::string& line) {
    std::vector<std::string> arguments;
    for (std::size_t at = 0; at < line.size();) {
      const std::size_t end = std::min(line.find(' ', at), line.size());
      if (end > at) arguments.push_back(line.substr(at, end - at));
      at = end + 1;
    }
    // A lock file of its own: the common one is shared with every namespace of the machine.
    const auto outcome =
        os::run({.arguments = arguments, .extra_environment = {"XTABLES_LOCKFILE=/tmp/percale-kernel-test.lock"}});
    if (!outcome) {
      ADD_FAILURE() << line << ": " << outcome.error().text();
      return {};
    }
    EXPECT_TRUE(outcome->ok()) << line << ": " << outcome->describe();
    return outcome->output;
  }

  FreshNamespace netns_;
};

}  // namespace kernel_test
