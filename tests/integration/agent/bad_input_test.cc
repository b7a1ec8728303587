// Bad input from etcd, with real packets beside it: a guest that allows everything, and a vault that nobody may reach.
// Whatever is wrong is named in the log, the vault stays closed, and good objects go on working.
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>
#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../dataplane/guests.h"
#include "../store/etcd_server.h"
#include "agent_process.h"
#include "os/files.h"
#include "os/mounts.h"
#include "testing/temp_directory.h"

namespace {

using agent_test::get;
using agent_test::kHealthPort;
using std::chrono::seconds;
using store_test::EtcdServer;
using ::testing::HasSubstr;
using testing_world::Guests;
using testing_world::Probe;

const std::string kRoot = "/calico/resources/v3/projectcalico.org/";
constexpr std::size_t kClient = 0, kOpen = 1, kVault = 2;
constexpr std::uint16_t kPort = 5000;

std::string endpoint_key(std::size_t guest) {
  return kRoot + "workloadendpoints/openstack/h1-openstack-vm" + std::to_string(guest) + "-port";
}

class BadInputTest : public ::testing::Test, protected agent_test::AgentProcess {
 protected:
  static void SetUpTestSuite() {
    if (::geteuid() != 0) return;
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_TRUE(os::make_mounts_private());
    ASSERT_TRUE(os::make_directories("/var/lib/calico"));
    ASSERT_EQ(::mount("tmpfs", "/var/lib/calico", "tmpfs", 0, nullptr), 0);
    guests_ = std::make_unique<Guests>(3);
  }
  static void TearDownTestSuite() { guests_.reset(); }

  void SetUp() override {
    if (!guests_) GTEST_SKIP() << "needs root and namespaces";
    etcd_ = std::make_unique<EtcdServer>();
    put("clusterinformations/default",
        R"({"kind":"ClusterInformation","apiVersion":"projectcalico.org/v3","metadata":{"name":"default"},)"
        R"("spec":{"clusterType":"openstack","datastoreReady":true}})");
    put("felixconfigurations/default",
        R"({"kind":"FelixConfiguration","apiVersion":"projectcalico.org/v3","metadata":{"name":"default"},)"
        R"("spec":{"interfacePrefix":"tap","endpointReportingEnabled":true}})");
    put("profiles/open", R"({"kind":"Profile","apiVersion":"projectcalico.org/v3","metadata":{"name":"open"},)"
                         R"("spec":{"ingress":[{"action":"Allow"}],"egress":[{"action":"Allow"}]}})");
    for (const std::size_t guest : {kClient, kOpen, kVault})
      etcd_->ctl({"put", endpoint_key(guest), endpoint(guest, guest)});
  }
  // No agent outlives its test.
  void TearDown() override {
    if (agent_ && !outcome_) {
      agent_->send_signal(SIGKILL);
      EXPECT_TRUE(ended());
    }
  }

  static std::string endpoint(std::size_t guest, std::size_t address_of) {
    const std::string number = std::to_string(guest);
    return R"({"kind":"WorkloadEndpoint","apiVersion":"projectcalico.org/v3","metadata":{"name":"h1-openstack-vm)" +
           number +
           R"(-port","namespace":"openstack","labels":{"projectcalico.org/namespace":"openstack"}},"spec":{"orchestrator":"openstack","workload":"vm)" +
           number + R"(","node":"h1","endpoint":"port","interfaceName":")" + guests_->all()[guest].interface +
           R"(","mac":")" + base::to_string(guests_->all()[guest].mac) + R"(","ipNetworks":[")" +
           base::to_string(guests_->all()[address_of].v4) + R"(/32"],"profiles":[)" +
           (guest == kVault ? "" : R"("open")") + "]}}";
  }

  void put(const std::string& name, const std::string& value) { etcd_->ctl({"put", kRoot + name, value}); }
  std::string value(const std::string& key) { return etcd_->ctl({"get", key, "--print-value-only"}); }

