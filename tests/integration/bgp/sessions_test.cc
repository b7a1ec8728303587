// What operators count on while BIRD's configuration changes or BIRD itself falls: against real daemons.
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sessions_fixture.h"

namespace bgp {
namespace {

using testing::HasSubstr;
using testing::Not;

// The kernel's own account of routes that come and go, which sees what a look now and then would miss.
class RouteMonitor {
 public:
  explicit RouteMonitor(const testing::TempDirectory& directory) : file_(directory.file("monitor.log")) {
    const auto started = os::start_detached({.arguments = {"ip", "-4", "monitor", "route"}}, file_);
    EXPECT_TRUE(started);
    pid_ = started ? *started : -1;
    // It listens once it has opened its socket; a route of our own shows when.
    do {
      run("ip route replace 198.51.100.255/32 dev lo");
      run("ip route del 198.51.100.255/32 dev lo");
      std::this_thread::yield();
    } while (seen().find("198.51.100.255") == std::string::npos);
  }
  ~RouteMonitor() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  RouteMonitor(const RouteMonitor&) = delete;
  RouteMonitor& operator=(const RouteMonitor&) = delete;
  std::string seen() const { return os::read_file(file_).value_or(""); }

 private:
  std::string file_;
  pid_t pid_ = -1;
};

TEST_F(SessionsTest, ANewPeerResetsNobody) {
  Neighbour& b = add_neighbour("b", 12);
  Neighbour& c = add_neighbour("c", 13);
  // Every character a password may have that could trouble BIRD's reader.
  std::filesystem::create_directories(options_.secret_directory + "/bgp");
  directory_.write("secrets/bgp/b", "p w # ; \\ } x\n");
  b.start_bird(text(router("192.0.2.12", "", "password \"p w # ; \\ } x\";")));
  c.start_bird(text(router("192.0.2.13", "")));
  put_peer("b", R"("peerIP":"192.0.2.12","password":{"secretKeyRef":{"name":"bgp","key":"b"}})");
  start();
  ASSERT_TRUE(run_until([&] { return established("Global_192_0_2_12"); }));
  const double since = since_of(b);

  put_peer("c", R"("peerIP":"192.0.2.13","keepaliveTime":"20s")");
  put("bgpfilters/f", R"({"spec":{"exportV4":[{"action":"Reject","source":"RemotePeers"}]}})");
  ASSERT_TRUE(run_until([&] { return established("Global_192_0_2_13"); }));
  // The other end's clock has milliseconds: the very same session.
  EXPECT_TRUE(is_session_since(b, since));
  EXPECT_TRUE(established("Global_192_0_2_12"));

  // A pool changes filters only.
  put("ippools/p", R"({"spec":{"cidr":"10.65.0.0/16"}})");
  ASSERT_TRUE(run_until([&] { return config().find("10.65.0.0/16") != std::string::npos; }));
  ASSERT_TRUE(run_until([&] { return established("Global_192_0_2_13"); }));
  EXPECT_TRUE(is_session_since(b, since));

  // A password in its file that changes is a new session for its peer alone.
  const double since_c = since_of(c);
  directory_.write("secrets/bgp/b", "other");
  ASSERT_TRUE(run_until([&] { return !established("Global_192_0_2_12"); }));
  EXPECT_TRUE(is_session_since(c, since_c));
}

TEST_F(SessionsTest, ACrashLosesNoRoute) {
  Neighbour b(directory_, "b");
  b.connect("vb", "192.0.2.11/24", "192.0.2.12/24");
  b.start_bird(text(router("192.0.2.12", "route 10.99.1.0/24 blackhole; route 10.99.2.0/24 blackhole;")));
  put_peer("b", R"("peerIP":"192.0.2.12")");
  put("ippools/p", R"({"spec":{"cidr":"10.65.0.0/16"}})");
  put("/calico/ipam/v2/host/a/ipv4/block/10.65.3.0-26", R"({"state":"confirmed"})");
  start();
  ASSERT_TRUE(run_until([&] { return has_route("10.99.1.0/24") && has_route("10.99.2.0/24"); }));
  ASSERT_TRUE(run_until([&] { return b.routes().find("10.65.3.0/26 via 192.0.2.11") != std::string::npos; }));
  EXPECT_TRUE(has_route("blackhole 10.65.3.0/26"));

  const RouteMonitor monitor(directory_);
  kill_daemon(SIGKILL);
  ASSERT_TRUE(run_until([&] { return !runner_->status().daemon_up; }));
  EXPECT_TRUE(has_route("10.99.1.0/24"));
  EXPECT_TRUE(b.routes().find("10.65.3.0/26 via 192.0.2.11") != std::string::npos);
  ASSERT_TRUE(run_until([&] {
    return runner_->status().daemon_up && established("Global_192_0_2_12") && !runner_->status().daemon.recovering;
  }));
  EXPECT_TRUE(has_route("10.99.1.0/24"));
  EXPECT_TRUE(has_route("blackhole 10.65.3.0/26"));
  EXPECT_THAT(monitor.seen(), Not(HasSubstr("Deleted 10.99.")));
  EXPECT_THAT(monitor.seen(), Not(HasSubstr("Deleted blackhole 10.65.3.0/26")));
  // Not a session that only seems to work: what is withdrawn now goes.
  b.birdc("disable a");
  EXPECT_TRUE(run_until([&] { return !has_route("10.99.1.0/24"); }));
}

TEST_F(SessionsTest, TunnelRoutesByModeAndDevice) {
  if (!os::file_exists("/dev/net/tun")) GTEST_SKIP() << "no /dev/net/tun to stand in for tunl0";
  Neighbour b(directory_, "b");
  b.connect("vb", "192.0.2.11/24", "192.0.2.12/24");
  // b is on our subnet; d, behind b, is not. Both announce a block of the pool.
  Neighbour d(directory_, "d");
  d.connect("vd", "203.0.113.1/24", "203.0.113.13/24");
  d.in("ip route add 192.0.2.0/24 via 203.0.113.1");
  NeighbourConfig far = router("203.0.113.13", "route 10.65.9.0/26 blackhole;");
  b.start_bird(text(router("192.0.2.12", "route 10.65.8.0/26 blackhole;")));
  d.start_bird(text(far));
  put_peer("b", R"("peerIP":"192.0.2.12")");
  put_peer("d", R"("peerIP":"203.0.113.13")");
  const auto pool = [&](const std::string& mode) {
    put("ippools/p", R"({"spec":{"cidr":"10.65.0.0/16","ipipMode":")" + mode + "\"}}");
  };
  pool("Always");
  start();
  ASSERT_TRUE(run_until([&] { return established("Global_192_0_2_12") && established("Global_203_0_113_13"); }));
  // Without the device nothing may leave unencapsulated.
  EXPECT_FALSE(has_route("10.65.8.0/26"));
  EXPECT_FALSE(has_route("10.65.9.0/26"));

