// What a guest gets from the DHCP service: real dnsmasq and a real client, over a tap as OpenStack wires it; endpoints
// and subnets come from a store in memory.
#include "dhcp/runtime/service.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <csignal>
#include <functional>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/strings.h"
#include "os/event_loop.h"
#include "os/files.h"
#include "os/mounts.h"
#include "os/process.h"
#include "store/memory_store.h"
#include "testing/temp_directory.h"

namespace dhcp {
namespace {

using testing::HasSubstr;

constexpr const char* kSubnetKey = "/calico/dhcp/v2/no-region/subnet/s1";
constexpr const char* kSubnet6Key = "/calico/dhcp/v2/no-region/subnet/s6";
constexpr const char* kSubnet6 =
    R"({"network_id": "net-one-0000", "cidr": "fd00:28::/64", "host_routes": [], "gateway_ip": "fd00:28::1",
        "dns_servers": ["fd00::53"], "ipv6_ra_mode": "dhcpv6-stateful", "ipv6_address_mode": "dhcpv6-stateful"})";

os::Outcome run(std::vector<std::string> arguments, base::Duration timeout = std::chrono::seconds(20)) {
  auto outcome = os::run({.arguments = std::move(arguments), .timeout = timeout});
  return outcome ? *outcome : os::Outcome{.status = -1, .errors = outcome.error().text()};
}

std::string subnet(const std::string& dns) {
  return R"({"network_id": "net-one-0000", "cidr": "10.28.0.0/24", "host_routes": [{"destination": "10.9.0.0/16", )"
         R"("nexthop": "10.28.0.9"}], "gateway_ip": "10.28.0.1", "dns_servers": [")" +
         dns + R"("]})";
}

class DhcpServiceTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    entered_ = ::geteuid() == 0 && ::unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 && os::make_mounts_private().has_value();
    if (!entered_) return;
    // Names of the guests' namespaces are nobody else's business.
    ASSERT_EQ(::mount("tmpfs", "/run", "tmpfs", 0, nullptr), 0);
    ASSERT_EQ(::mount("sysfs", "/sys", "sysfs", 0, nullptr), 0);
    ASSERT_TRUE(run({"ip", "link", "set", "lo", "up"}).ok());
  }

  void SetUp() override {
    if (!entered_) GTEST_SKIP() << "needs root and namespaces";
    ASSERT_EQ(::chmod(directory_.path().c_str(), 0755), 0);  // dnsmasq reads its files as another user
    state_ = directory_.file("state");
    client_script_ = directory_.write(
        "client", "#!/bin/sh\ncase \"$1$reason\" in bound|BOUND6) env > \"$LEASE_FILE\" ;; esac\nexit 0\n");
    ASSERT_EQ(::chmod(client_script_.c_str(), 0755), 0);
  }

  void TearDown() override {
    service_.reset();
    for (const std::string& guest : guests_) {
      run({"ip", "link", "del", "tap" + guest});
      run({"ip", "netns", "del", guest});
    }
    if (const pid_t pid = server(); pid > 0) ::kill(pid, SIGKILL);
    run({"ip", "link", "del", "ns-net-one-000"});
  }

  void start() {
    Settings settings;
    settings.mode = Mode::kEnabled;
    settings.host = "cmp-1";
    settings.region = "no-region";
    settings.name_space = "openstack";
    settings.options.state_path = state_;
    service_ = std::make_unique<Service>(loop_, log_, metrics_, settings);
    service_->start(store_);
    for (const std::string& guest : guests_) service_->set_link("tap" + guest, 1480);
  }

  // A namespace with an interface, and the tap at its other end.
  void plug(const std::string& guest, const std::string& mac) {
    ASSERT_TRUE(run({"ip", "netns", "add", guest}).ok());
    guests_.push_back(guest);
    wire(guest, mac);
  }
  void wire(const std::string& guest, const std::string& mac) {
    ASSERT_TRUE(run({"ip", "link", "add", "tap" + guest, "type", "veth", "peer", "name", "eth0", "address", mac,
                     "netns", guest})
                    .ok());
    ASSERT_TRUE(run({"ip", "link", "set", "tap" + guest, "up"}).ok());
    ASSERT_TRUE(run({"ip", "-n", guest, "link", "set", "eth0", "up"}).ok());
    if (service_) service_->set_link("tap" + guest, 1480);
  }

  static std::string key_of(const std::string& guest) {
    return "/calico/resources/v3/projectcalico.org/workloadendpoints/openstack/cmp--1-openstack-vm" + guest + "-" +
           guest;
  }
  // `options`: the annotation's text.
  void put(const std::string& guest, const std::string& mac, const std::string& networks,
           const std::string& options = "[]") {
    store_.write(key_of(guest),
                 R"({"metadata":{"annotations":{"openstack.projectcalico.org/network-id":"net-one-0000",)"
                 R"("openstack.projectcalico.org/dhcp-options":")" +
                     base::replace_all(options, "\"", "\\\"") + R"("}},"spec":{"interfaceName":"tap)" + guest +
                     R"(","mac":")" + mac + R"(","ipNetworks":[)" + networks + R"(],"allowedIps":[]}})");
  }

  // Lets the service work until it holds; false after twenty seconds.
  bool wait(const std::function<bool()>& holds) {
    int tries = 0;
    std::function<void()> look = [&] {
      if (holds() || ++tries == 1000) return loop_.stop();
      loop_.after(std::chrono::milliseconds(20), look);
    };
    look();
    loop_.run();
    return holds();
  }

  std::string state_file(const std::string& name) const {
    const auto text = os::read_file(state_ + "/net-one-0000/" + name);
    return text ? *text : "";
  }
  // The process that the pid file names, if it lives; 0 when there is none.
  pid_t server() const {
    const pid_t pid = std::atoi(state_file("pid").c_str());
    return pid > 1 && ::kill(pid, 0) == 0 ? pid : 0;
  }
  // The network's server knows the guest.
  bool serves(const std::string& text) { return server() != 0 && state_file("host").find(text) != std::string::npos; }

  // What the client is told, by udhcpc's names; empty when it gets no answer. The service need not run meanwhile.
  std::map<std::string, std::string> lease(const std::string& guest) {
    const std::string file = directory_.file("lease." + guest);
    (void)os::remove_file(file);
    auto outcome = os::run(
        {.arguments = {"ip", "netns", "exec", guest,  "udhcpc", "-i",       "eth0", "-n",          "-q",
                       "-f", "-t",    "8",    "-T",   "1",      "-O",       "mtu",  "-O",          "staticroutes",
                       "-O", "dns",   "-O",   "tftp", "-O",     "bootfile", "-s",   client_script_},
         .extra_environment = {"LEASE_FILE=" + file},
         .timeout = std::chrono::seconds(20)});
    return told_in(file, outcome);
  }

  static std::map<std::string, std::string> told_in(const std::string& file, const base::Result<os::Outcome>& outcome) {
    std::map<std::string, std::string> told;
    const auto text = os::read_file(file);
    if (!text) {
      ADD_FAILURE() << (outcome ? outcome->errors + outcome->output : outcome.error().text());
      return told;
    }
    for (std::string_view line : base::split(*text, '\n')) {
      const auto equals = line.find('=');
      if (equals != std::string_view::npos) told[std::string(line.substr(0, equals))] = line.substr(equals + 1);
    }
    return told;
  }

  // A guest needs the router's advertisement before it asks.
  bool has_router(const std::string& guest) {
    return wait([&] {
      return run({"ip", "-n", guest, "-6", "route", "show", "default"}).output.find("via fe80") != std::string::npos;
    });
  }

  // What DHCPv6 tells, by dhclient's names. `identifier`: the kind of DUID, "LL" or "LLT"; a system just installed has
  // a new one.
  std::map<std::string, std::string> lease6(const std::string& guest, const std::string& identifier) {
    const std::string file = directory_.file("lease6." + guest);
    const std::string pid_file = directory_.file("dhclient.pid");
    const std::string leases = directory_.file("leases6");
    (void)os::remove_file(file);
    (void)os::remove_file(leases);
    const std::string config = directory_.write("dhclient.conf", "timeout 15;\n");
    auto outcome = os::run({.arguments = {"ip",     "netns", "exec",         guest,  "dhclient",
                                          "-6",     "-1",    "-v",           "-D",   identifier,
                                          "-cf",    config,  "-lf",          leases, "-pf",
                                          pid_file, "-sf",   client_script_, "-e",   "LEASE_FILE=" + file,
                                          "eth0"},
                            .timeout = std::chrono::seconds(30)});
    if (const auto client = os::read_file(pid_file)) ::kill(std::atoi(client->c_str()), SIGKILL);
    return told_in(file, outcome);
  }

  static inline bool entered_ = false;
  testing::TempDirectory directory_;
  std::string state_;
  std::string client_script_;
  std::vector<std::string> guests_;
  os::EventLoop loop_;
  base::NullLog log_;
  base::MetricRegistry metrics_;
  store::MemoryStore store_{loop_};
  std::unique_ptr<Service> service_;
};