  void start(const std::string& endpoints = {}, std::vector<std::string> more = {}) {
    std::vector<std::string> environment = {"DATASTORE_TYPE=etcdv3",
                                            "ETCD_ENDPOINTS=" + (endpoints.empty() ? etcd_->url() : endpoints),
                                            "FELIX_FELIXHOSTNAME=h1",
                                            "FELIX_HEALTHENABLED=true",
                                            "FELIX_PROMETHEUSMETRICSENABLED=true",
                                            "FELIX_LOGFILEPATH=none",
                                            "FELIX_LOGSEVERITYSYS=none",
                                            "FELIX_ENDPOINTREPORTINGENABLED=true",
                                            "FELIX_IPTABLESBACKEND=NFT",
                                            "XTABLES_LOCKFILE=" + directory_.file("xtables.lock")};
    environment.insert(environment.end(), more.begin(), more.end());
    launch({"-c", directory_.file("felix.cfg")}, environment);
  }
  std::string stop() {
    agent_->send_signal(SIGTERM);
    EXPECT_TRUE(ended());
    return outcome_ ? outcome_->output : "";
  }

  // Whether a first packet gets from the client to this guest.
  static bool reaches(std::size_t to) {
    std::vector<Probe> probes = {{.from = kClient, .to = to, .source_port = 40000, .destination_port = kPort}};
    guests_->run(probes);
    return probes.front().passed;
  }
  void expect_protected(const std::string& when) {
    EXPECT_FALSE(reaches(kVault)) << when;
    EXPECT_TRUE(wait([] { return reaches(kOpen); })) << when;
  }
  void start_protected() {
    start();
    ASSERT_TRUE(ready()) << get(kHealthPort, "/readiness").body;
    expect_protected("from the start");
  }

  static inline std::unique_ptr<Guests> guests_;
  ::testing::TempDirectory directory_;
  std::unique_ptr<EtcdServer> etcd_;
};

struct Malformed {
  std::string key;   // below kRoot, or whole
  std::string name;  // as the log says it
};
const Malformed kMalformed[] = {
    {"clusterinformations/default", "ClusterInformation(default)"},
    {"felixconfigurations/default", "FelixConfiguration(default)"},
    {"nodes/h1", "Node(h1)"},
    {"bgpconfigurations/default", "BGPConfiguration(default)"},
    {"bgppeers/bad", "BGPPeer(bad)"},
    {"bgpfilters/bad", "BGPFilter(bad)"},
    {"ippools/bad", "IPPool(bad)"},
    {"tiers/bad", "Tier(bad)"},
    {"profiles/bad", "Profile(bad)"},
    {"globalnetworkpolicies/bad", "GlobalNetworkPolicy(bad)"},
    {"networkpolicies/openstack/bad", "NetworkPolicy(openstack/bad)"},
    {"stagedglobalnetworkpolicies/bad", "StagedGlobalNetworkPolicy(bad)"},
    {"stagednetworkpolicies/openstack/bad", "StagedNetworkPolicy(openstack/bad)"},
    {"globalnetworksets/bad", "GlobalNetworkSet(bad)"},
    {"networksets/openstack/bad", "NetworkSet(openstack/bad)"},
    {"hostendpoints/bad", "HostEndpoint(bad)"},
    {"workloadendpoints/openstack/h1-openstack-bad-port", "WorkloadEndpoint(openstack/h1-openstack-bad-port)"},
    {"/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-26", "10.65.0.0-26"}};

TEST_F(BadInputTest, AMalformedValueUnderEveryWatchedKey) {
  start_protected();
  for (const Malformed& bad : kMalformed)
    etcd_->ctl({"put", bad.key.starts_with('/') ? bad.key : kRoot + bad.key, "{broken"});
  EXPECT_TRUE(wait([] { return metric("percale_bad_objects") >= static_cast<double>(std::size(kMalformed)); }))
      << metric("percale_bad_objects") << (outcome_ ? outcome_->output : "");
  expect_protected("with a malformed value under every key");
  // A good change still comes through.
  etcd_->ctl({"del", endpoint_key(kOpen)});
  EXPECT_TRUE(wait([] { return !reaches(kOpen); }));
  etcd_->ctl({"put", endpoint_key(kOpen), endpoint(kOpen, kOpen)});
  expect_protected("after a good change");
  ASSERT_FALSE(outcome_) << outcome_->output;
  const std::string log = stop();
  for (const Malformed& bad : kMalformed) EXPECT_THAT(log, HasSubstr(bad.name));

  // The next start waits, naming what it cannot read, and leaves the rules as they are.
  start();
  EXPECT_TRUE(wait([] {
    return get(kHealthPort, "/readiness").body.find("felixconfigurations/default") != std::string::npos;
  })) << get(kHealthPort, "/readiness").body;
  expect_protected("while a start waits for a readable configuration");
  EXPECT_THAT(stop(), HasSubstr("percalectl"));
}