  run("ip tuntap add tunl0 mode tun");
  run("ip link set tunl0 up");
  ASSERT_TRUE(run_until([&] {
    return has_route("10.65.8.0/26 via 192.0.2.12 dev tunl0 proto bird metric 32 onlink") &&
           has_route("10.65.9.0/26 via 203.0.113.13 dev tunl0 proto bird metric 32 onlink");
  })) << routes();

  pool("CrossSubnet");
  ASSERT_TRUE(run_until([&] { return has_route("10.65.8.0/26 via 192.0.2.12 dev vb"); })) << routes();
  EXPECT_TRUE(has_route("10.65.9.0/26 via 203.0.113.13 dev tunl0"));
  pool("Never");
  ASSERT_TRUE(run_until([&] { return has_route("10.65.9.0/26 via 203.0.113.13 dev vd"); })) << routes();

  // The device goes: tunnelled routes leave the kernel rather than the tunnel; and back.
  pool("Always");
  ASSERT_TRUE(run_until([&] { return has_route("10.65.9.0/26 via 203.0.113.13 dev tunl0"); }));
  run("ip link del tunl0");
  ASSERT_TRUE(run_until([&] { return !has_route("10.65.8.0/26") && !has_route("10.65.9.0/26"); })) << routes();
  run("ip tuntap add tunl0 mode tun");
  run("ip link set tunl0 up");
  ASSERT_TRUE(run_until([&] { return has_route("10.65.9.0/26 via 203.0.113.13 dev tunl0"); })) << routes();
  // The next agent finds all as it should be and takes nothing out.
  const RouteMonitor monitor(directory_);
  runner_.reset();
  start();
  ASSERT_TRUE(run_until([&] { return established("Global_203_0_113_13"); }));
  EXPECT_THAT(monitor.seen(), Not(HasSubstr("Deleted 10.65.")));
}

// BIRD writes every route again when the filter towards the kernel changes; so it never does.
TEST_F(SessionsTest, APoolTouchesNoRouteInTheKernelButItsOwn) {
  if (!os::file_exists("/dev/net/tun")) GTEST_SKIP() << "no /dev/net/tun to stand in for tunl0";
  run("ip tuntap add tunl0 mode tun");
  run("ip link set tunl0 up");
  Neighbour b(directory_, "b");
  b.connect("vb", "192.0.2.11/24", "192.0.2.12/24");
  b.start_bird(text(router("192.0.2.12",
                           "route 10.65.8.0/26 blackhole; route 10.66.8.0/26 blackhole; "
                           "route 10.99.1.0/24 blackhole; route 192.0.2.0/24 blackhole;")));
  put_peer("b", R"("peerIP":"192.0.2.12")");
  put("ippools/one", R"({"spec":{"cidr":"10.65.0.0/16"}})");
  start();
  ASSERT_TRUE(run_until([&] { return has_route("10.65.8.0/26") && has_route("10.99.1.0/24"); }));
  const RouteMonitor monitor(directory_);
  put("ippools/two", R"({"spec":{"cidr":"10.66.0.0/16","ipipMode":"Always"}})");
  ASSERT_TRUE(run_until([&] { return has_route("10.66.8.0/26 via 192.0.2.12 dev tunl0"); })) << routes();
  put("ippools/two", R"({"spec":{"cidr":"10.66.0.0/16","vxlanMode":"Always"}})");
  ASSERT_TRUE(run_until([&] { return !has_route("10.66.8.0/26"); })) << routes();  // the agent's
  put("ippools/two", R"({"spec":{"cidr":"10.66.0.0/16"}})");
  ASSERT_TRUE(run_until([&] { return has_route("10.66.8.0/26 via 192.0.2.12 dev vb"); })) << routes();
  EXPECT_THAT(monitor.seen(), HasSubstr("10.66.8.0/26"));
  EXPECT_THAT(monitor.seen(), Not(HasSubstr("10.65.8.0/26")));
  EXPECT_THAT(monitor.seen(), Not(HasSubstr("10.99.1.0/24")));
  // A better route that stays out of the kernel does not let a worse one in: the subnet is connected here.
  EXPECT_FALSE(has_route("192.0.2.0/24 via 192.0.2.12")) << routes();
}

TEST_F(SessionsTest, FiltersDecide) {
  Neighbour b(directory_, "b");
  b.connect("vb", "192.0.2.11/24", "192.0.2.12/24");
  b.start_bird(text(router("192.0.2.12",
                           "route 10.99.1.0/24 blackhole; route 10.99.2.0/24 blackhole; "
                           "route 10.98.0.0/16 blackhole;")));
  put("bgpfilters/f", R"({"spec":{
    "importV4":[{"action":"Reject","matchOperator":"In","cidr":"10.98.0.0/15","prefixLength":{"min":20}},
                {"action":"Accept","asPathPrefix":[65001],"operations":[{"setPriority":{"value":512}}]}],
    "exportV4":[{"action":"Reject","matchOperator":"Equal","cidr":"10.65.3.64/26"},
                {"action":"Accept","matchOperator":"In","cidr":"10.65.0.0/16",
                 "operations":[{"addCommunity":{"value":"64512:7"}},{"prependASPath":{"prefix":[64600,64601]}}]}]}})");
  put_peer("b", R"("peerIP":"192.0.2.12","filters":["f"])");
  put("ippools/p", R"({"spec":{"cidr":"10.65.0.0/16"}})");
  for (const char* block : {"10.65.3.0-26", "10.65.3.64-26"}) {
    put(std::string("/calico/ipam/v2/host/a/ipv4/block/") + block, "");
  }
  start();
  ASSERT_TRUE(run_until([&] { return has_route("10.98.0.0/16"); }));
  ASSERT_TRUE(run_until([&] { return b.routes().find("10.65.3.0/26") != std::string::npos; }));
  EXPECT_FALSE(has_route("10.99.1.0/24"));
  EXPECT_THAT(b.routes(), Not(HasSubstr("10.65.3.64/26")));
  const std::string route = b.birdc("show route 10.65.3.0/26 all");
  EXPECT_THAT(route, HasSubstr("BGP.community: (64512,7)"));
  EXPECT_THAT(route, HasSubstr("BGP.as_path: 64512 64600 64601"));
  const std::string own = run("birdc -s " + options_.socket_path + " show route 10.98.0.0/16 all");
  EXPECT_THAT(own, HasSubstr("BGP.local_pref: 2147483135"));
  EXPECT_THAT(own, HasSubstr("(200"));  // the preference of an elevated route
}

