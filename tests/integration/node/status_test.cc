// `node status` against a real BIRD: two daemons in a namespace of their own, one session up, one refused, one
// disabled.

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/status_report.h"
#include "testing/temp_directory.h"

namespace node {
namespace {

constexpr std::string_view kFirst = R"(
router id 192.0.2.11;
protocol device {}
protocol kernel kernel4 { ipv4 { import all; export all; }; learn; }
protocol static blocks4 { ipv4; route 10.65.3.0/26 blackhole; }
protocol bgp Mesh_127_0_0_2 {
  local 127.0.0.1 port 1791 as 64512; neighbor 127.0.0.2 port 1792 as 64512; multihop; connect delay time 1;
  ipv4 { import all; export all; };
}
protocol bgp Global_127_0_0_9_port_1179 {
  local 127.0.0.1 as 64512; neighbor 127.0.0.9 port 1179 as 64513; multihop; connect delay time 1;
  ipv4 { import all; export all; };
}
protocol bgp N1 { disabled; local ::1 as 64512; neighbor fd00::9 as 64513; multihop; ipv6 { import all; export all; }; }
)";
constexpr std::string_view kSecond = R"(
router id 192.0.2.12;
protocol device {}
protocol static blocks4 { ipv4; route 10.65.7.0/26 blackhole; }
protocol bgp Mesh_127_0_0_1 {
  local 127.0.0.2 port 1792 as 64512; neighbor 127.0.0.1 port 1791 as 64512; multihop; connect delay time 1;
  ipv4 { import all; export all; };
}
)";

class Birds : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    std::ofstream(directory_.file("1.conf")) << kFirst;
    std::ofstream(directory_.file("2.conf")) << kSecond;
    const auto bird = [&](const std::string& number) {
      return "bird -f -c " + directory_.file(number + ".conf") + " -s " + socket(number);
    };
    const std::string script = "ip link set lo up; " + bird("2") + " & exec " + bird("1");
    pid_ = ::fork();
    if (pid_ == 0) {
      ::setpgid(0, 0);
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::execlp("unshare", "unshare", "-n", "sh", "-c", script.c_str(), nullptr);
      ::_exit(127);
    }
  }
  void TearDown() override {
    if (pid_ <= 0) return;
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  std::string socket(const std::string& number) const { return directory_.file(number + ".ctl"); }

  // Asks until it is as the test expects, or for a long time.
  StatusReport report_when(const std::function<bool(const StatusReport&)>& expected) {
    const auto host = make_system_host();
    StatusReport report;
    for (int i = 0; i < 600; ++i) {
      report = gather_status(*host, socket("1"), true);
      if (expected(report)) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return report;
  }

  testing::TempDirectory directory_;
  pid_t pid_ = -1;
};

TEST_F(Birds, SessionsAndRoutes) {
  const StatusReport report = report_when([](const StatusReport& seen) {
    const auto v4 = sessions_of(seen, true);
    const auto routes = routes_of(seen, true);
    return v4.size() == 2 && v4[0].session == "Established" && v4[1].info.find("refused") != std::string::npos &&
           routes.size() == 2;
  });
  ASSERT_EQ(report.daemons.size(), 1U) << report.error;
  EXPECT_TRUE(report.bird_process);
  EXPECT_EQ(report.daemons[0].status.router_id, "192.0.2.11");
  EXPECT_FALSE(report.daemons[0].last_reconfiguration.empty());
  const auto v4 = sessions_of(report, true), v6 = sessions_of(report, false);
  ASSERT_EQ(v4.size(), 2U);
  ASSERT_EQ(v6.size(), 1U);
  EXPECT_EQ(v4[0].address, "127.0.0.2");
  EXPECT_EQ(v4[0].info, "Established");
  EXPECT_EQ(v4[1].address, "127.0.0.9:1179");
  EXPECT_EQ(v4[1].state, "start");
  EXPECT_EQ(v6[0].address, "fd00::9");
  EXPECT_EQ(v6[0].state, "down");
  auto routes = routes_of(report, true);
  std::ranges::sort(routes, {}, &Route::destination);
  ASSERT_EQ(routes.size(), 2U);
  EXPECT_EQ(routes[0].destination, "10.65.3.0/26");
  EXPECT_EQ(routes[0].interface, "blackhole");
  EXPECT_EQ(routes[1].protocol, "Mesh_127_0_0_2");
  EXPECT_TRUE(routes[1].primary);
}

}  // namespace
}  // namespace node
