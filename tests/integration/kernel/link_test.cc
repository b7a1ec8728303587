// The interface monitor and the settings of interfaces against the real kernel.
#include <algorithm>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"
#include "kernel/link_monitor.h"
#include "kernel/sysctl.h"
#include "namespace.h"
#include "os/event_loop.h"
#include "os/files.h"

namespace kernel_test {
namespace {

using ::testing::Contains;
using ::testing::Not;

class Recorder final : public kernel::LinkListener {
 public:
  std::vector<std::string> events;
  std::function<void()> on_event = [] {};

  bool saw(const std::string& event) const { return std::find(events.begin(), events.end(), event) != events.end(); }
  void on_link(const kernel::Link& link) override { add("link " + link.name + (link.running ? " up" : " down")); }
  void on_link_gone(const std::string& name, kernel::IfIndex) override { add("gone " + name); }
  void on_addresses(const std::string& name, const std::set<base::IpAddress>& addresses) override {
    std::string text = "addresses " + name;
    for (const auto& address : addresses) {
      if (address.is_v4()) text += " " + base::to_string(address);
    }
    add(text);
  }
  void on_links_in_sync() override { add("in sync"); }
  void on_links_failed(const base::Error& error) override { add("failed " + error.text()); }

 private:
  void add(std::string event) {
    events.push_back(std::move(event));
    on_event();
  }
};

class Links : public NamespaceTest {
 protected:
  void start(const kernel::LinkMonitorOptions& options = {}) {
    auto opened = kernel::LinkMonitor::open(loop_, recorder_, options);
    ASSERT_TRUE(opened) << opened.error().text();
    monitor_ = std::move(*opened);
    monitor_->start();
  }
  // Runs the loop until the event arrives; the time limit makes a failing test fail instead of hanging.
  bool wait_for(const std::string& event) {
    if (recorder_.saw(event)) return true;
    recorder_.on_event = [&] {
      if (recorder_.saw(event)) loop_.stop();
    };
    const auto timeout = loop_.after(std::chrono::seconds(5), [&] { loop_.stop(); });
    loop_.run();
    loop_.cancel(timeout);
    recorder_.on_event = [] {};
    return recorder_.saw(event);
  }
  void run_for(base::Duration span) {
    (void)loop_.after(span, [&] { loop_.stop(); });
    loop_.run();
  }

