// The lab as its user sees it, and proof that its checks can fail: every check of suite Lab and Demo also runs against
// an agent that is broken on purpose (suite Broken).
//
//   check                                            fails with
//   matrix                                           no agent, a rule too many, a rule left out, a route left out
//   status, and step 1 of the demo                   a host without BGP
//   step 2 (the matrix)                              a route left out
//   steps 3 to 6                                     no agent
//   step 7, 8a, 8b, 9                                no agent, and an agent that is right but for one thing each: it
//                                                    starts with all doors closed, opens them without etcd, keeps
//                                                    connections of guests that are gone
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/files.h"
#include "test_lab.h"
#include "testing/temp_directory.h"

namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kDenyAll = R"(
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: default.deny-all}
spec:
  tier: default
  order: 1
  selector: all()
  types: [Ingress, Egress]
  ingress: [{action: Deny}]
  egress: [{action: Deny}]
)";

class Lab : public NeedsRoot {};
class Broken : public NeedsRoot {};
class Demo : public NeedsRoot {};

TEST_F(Lab, ComesUpTalksAndGoesWithoutTrace) {
  {
    TestLab lab("test-one");
    ASSERT_EQ(lab.up().status, 0) << lab.up().text;
    const Said matrix = lab.matrix();
    EXPECT_EQ(matrix.status, 0) << matrix.text;
    EXPECT_THAT(matrix.text, HasSubstr("240 flows, 240 of them allowed, 0 differ"));
    const Said status = percalectl({"lab", "status", "test-one"});
    EXPECT_EQ(status.status, 0) << status.text;
    EXPECT_EQ(lab.in("A", {"hostname"}).text, "host-a\n");
    EXPECT_THAT(lab.in("web1", {"ip", "route"}).text, HasSubstr("default via 10.65.0.1"));
    EXPECT_EQ(lab.in("web1", {"false"}).status, 1);
    EXPECT_NE(percalectl({"lab", "up", "test-one"}).status, 0) << "the name is taken";

    ASSERT_EQ(lab.apply(std::string(kDenyAll)).status, 0);
    const Said denied = matrix_soon(lab);
    EXPECT_EQ(denied.status, 0) << denied.text;
    EXPECT_THAT(denied.text, HasSubstr("240 flows, 0 of them allowed, 0 differ"));
  }
  EXPECT_FALSE(os::file_exists("/run/percale-lab/test-one"));
  EXPECT_NE(percalectl({"lab", "matrix", "test-one"}).status, 0);
}

TEST_F(Lab, TwoDoNotDisturbEachOther) {
  TestLab first("test-a");
  ASSERT_EQ(first.up().status, 0) << first.up().text;
  {
    TestLab second("test-b");
    ASSERT_EQ(second.up().status, 0) << second.up().text;
    ASSERT_EQ(second.apply(std::string(kDenyAll)).status, 0);
    EXPECT_EQ(matrix_soon(second).status, 0);
    EXPECT_THAT(first.matrix().text, HasSubstr("240 of them allowed, 0 differ"));
  }
  EXPECT_THAT(first.matrix().text, HasSubstr("240 of them allowed, 0 differ"));
}

TEST_F(Lab, DownClearsWhatACrashLeft) {
  for (const int milliseconds : {150, 500, 900}) {
    const pid_t up = ::fork();
    ASSERT_GE(up, 0);
    if (up == 0) {
      ::execl(PERCALECTL, PERCALECTL, "lab", "up", "test-crash", nullptr);
      ::_exit(127);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    ::kill(up, SIGKILL);
    ::waitpid(up, nullptr, 0);
    EXPECT_EQ(percalectl({"lab", "down", "test-crash"}).status, 0);
    EXPECT_FALSE(os::file_exists("/run/percale-lab/test-crash"));
  }
  TestLab lab("test-crash");
  EXPECT_EQ(lab.up().status, 0) << lab.up().text;
}

TEST_F(Lab, MistakesAreExplained) {
  EXPECT_EQ(percalectl({"lab", "fly"}).status, 2);
  EXPECT_EQ(percalectl({"lab", "up", "Not A Name"}).status, 2);
  EXPECT_EQ(percalectl({"lab", "up", "x", "--agent"}).status, 2);
  const Said missing = percalectl({"lab", "matrix", "no-such-lab"});
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.text, HasSubstr("no lab no-such-lab"));
}

TEST_F(Broken, NoAgentIsNoticed) {
  TestLab lab("test-none", {"--agent", "none"});
  ASSERT_EQ(lab.up().status, 0) << lab.up().text;
  EXPECT_EQ(lab.matrix().status, 0) << "without policies everything passes";
  ASSERT_EQ(lab.apply(std::string(kDenyAll)).status, 0);
  const Said matrix = lab.matrix();
  EXPECT_EQ(matrix.status, 1);
  EXPECT_THAT(matrix.text, HasSubstr("240 differ"));
}

TEST_F(Broken, DefaultAcceptIsNoticed) {
  TestLab lab("test-accept");
  ASSERT_EQ(lab.up().status, 0) << lab.up().text;
  ASSERT_EQ(lab.apply(std::string(kDenyAll)).status, 0);
  ASSERT_EQ(matrix_soon(lab).status, 0);
  lab.freeze_agents({"host-a", "host-b", "host-c"});
  for (const char* host : {"host-a", "host-b", "host-c"}) {
    ASSERT_EQ(lab.in(host, {"iptables-nft", "-I", "FORWARD", "1", "-j", "ACCEPT"}).status, 0);
  }
  const Said matrix = lab.matrix();
  EXPECT_EQ(matrix.status, 1);
  EXPECT_THAT(matrix.text, HasSubstr("expected to be blocked"));
}