constexpr const char* kMac1 = "fa:16:3e:00:00:01";
constexpr const char* kMac2 = "fa:16:3e:00:00:02";

TEST_F(DhcpServiceTest, AGuestGetsItsAddressItsRoutesAndTheMtuOfItsTap) {
  store_.write(kSubnetKey, subnet("8.8.8.8"));
  put("g1", kMac1, R"("10.28.0.2/32")");
  plug("g1", kMac1);
  start();
  ASSERT_TRUE(wait([this] { return serves("10.28.0.2"); }));
  auto told = lease("g1");
  EXPECT_EQ(told["ip"], "10.28.0.2");
  EXPECT_EQ(told["mask"], "24");
  EXPECT_EQ(told["router"], "10.28.0.1");
  EXPECT_EQ(told["dns"], "8.8.8.8");
  EXPECT_EQ(told["mtu"], "1480");
  EXPECT_THAT(told["staticroutes"], HasSubstr("10.9.0.0/16 10.28.0.9"));
  EXPECT_EQ(told["serverid"], "10.28.0.1");
}

TEST_F(DhcpServiceTest, AnUnknownGuestGetsNothing) {
  store_.write(kSubnetKey, subnet("8.8.8.8"));
  put("g1", kMac1, R"("10.28.0.2/32")");
  plug("g1", "fa:16:3e:00:00:99");  // not the MAC address of the port
  start();
  ASSERT_TRUE(wait([this] { return serves("10.28.0.2"); }));
  const std::string file = directory_.file("lease.none");
  const auto outcome = os::run({.arguments = {"ip", "netns", "exec", "g1", "udhcpc", "-i", "eth0", "-n", "-q", "-f",
                                              "-t", "2", "-T", "1", "-s", client_script_},
                                .extra_environment = {"LEASE_FILE=" + file}});
  ASSERT_TRUE(outcome);
  EXPECT_NE(outcome->status, 0);
  EXPECT_FALSE(os::file_exists(file));
}

TEST_F(DhcpServiceTest, ASubnetsNewNameServerNeedsNoRestartAndANewGuestLeavesTheOthersTheirLeases) {
  store_.write(kSubnetKey, subnet("8.8.8.8"));
  put("g1", kMac1, R"("10.28.0.2/32")");
  plug("g1", kMac1);
  start();
  ASSERT_TRUE(wait([this] { return serves("10.28.0.2"); }));
  ASSERT_EQ(lease("g1")["ip"], "10.28.0.2");
  const pid_t before = server();
  store_.write(kSubnetKey, subnet("9.9.9.9"));
  ASSERT_TRUE(wait([this] { return state_file("opts").find("9.9.9.9") != std::string::npos; }));
  EXPECT_EQ(server(), before);
  EXPECT_EQ(lease("g1")["dns"], "9.9.9.9");

  plug("g2", kMac2);
  put("g2", kMac2, R"("10.28.0.3/32")");
  ASSERT_TRUE(wait([this] { return serves("10.28.0.3"); }));
  EXPECT_EQ(lease("g2")["ip"], "10.28.0.3");
  EXPECT_THAT(state_file("leases"), HasSubstr("10.28.0.2"));
}