  os::EventLoop loop_;
  Recorder recorder_;
  std::unique_ptr<kernel::LinkMonitor> monitor_;
};

TEST_F(Links, FirstTheWholePictureThenEachChange) {
  run("ip link add tap1 type veth peer name p1");
  run("ip addr add 10.0.0.1/32 dev tap1");
  start();
  EXPECT_EQ(recorder_.events.back(), "in sync");
  EXPECT_TRUE(recorder_.saw("link tap1 down"));
  recorder_.events.clear();

  run("ip link set p1 up");
  run("ip link set tap1 up");
  EXPECT_TRUE(wait_for("link tap1 up"));
  EXPECT_TRUE(wait_for("addresses tap1 10.0.0.1"));
  run("ip addr add 10.0.0.2/32 dev tap1");
  EXPECT_TRUE(wait_for("addresses tap1 10.0.0.1 10.0.0.2"));
  run("ip link set tap1 down");
  EXPECT_TRUE(wait_for("link tap1 down"));
  run("ip link set tap1 name tap2");
  EXPECT_TRUE(wait_for("link tap2 down"));
  EXPECT_TRUE(wait_for("gone tap1"));
  run("ip link del tap2");
  EXPECT_TRUE(wait_for("gone tap2"));
  EXPECT_TRUE(wait_for("gone p1"));
  EXPECT_EQ(monitor_->resyncs(), 1u);
}

TEST_F(Links, AnAddressThatComesBackAtOnceWasNeverAway) {
  run("ip link add tap1 type veth peer name p1");
  run("ip link set p1 up");
  run("ip link set tap1 up");
  run("ip addr add 10.0.0.1/32 dev tap1");
  start();
  recorder_.events.clear();
  run("ip addr del 10.0.0.1/32 dev tap1");
  run("ip addr add 10.0.0.1/32 dev tap1");
  run_for(std::chrono::milliseconds(250));
  for (const std::string& event : recorder_.events) EXPECT_FALSE(event.starts_with("addresses tap1")) << event;
  run("ip addr del 10.0.0.1/32 dev tap1");
  EXPECT_TRUE(wait_for("addresses tap1"));
}

TEST_F(Links, ALeavingBridgePortIsNoLeavingInterface) {
  run("ip link add br0 type bridge");
  run("ip link add tap1 type veth peer name p1");
  run("ip link set tap1 master br0");
  start();
  recorder_.events.clear();
  run("ip link set tap1 nomaster");
  run("ip link set br0 mtu 1400");
  EXPECT_TRUE(wait_for("link br0 down"));
  run_for(std::chrono::milliseconds(150));
  EXPECT_FALSE(recorder_.saw("gone tap1"));
}

TEST_F(Links, ExcludedInterfacesHaveNoAddresses) {
  run("ip link add kube-ipvs0 type bridge");
  run("ip addr add 10.9.0.1/32 dev kube-ipvs0");
  run("ip link add cilium5 type bridge");
  run("ip addr add 10.9.0.2/32 dev cilium5");
  start({.exclude = {"kube-ipvs0", "/^cilium[0-9]$/"}});
  EXPECT_TRUE(recorder_.saw("link kube-ipvs0 down"));
  for (const std::string& event : recorder_.events) EXPECT_FALSE(event.starts_with("addresses")) << event;
  Recorder other;
  EXPECT_FALSE(kernel::LinkMonitor::open(loop_, other, {.exclude = {"/(/"}}));
}

TEST_F(Links, AStormOfEventsEndsInTheRightPicture) {
  start();
  std::string batch;
  for (int i = 0; i < 300; ++i) {
    const std::string name = "d" + std::to_string(i);
    batch += "link add " + name + " type bridge\nlink set " + name + " up\n";
  }
  for (int i = 0; i < 300; i += 2) batch += "link del d" + std::to_string(i) + "\n";
  const auto outcome = os::run({.arguments = {"ip", "-batch", "-"}, .input = batch});
  ASSERT_TRUE(outcome && outcome->ok());
  EXPECT_TRUE(wait_for("gone d298"));
  EXPECT_TRUE(wait_for("link d299 up"));
  EXPECT_FALSE(recorder_.saw("gone d299"));
}

TEST_F(Links, InterfaceSettingsAreWrittenOnce) {
  run("ip link add tap1 type veth peer name p1");
  kernel::ProcSysctl sysctl;
  base::NullLog log;
  kernel::SyncCounters counters;
  const kernel::InterfaceSysctls settings{.interface = "tap1", .rp_filter = "0", .ipv6 = true};
  auto done = kernel::configure_interface(sysctl, settings, log, counters);
  ASSERT_TRUE(done) << done.error().text();
  for (const auto& [path, value] : {std::pair{"ipv6/conf/tap1/accept_ra", "0"},
                                    {"ipv4/conf/tap1/route_localnet", "1"},
                                    {"ipv4/neigh/tap1/proxy_delay", "0"},
                                    {"ipv4/conf/tap1/proxy_arp", "1"},
                                    {"ipv4/conf/tap1/forwarding", "1"},
                                    {"ipv4/conf/tap1/rp_filter", "0"},
                                    {"ipv6/conf/tap1/proxy_ndp", "1"},
                                    {"ipv6/conf/tap1/forwarding", "1"}}) {
    EXPECT_EQ(sysctl.read(std::string("net/") + path).value_or("?"), value) << path;
  }
  const auto writes = counters.writes;
  EXPECT_GT(writes, 0u);
  ASSERT_TRUE(kernel::configure_interface(sysctl, settings, log, counters));
  EXPECT_EQ(counters.writes, writes);
  EXPECT_FALSE(kernel::configure_interface(sysctl, {.interface = "tap-missing"}, log, counters));
}

}  // namespace
}  // namespace kernel_test