TEST_F(BadInputTest, AConfigurationOfTheWrongTypeKeepsTheFormerOneAndIsNamed) {
  start_protected();
  for (const char* bad :
       {R"({"spec":{"interfacePrefix":{"no":["text"]},"maxIpsetSize":"many"}})", R"({"spec":{"interfacePrefix":5}})"}) {
    put("felixconfigurations/default", bad);
    EXPECT_TRUE(wait([] { return metric("percale_configuration_errors") >= 1; })) << bad;
    EXPECT_THAT(get(kHealthPort, "/readiness").body, HasSubstr("interfacePrefix"));
    // Who comes now is protected as before, and changes come through.
    etcd_->ctl({"del", endpoint_key(kOpen)});
    EXPECT_TRUE(wait([] { return !reaches(kOpen); }));
    etcd_->ctl({"put", endpoint_key(kOpen), endpoint(kOpen, kOpen)});
    expect_protected("with a configuration that cannot be used");
  }
  ASSERT_FALSE(outcome_) << outcome_->output;
  EXPECT_THAT(stop(), HasSubstr("interfacePrefix"));
  expect_protected("after leaving");
  start();
  EXPECT_TRUE(
      wait([] { return get(kHealthPort, "/readiness").body.find("configuration has errors") != std::string::npos; }));
  expect_protected("while waiting for the repair");
  put("felixconfigurations/default", R"({"spec":{"interfacePrefix":"tap","noSuchParameter":1}})");
  ASSERT_TRUE(ready()) << get(kHealthPort, "/readiness").body;
  expect_protected("after the repair");
  EXPECT_THAT(stop(), HasSubstr("noSuchParameter"));
}

// Everything that keeps the blocked client out of a guest, broken while it is in force: nothing may open.
TEST_F(BadInputTest, AGoodValueThatABadOneReplacesStaysInForce) {
  const std::string client = base::to_string(guests_->all()[kClient].v4) + "/32";
  const std::string deny_blocked =
      R"j({"spec":{"tier":"strict","order":1,"selector":"all()","types":["Ingress"],"ingress":[)j"
      R"j({"action":"Deny","source":{"selector":"role == 'blocked'"}},{"action":"Pass"}]}})j";
  const std::string tier = R"({"metadata":{"name":"strict"},"spec":{"order":1,"defaultAction":"Deny"}})";
  const std::string set =
      R"({"metadata":{"name":"blocked","labels":{"role":"blocked"}},"spec":{"nets":[")" + client + R"("]}})";
  const std::string profile = R"({"metadata":{"name":"open"},"spec":{"egress":[{"action":"Allow"}],"ingress":[)"
                              R"({"action":"Deny","source":{"nets":[")" +
                              client + R"("]}},{"action":"Allow"}]}})";
  const std::string deny_client =
      R"j({"spec":{"selector":"all()","types":["Ingress"],"ingress":[{"action":"Deny","source":{"nets":[")j" + client +
      R"j("]}},{"action":"Allow"}]}})j";
  struct Case {
    std::vector<std::pair<std::string, std::string>> world;  // of which the last is broken
  };
  const Case cases[] = {
      {{{"globalnetworkpolicies/deny", deny_client}}},
      {{{"networkpolicies/openstack/deny", deny_client}}},
      {{{"tiers/strict", tier},
        {"globalnetworksets/blocked", set},
        {"globalnetworkpolicies/strict.deny", deny_blocked}}},
      {{{"tiers/strict", tier},
        {"globalnetworkpolicies/strict.deny", deny_blocked},
        {"globalnetworksets/blocked", set}}},
      {{{"globalnetworksets/blocked", set},
        {"globalnetworkpolicies/strict.deny", deny_blocked},
        {"tiers/strict", tier}}},
      {{{"profiles/open", profile}}},
  };
  start_protected();
  for (const Case& c : cases) {
    const std::string& victim = c.world.back().first;
    SCOPED_TRACE(victim);
    for (const auto& [name, value] : c.world) put(name, value);
    EXPECT_TRUE(wait([] { return !reaches(kOpen); })) << "closed by a good value";
    put(victim, "{broken");
    EXPECT_TRUE(wait([] { return metric("percale_bad_objects") >= 1; }));
    EXPECT_FALSE(reaches(kOpen)) << "opened by a bad value";
    EXPECT_FALSE(reaches(kVault));
    for (const auto& [name, value] : c.world) {
      if (name != "profiles/open") etcd_->ctl({"del", kRoot + name});
    }
    put("profiles/open", R"({"kind":"Profile","metadata":{"name":"open"},)"
                         R"("spec":{"ingress":[{"action":"Allow"}],"egress":[{"action":"Allow"}]}})");
    EXPECT_TRUE(wait([] { return reaches(kOpen); })) << "opened by deleting it";
    EXPECT_EQ(metric("percale_bad_objects"), 0);
  }
}