// Leases survive the agent: the server goes on while there is none, and the next one finds it as it was.
TEST_F(DhcpServiceTest, TheServerOutlivesTheServiceAndIsAdopted) {
  store_.write(kSubnetKey, subnet("8.8.8.8"));
  put("g1", kMac1, R"("10.28.0.2/32")");
  plug("g1", kMac1);
  start();
  ASSERT_TRUE(wait([this] { return serves("10.28.0.2"); }));
  const pid_t before = server();
  service_.reset();
  EXPECT_EQ(lease("g1")["ip"], "10.28.0.2");
  start();
  ASSERT_TRUE(wait([this] { return metrics_.text().find("percale_dhcp_ports 1") != std::string::npos; }));
  EXPECT_EQ(server(), before);
}

TEST_F(DhcpServiceTest, AServerThatDiesIsStartedAgain) {
  store_.write(kSubnetKey, subnet("8.8.8.8"));
  put("g1", kMac1, R"("10.28.0.2/32")");
  plug("g1", kMac1);
  start();
  ASSERT_TRUE(wait([this] { return serves("10.28.0.2"); }));
  const pid_t before = server();
  ASSERT_EQ(::kill(before, SIGKILL), 0);
  ASSERT_TRUE(wait([&] { return server() != 0 && server() != before; }));
  EXPECT_EQ(lease("g1")["ip"], "10.28.0.2");
}

TEST_F(DhcpServiceTest, NothingIsLeftWhenTheLastGuestHasGoneAlsoWhileNoAgentRan) {
  store_.write(kSubnetKey, subnet("8.8.8.8"));
  put("g1", kMac1, R"("10.28.0.2/32")");
  plug("g1", kMac1);
  start();
  ASSERT_TRUE(wait([this] { return serves("10.28.0.2"); }));
  const pid_t before = server();
  service_.reset();
  store_.write(key_of("g1"), std::nullopt);
  start();
  EXPECT_TRUE(wait([&] { return ::kill(before, 0) != 0; }));
  EXPECT_TRUE(wait([&] { return !run({"ip", "link", "show", "ns-net-one-000"}).ok(); }));
  EXPECT_FALSE(os::file_exists(state_ + "/net-one-0000/host"));
}

// While the datastore is away, and during a new snapshot, everything stays as it is.
TEST_F(DhcpServiceTest, TheDatastoresAbsenceChangesNothing) {
  store_.write(kSubnetKey, subnet("8.8.8.8"));
  put("g1", kMac1, R"("10.28.0.2/32")");
  plug("g1", kMac1);
  start();
  ASSERT_TRUE(wait([this] { return serves("10.28.0.2"); }));
  const pid_t before = server();
  store_.disconnect();
  store_.write("/elsewhere", "1");
  store_.compact_now();
  EXPECT_EQ(lease("g1")["ip"], "10.28.0.2");
  store_.reconnect();
  put("g2", kMac2, R"("10.28.0.3/32")");  // without a tap it changes nothing
  wait([n = 0]() mutable { return ++n > 5; });
  EXPECT_EQ(server(), before);
  EXPECT_EQ(lease("g1")["ip"], "10.28.0.2");
}