TEST_F(Broken, RuleLeftOutIsNoticed) {
  TestLab lab("test-rule");
  ASSERT_EQ(lab.up().status, 0) << lab.up().text;
  lab.freeze_agents({"host-a", "host-b", "host-c"});
  ASSERT_EQ(
      lab.in("host-b", {"ip6tables-nft", "-I", "FORWARD", "1", "-p", "tcp", "--dport", "5432", "-j", "DROP"}).status,
      0);
  const Said matrix = lab.matrix();
  EXPECT_EQ(matrix.status, 1);
  EXPECT_THAT(matrix.text, HasSubstr("IPv6 tcp/5432: expected to pass"));
  EXPECT_THAT(matrix.text, Not(HasSubstr("IPv4 tcp/5432: expected")));
}

TEST_F(Broken, RouteLeftOutIsNoticed) {
  TestLab lab("test-route");
  ASSERT_EQ(lab.up().status, 0) << lab.up().text;
  lab.freeze_agents({"host-a", "host-b", "host-c"});
  ASSERT_EQ(lab.in("host-b", {"ip", "route", "del", "10.65.0.12/32"}).status, 0);
  const Said matrix = lab.matrix();
  EXPECT_EQ(matrix.status, 1);
  EXPECT_THAT(matrix.text, HasSubstr("-> web2 IPv4"));
  EXPECT_THAT(matrix.text, Not(HasSubstr("IPv6 icmp: expected")));
}

TEST_F(Broken, AHostWithoutBgpIsNoticed) {
  TestLab lab("test-bgp");
  ASSERT_EQ(lab.up().status, 0) << lab.up().text;
  ASSERT_EQ(percalectl({"lab", "status", lab.name()}).status, 0);
  const auto pid = os::read_file("/run/percale-lab/" + lab.name() + "/nodes/host-b/bird.pid");
  ASSERT_TRUE(pid);
  ASSERT_EQ(::kill(std::atoi(pid->c_str()), SIGKILL), 0);
  Said status;
  for (int i = 0; i < 20; ++i) {
    status = percalectl({"lab", "status", lab.name()});
    if (status.status != 0) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_EQ(status.status, 1);
  EXPECT_THAT(status.text, HasSubstr("BGP session"));
}

TEST_F(Demo, EveryStepGoesAsExpected) {
  const Said demo = percalectl({"lab", "demo", "test-demo"});
  EXPECT_EQ(demo.status, 0) << demo.text;
  EXPECT_THAT(demo.text, Not(HasSubstr("WRONG")));
}

TEST_F(Broken, DemoNoticesThatNobodyProtects) {
  const Said demo = percalectl({"lab", "demo", "test-demo-none", "--agent", "none", "--cut", "2"});
  EXPECT_EQ(demo.status, 1);
  for (const char* good : {"(1)", "(2)"}) EXPECT_THAT(demo.text, HasSubstr(good));
  std::size_t wrong = 0;
  for (auto at = demo.text.find("WRONG: "); at != demo.text.npos; at = demo.text.find("WRONG: ", at + 1)) ++wrong;
  EXPECT_EQ(wrong, 8u) << demo.text;
}

// Right in everything but: after a kill it keeps all doors closed for a moment; without etcd it opens them; and
// connections of guests that are gone live on.
std::string saboteur(const std::string& etcd) {
  return R"(#!/bin/bash
if [ -e /run/saboteur ]; then
  iptables-nft -w -I FORWARD -j DROP; sleep 0.3; iptables-nft -w -D FORWARD -j DROP
else
  touch /run/saboteur
  [ $(hostname) = host-c ] && ip monitor route | while read -r what address rest; do
    [ "$what $address" = "Deleted 10.66.0.14" ] || continue
    end=$((SECONDS + 6))
    while [ $SECONDS -lt $end ]; do
      conntrack -I -p tcp -s 10.66.0.14 -d 10.66.0.99 --sport 1 --dport 2 --state ESTABLISHED --timeout 60
    done
  done >/dev/null 2>&1 &
  while sleep 0.1; do
    if timeout 0.5 bash -c '</dev/tcp/)" +
         etcd + R"(/2379'; then
      iptables-nft -w -D FORWARD -j ACCEPT
    else
      iptables-nft -w -C FORWARD -j ACCEPT || iptables-nft -w -I FORWARD -j ACCEPT
    fi
  done >/dev/null 2>&1 &
fi
exec )" + PERCALED +
         "\n";
}

TEST_F(Broken, DemoNoticesEachFaultByItself) {
  const testing::TempDirectory directory;
  const std::string program = directory.write("saboteur", saboteur("172.31.255.1"));
  ASSERT_EQ(::chmod(program.c_str(), 0755), 0);
  const Said demo = percalectl({"lab", "demo", "test-saboteur", "--agent", program, "--cut", "3"});
  EXPECT_EQ(demo.status, 1);
  std::set<std::string> wrong;
  std::istringstream lines(demo.text);
  std::string step;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('(')) step = line.substr(0, line.find(')') + 1);
    if (line.find("WRONG: ") != line.npos) wrong.insert(step);
  }
  EXPECT_THAT(wrong, testing::ElementsAre("(7)", "(8a)", "(8b)", "(9)")) << demo.text;
}

}  // namespace