TEST_F(BadInputTest, PoliciesThatDoNotParseAllowNothing) {
  const char* const kBad[] = {
      R"j({"spec":{"selector":"all((","types":["Ingress"],"ingress":[{"action":"Allow"}]}})j",
      R"j({"spec":{"selector":"all()","types":["Ingress"],"ingress":[{"action":"Alow"}]}})j",
      R"j({"spec":{"selector":"all()","types":["Ingress"],"ingress":[{"action":"Allow","source":{"nets":["10.9.0.0/333"]}}]}})j",
      R"j({"spec":{"selector":"all()","types":["Ingress"],"ingress":[{"action":"Allow","source":{"selector":"role = 'x'"}}]}})j",
      R"j({"spec":{"selector":"all()","types":["Ingress"],"ingress":{"action":"Allow"}}})j",
      R"j({"spec":{"selector":"all()","types":["Ingress"],"ingress":[{"action":"Allow","protocol":"TCP","destination":{"ports":[99999]}}]}})j"};
  start_protected();
  for (std::size_t i = 0; i < std::size(kBad); ++i) put("globalnetworkpolicies/bad" + std::to_string(i), kBad[i]);
  EXPECT_TRUE(wait([&] { return metric("percale_bad_objects") >= static_cast<double>(std::size(kBad)); }))
      << metric("percale_bad_objects");
  EXPECT_FALSE(reaches(kVault));
  const std::string log = stop();
  for (std::size_t i = 0; i < std::size(kBad); ++i) {
    EXPECT_THAT(log, HasSubstr("GlobalNetworkPolicy(bad" + std::to_string(i) + ")"));
  }
}

TEST_F(BadInputTest, TwoEndpointsWithOneAddressAreNamed) {
  start_protected();
  etcd_->ctl({"put", endpoint_key(kVault), endpoint(kVault, kOpen)});
  EXPECT_TRUE(wait([] { return metric("percale_bad_objects") >= 1; }));
  EXPECT_FALSE(reaches(kVault));
  etcd_->ctl({"put", endpoint_key(kVault), endpoint(kVault, kVault)});
  EXPECT_TRUE(wait([] { return metric("percale_bad_objects") == 0; }));
  expect_protected("after the repair");
  const std::string log = stop();
  EXPECT_THAT(log, HasSubstr("address " + base::to_string(guests_->all()[kOpen].v4) + " is claimed by"));
  EXPECT_THAT(log, HasSubstr("h1-openstack-vm2-port"));
}

TEST_F(BadInputTest, StatusKeysFollowTheInterface) {
  start_protected();
  const std::string key = "/calico/felix/v2/no-region/host/h1/workload/openstack/openstack%2fvm1/endpoint/port";
  EXPECT_TRUE(wait([&] { return value(key) == "{\"status\":\"up\"}\n"; })) << value(key);
  const std::string tap = guests_->all()[kOpen].interface;
  ASSERT_TRUE(program({"ip", "link", "set", tap, "down"}).ok());
  EXPECT_TRUE(wait([&] { return value(key) == "{\"status\":\"down\"}\n"; })) << value(key);
  ASSERT_TRUE(program({"ip", "link", "set", tap, "up"}).ok());
  EXPECT_TRUE(wait([&] { return value(key) == "{\"status\":\"up\"}\n"; })) << value(key);
  etcd_->ctl({"del", endpoint_key(kOpen)});
  EXPECT_TRUE(wait([&] { return value(key).empty(); })) << value(key);
  const std::string process = "/calico/felix/v2/no-region/host/h1/";
  EXPECT_TRUE(
      wait([&] { return !value(process + "status").empty() && !value(process + "last_reported_status").empty(); }));
  EXPECT_THAT(value(process + "status"),
              ::testing::MatchesRegex(
                  "\\{\"time\":\"[0-9-]*T[0-9:]*Z\",\"uptime\":[0-9.]*,\"first_update\":(true|false)\\}\n"));
}

TEST_F(BadInputTest, KillAndRestartKeepTheRulesAndWriteNothing) {
  start_protected();
  agent_->send_signal(SIGKILL);
  ASSERT_TRUE(ended());
  expect_protected("without an agent");
  start_protected();
  for (const char* kind : {"ipset", "rules", "route", "neighbour", "sysctl"}) {
    EXPECT_EQ(metric(std::string("percale_dataplane_writes{kind=\"") + kind + "\"}"), 0) << kind;
  }
}

TEST_F(BadInputTest, ADatastoreThatIsNotReadyIsWaitedFor) {
  start_protected();
  put("clusterinformations/default", R"({"spec":{"clusterType":"openstack","datastoreReady":false}})");
  ASSERT_TRUE(ended());
  EXPECT_EQ(outcome_->status, 1);
  start();
  // Ready, so that a rolling upgrade goes on while the data is migrated.
  ASSERT_TRUE(ready());
  EXPECT_THAT(get(kHealthPort, "/readiness").body, HasSubstr("waiting for the datastore"));
  expect_protected("while the datastore is not ready");
  put("clusterinformations/default", R"({"spec":{"clusterType":"openstack","datastoreReady":true}})");
  EXPECT_TRUE(
      wait([] { return get(kHealthPort, "/readiness").body.find("InternalDataplaneMainLoop") != std::string::npos; }));
  ASSERT_TRUE(ready());
  expect_protected("after the migration");
}

TEST_F(BadInputTest, AWrongCertificateIsSaid) {
  const auto certificate = [&](const std::string& name) {
    ASSERT_TRUE(program({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                         "-days", "2", "-subj", "/CN=" + name, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                         directory_.file(name + ".key"), "-out", directory_.file(name + ".pem")})
                    .ok());
  };
  certificate("server");
  certificate("stranger");
  EtcdServer secure({.ca_file = directory_.file("server.pem"),
                     .cert_file = directory_.file("server.pem"),
                     .key_file = directory_.file("server.key")});
  start(secure.url(),
        {"ETCD_CA_CERT_FILE=" + directory_.file("stranger.pem"), "ETCD_CERT_FILE=" + directory_.file("stranger.pem"),
         "ETCD_KEY_FILE=" + directory_.file("stranger.key")});
  EXPECT_TRUE(wait([&] {
    return get(kHealthPort, "/readiness").body.find(secure.url().substr(8)) != std::string::npos;
  })) << get(kHealthPort, "/readiness").body;
  EXPECT_EQ(get(kHealthPort, "/readiness").status, 503);
  const std::string log = stop();
  EXPECT_THAT(log, HasSubstr("store.unreachable"));
  EXPECT_THAT(log, HasSubstr("ertificate"));

  start("https://127.0.0.1:1", {"ETCD_CA_CERT_FILE=/nonexistent/ca.pem"});
  EXPECT_TRUE(wait([] { return get(kHealthPort, "/readiness").body.find("/nonexistent/ca.pem") != std::string::npos; }))
      << get(kHealthPort, "/readiness").body;
  EXPECT_THAT(stop(), HasSubstr("/nonexistent/ca.pem"));
}

}  // namespace