TEST_F(DhcpServiceTest, IPv6GuestsGetARouterAndTheirAddress) {
  store_.write(kSubnet6Key, kSubnet6);
  put("g1", kMac1, R"("fd00:28::2/128")");
  plug("g1", kMac1);
  start();
  ASSERT_TRUE(wait([this] { return serves("[fd00:28::2]"); }));
  EXPECT_TRUE(has_router("g1"));
  auto told = lease6("g1", "LL");
  EXPECT_EQ(told["new_ip6_address"], "fd00:28::2");
  EXPECT_EQ(told["new_dhcp6_name_servers"], "fd00::53");
}

// Nova's rebuild: the same port with a new tap, and a system that calls itself something else. dnsmasq gives no address
// to one while another's lease lasts, which is a day.
TEST_F(DhcpServiceTest, ARebuiltGuestHasItsIPv6AddressAtOnce) {
  store_.write(kSubnet6Key, kSubnet6);
  put("g1", kMac1, R"("fd00:28::2/128")");
  plug("g1", kMac1);
  start();
  ASSERT_TRUE(wait([this] { return serves("[fd00:28::2]"); }));
  ASSERT_TRUE(has_router("g1"));
  ASSERT_EQ(lease6("g1", "LL")["new_ip6_address"], "fd00:28::2");
  const pid_t before = server();
  EXPECT_THAT(state_file("leases"), HasSubstr("fd00:28::2"));
  ASSERT_TRUE(run({"ip", "link", "del", "tapg1"}).ok());
  service_->set_link("tapg1", std::nullopt);
  wire("g1", kMac1);
  ASSERT_TRUE(wait([&] { return server() != 0 && server() != before; }));
  EXPECT_THAT(state_file("leases"), testing::Not(HasSubstr("fd00:28::2")));
  ASSERT_TRUE(has_router("g1"));
  EXPECT_EQ(lease6("g1", "LLT")["new_ip6_address"], "fd00:28::2");
}

TEST_F(DhcpServiceTest, APortsOwnOptionsReachItAloneAndABadOneNobody) {
  store_.write(kSubnetKey, subnet("8.8.8.8"));
  store_.write(kSubnet6Key, kSubnet6);
  put("g1", kMac1, R"("10.28.0.2/32","fd00:28::2/128")",
      R"([{"name":"dns-server","value":"192.0.2.7,192.0.2.8","ip_version":4},{"name":"66","value":"boot.example","ip_version":4},)"
      R"({"name":"mtu","value":"no number","ip_version":4},{"name":"tag:!ipxe,67","value":"a.kpxe","ip_version":4},)"
      R"({"name":"dns-server","value":"fd00::7","ip_version":6}])");
  put("g2", kMac2, R"("10.28.0.3/32")");
  plug("g1", kMac1);
  plug("g2", kMac2);
  start();
  ASSERT_TRUE(wait([this] { return serves("10.28.0.2") && serves("10.28.0.3"); }));
  auto told = lease("g1");
  EXPECT_EQ(told["ip"], "10.28.0.2");
  EXPECT_EQ(told["dns"], "192.0.2.7 192.0.2.8");
  EXPECT_EQ(told["tftp"], "boot.example");
  EXPECT_EQ(told["boot_file"] + told["bootfile"], "a.kpxe");
  EXPECT_EQ(told["router"], "10.28.0.1");
  auto other = lease("g2");
  EXPECT_EQ(other["dns"], "8.8.8.8");
  EXPECT_EQ(other["tftp"], "");
  EXPECT_EQ(other["mtu"], "1480");
  ASSERT_TRUE(has_router("g1"));
  EXPECT_EQ(lease6("g1", "LL")["new_dhcp6_name_servers"], "fd00::7");
  // A change needs no restart.
  const pid_t before = server();
  put("g1", kMac1, R"("10.28.0.2/32","fd00:28::2/128")");
  ASSERT_TRUE(wait([this] { return state_file("opts").find("192.0.2.7") == std::string::npos; }));
  EXPECT_EQ(lease("g1")["dns"], "8.8.8.8");
  EXPECT_EQ(server(), before);
}

}  // namespace
}  // namespace dhcp