TEST_F(SessionsTest, ARefusedLocalFileHoldsUpNothing) {
  directory_.write("local.conf", "protocol nonsense {");
  put_peer("b", R"("peerIP":"192.0.2.12")");
  start();
  ASSERT_TRUE(run_until([&] { return runner_->status().sessions.size() == 1; }));
  EXPECT_EQ(runner_->status().configuration_error, "");
  EXPECT_THAT(config(), Not(HasSubstr("include")));
  directory_.write("local.conf", "protocol static mine { ipv4; route 203.0.113.0/24 blackhole; }\n");
  ASSERT_TRUE(run_until([&] { return has_route("blackhole 203.0.113.0/24"); }));
  directory_.write("local.conf", "protocol static mine { ipv4; route 203.0.114.0/24 blackhole; }\n");
  ASSERT_TRUE(run_until([&] { return has_route("blackhole 203.0.114.0/24"); }));
}

TEST_F(SessionsTest, ADaemonThatFallsAgainAndAgainIsStartedWithGrowingPauses) {
  put_peer("b", R"("peerIP":"192.0.2.12")");
  // A program that counts its starts and dies at once.
  options_.program = directory_.write("bird", "#!/bin/sh\nfor a; do [ \"$a\" = -p ] && exit 0; done\necho x >> " +
                                                  directory_.file("starts") + "\nexit 1\n");
  std::filesystem::permissions(options_.program, std::filesystem::perms::owner_all);
  start();
  const auto starts = [&] { return os::read_file(directory_.file("starts")).value_or("").size() / 2; };
  ASSERT_TRUE(run_until([&] { return starts() >= 2; }));
  const base::Instant second = loop_.now();
  ASSERT_TRUE(run_until([&] { return starts() >= 5; }));
  EXPECT_GE(loop_.now() - second, 100ms * (4 + 8));  // 0.1 s, 0.2 s, then these
}

// The hold time would take 240 s. The cable is cut without either BGP process noticing: the sessions are multihop.
TEST_F(SessionsTest, BfdNoticesASilentPeer) {
  settings_.bfd.use = BfdUse::kPeers;
  Neighbour b(directory_, "b");
  b.connect("vb", "192.0.2.11/24", "192.0.2.12/24");
  NeighbourConfig config = router("192.0.2.12", "route 10.99.1.0/24 blackhole;", "bfd on;");
  config.protocols += "\nprotocol bfd { multihop { interval 300 ms; multiplier 3; }; }";
  b.start_bird(text(config));
  put_peer("b", R"("peerIP":"192.0.2.12")");
  start();
  ASSERT_TRUE(run_until([&] { return has_route("10.99.1.0/24"); }));
  ASSERT_TRUE(run_until([&] { return b.birdc("show bfd sessions").find(" Up ") != std::string::npos; }));
  b.in("ip link set eth0 down");
  EXPECT_TRUE(run_until([&] { return !has_route("10.99.1.0/24"); }));
}

}  // namespace
}  // namespace bgp
