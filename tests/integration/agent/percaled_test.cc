// percaled as operators meet it: one host with a directory of resources, in namespaces of its own.
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>
#include <csignal>
#include <filesystem>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent_process.h"
#include "os/files.h"
#include "os/mounts.h"
#include "testing/temp_directory.h"

namespace {

using agent_test::get;
using agent_test::kHealthPort;
using agent_test::kMetricsPort;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

const char* const kCluster =
    "apiVersion: projectcalico.org/v3\nkind: ClusterInformation\nmetadata: {name: default}\n"
    "spec: {clusterType: openstack, datastoreReady: true}\n";
const char* const kFelix =
    "apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata: {name: default}\n"
    "spec: {interfacePrefix: tap, endpointReportingEnabled: true}\n";
const char* const kEndpoint =
    "apiVersion: projectcalico.org/v3\nkind: WorkloadEndpoint\n"
    "metadata: {name: h1-openstack-vm1-port1, namespace: openstack}\n"
    "spec: {orchestrator: openstack, workload: vm1, node: h1, endpoint: port1, interfaceName: tap1,\n"
    "       mac: 'fa:16:3e:00:00:01', ipNetworks: [10.65.0.2/32]}\n";

class PercaledTest : public ::testing::Test, protected agent_test::AgentProcess {
 protected:
  static void SetUpTestSuite() {
    entered_ = ::geteuid() == 0 && ::unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 && os::make_mounts_private().has_value();
    if (!entered_) return;
    ASSERT_TRUE(os::make_directories("/var/lib/calico"));
    ASSERT_EQ(::mount("tmpfs", "/var/lib/calico", "tmpfs", 0, nullptr), 0);
    ASSERT_TRUE(program({"ip", "link", "set", "lo", "up"}).ok());
    ASSERT_TRUE(program({"ip", "link", "add", "tap1", "type", "veth", "peer", "name", "guest1"}).ok());
    ASSERT_TRUE(program({"ip", "link", "set", "guest1", "up"}).ok());
    ASSERT_TRUE(program({"ip", "link", "set", "tap1", "up"}).ok());
  }

  void SetUp() override {
    if (!entered_) GTEST_SKIP() << "needs root and namespaces";
    ASSERT_TRUE(os::make_directories(directory_.file("resources")));
    write("cluster.yaml", kCluster);
    write("felix.yaml", kFelix);
    write("endpoint.yaml", kEndpoint);
  }

  void write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(os::write_file_atomic(directory_.file("resources/" + name), text));
  }

  void start(std::vector<std::string> more = {}) {
    std::vector<std::string> environment = {"DATASTORE_TYPE=dir:" + directory_.file("resources"),
                                            "FELIX_FELIXHOSTNAME=h1",
                                            "FELIX_HEALTHENABLED=true",
                                            "FELIX_PROMETHEUSMETRICSENABLED=true",
                                            "FELIX_LOGFILEPATH=none",
                                            "FELIX_LOGSEVERITYSYS=none",
                                            "FELIX_IPTABLESBACKEND=NFT",
                                            "XTABLES_LOCKFILE=" + directory_.file("xtables.lock")};
    environment.insert(environment.end(), more.begin(), more.end());
    launch({"-c", directory_.file("felix.cfg")}, environment);
  }

  static std::string rules() { return program({"iptables-nft-save"}).output; }

  static inline bool entered_ = false;
  ::testing::TempDirectory directory_;
};

TEST_F(PercaledTest, ProgramsTheKernelReportsAndLeavesOnSigterm) {
  start();
  ASSERT_TRUE(ready()) << get(kHealthPort, "/readiness").body;
  EXPECT_EQ(get(kHealthPort, "/liveness").status, 200);
  for (const char* reporter : {"CalculationGraph", "FelixStartup", "InternalDataplaneMainLoop"}) {
    EXPECT_THAT(get(kHealthPort, "/readiness").body, HasSubstr(reporter));
  }
  EXPECT_EQ(get(kHealthPort, "/other").status, 404);
  EXPECT_THAT(rules(), HasSubstr("cali-tw-tap1"));
  EXPECT_THAT(program({"ip", "route"}).output, HasSubstr("10.65.0.2 dev tap1"));
  EXPECT_EQ(metric("felix_active_local_endpoints"), 1);
  // The status key, where the directory keeps keys that are no resources.
  std::string status;
  EXPECT_TRUE(wait([&] {
    status = program({"grep", "-rh", "endpoint/port1", directory_.file("resources/.percale/keys")}).output;
    return !status.empty();
  }));
  EXPECT_THAT(status,
              HasSubstr("/calico/felix/v2/no-region/host/h1/workload/openstack/openstack%2fvm1/endpoint/port1"));
  EXPECT_THAT(status, HasSubstr("up"));
  const os::Outcome promtool =
      os::run({.arguments = {"promtool", "check", "metrics"}, .input = get(kMetricsPort, "/metrics").body})
          .value_or(os::Outcome{.status = -1});
  if (promtool.status >= 0) {  // when it is installed
    // 0: good; 3: good, but Felix's names are not in Prometheus' style; 1: cannot be parsed.
    EXPECT_NE(promtool.status, 1) << promtool.errors;
  }

  agent_->send_signal(SIGTERM);
  ASSERT_TRUE(ended());
  EXPECT_EQ(outcome_->status, 1);
  EXPECT_THAT(outcome_->output, HasSubstr("percale/agent.leaving"));
  EXPECT_THAT(rules(), HasSubstr("cali-tw-tap1"));
  EXPECT_THAT(program({"ip", "route"}).output, HasSubstr("10.65.0.2 dev tap1"));
}

TEST_F(PercaledTest, ARestartWithNothingChangedWritesNothing) {
  start();
  ASSERT_TRUE(ready());
  const std::string before = rules();
  agent_->send_signal(SIGKILL);
  ASSERT_TRUE(ended());
  start();
  ASSERT_TRUE(ready());
  for (const char* kind : {"ipset", "rules", "route", "neighbour", "sysctl"}) {
    EXPECT_EQ(metric(std::string("percale_dataplane_writes{kind=\"") + kind + "\"}"), 0) << kind;
  }
  const auto without_counters = [](const std::string& text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      const auto end = std::min(text.find('\n', at), text.size());
      if (text[at] != '#') out += text.substr(at, end - at) + "\n";
      at = end + 1;
    }
    return out;
  };
  EXPECT_EQ(without_counters(rules()), without_counters(before));
}

TEST_F(PercaledTest, AParameterChangeAsksForARestart) {
  start();
  ASSERT_TRUE(ready());
  write("felix.yaml", std::string(kFelix) + "---\n" +
                          "apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata: {name: "
                          "node.h1}\nspec: {maxIpsetSize: 4096}\n");
  ASSERT_TRUE(ended());
  EXPECT_EQ(outcome_->status, 129);
  EXPECT_THAT(outcome_->output, HasSubstr("MaxIpsetSize has changed"));
}

TEST_F(PercaledTest, SighupAsksForARestart) {
  start();
  ASSERT_TRUE(ready());
  agent_->send_signal(SIGHUP);
  ASSERT_TRUE(ended());
  EXPECT_EQ(outcome_->status, 129);
}

TEST_F(PercaledTest, ABadFileIsNamedAndWaitedFor) {
  directory_.write("felix.cfg", "[global]\nnonsense\n");
  start();
  loop_.after(seconds(2), [this] { loop_.stop(); });
  loop_.run();
  EXPECT_FALSE(outcome_.has_value());
  directory_.write("felix.cfg", "[global]\nMetadataPort = 9697\n");
  ASSERT_TRUE(ready());
  agent_->send_signal(SIGTERM);
  ASSERT_TRUE(ended());
  EXPECT_THAT(outcome_->output, HasSubstr("config.unreadable"));
  EXPECT_THAT(outcome_->output, HasSubstr("felix.cfg: line 2"));
}

TEST_F(PercaledTest, AnUnreachableEtcdIsSaidAndSeenInReadiness) {
  start({"DATASTORE_TYPE=etcdv3", "ETCD_ENDPOINTS=http://127.0.0.1:1"});
  ASSERT_TRUE(wait([] { return get(kHealthPort, "/readiness").body.find("127.0.0.1:1") != std::string::npos; }))
      << get(kHealthPort, "/readiness").body;
  EXPECT_EQ(get(kHealthPort, "/readiness").status, 503);
  EXPECT_EQ(get(kHealthPort, "/liveness").status, 200);
  agent_->send_signal(SIGTERM);
  ASSERT_TRUE(ended());
  EXPECT_EQ(outcome_->status, 1);
  EXPECT_THAT(outcome_->output, HasSubstr("store.unreachable"));
}

TEST_F(PercaledTest, CheckConfig) {
  directory_.write("felix.cfg", "MetadataPort = many\nUnknwon = 1\n");
  const os::Outcome bad = program({PERCALED, "--check-config", "-c", directory_.file("felix.cfg")});
  EXPECT_EQ(bad.status, 1);
  EXPECT_THAT(bad.output, HasSubstr("error: MetadataPort from config file = 'many'"));
  EXPECT_THAT(bad.output, HasSubstr("Unknwon from config file = '1': there is no such parameter"));
  EXPECT_EQ(program({PERCALED, "--check-config", "-c", "/nonexistent"}).status, 0);
}

// BIRD under the agent's supervision: started, seen in readiness, left alone when the agent dies, adopted by the next.
TEST_F(PercaledTest, LooksAfterBird) {
  write("node.yaml",
        "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: h1}\n"
        "spec: {bgp: {ipv4Address: 192.0.2.11/24}}\n");
  write("peer.yaml",
        "apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: tor}\n"
        "spec: {peerIP: 192.0.2.1, asNumber: 65001}\n");
  const std::string pid_file = directory_.file("bird.pid");
  const std::vector<std::string> bird = {"FELIX_BIRDMODE=Auto",
                                         "FELIX_BIRDSUPERVISOR=Agent",
                                         "FELIX_BIRDREADINESS=One",
                                         "FELIX_BIRDCONFIGFILE=" + directory_.file("bird.conf"),
                                         "FELIX_BIRDSOCKET=" + directory_.file("bird.ctl"),
                                         "FELIX_BIRDPIDFILE=" + pid_file};
  start(bird);
  ASSERT_TRUE(wait([] {
    return get(kHealthPort, "/readiness").body.find("0 of 1 IPv4 BGP sessions") != std::string::npos;
  })) << get(kHealthPort, "/readiness").body;
  EXPECT_EQ(get(kHealthPort, "/readiness").status, 503);
  const int daemon = std::atoi(os::read_file(pid_file).value_or("0").c_str());
  ASSERT_GT(daemon, 0);

  agent_->send_signal(SIGKILL);
  ASSERT_TRUE(ended());
  EXPECT_EQ(::kill(daemon, 0), 0) << "BIRD must outlive the agent";
  ASSERT_EQ(::unlink(directory_.file("resources/peer.yaml").c_str()), 0);
  start(bird);
  // Nobody to peer with: ready as soon as BIRD has the configuration.
  ASSERT_TRUE(ready()) << get(kHealthPort, "/readiness").body;
  ASSERT_TRUE(wait([] { return metric("percale_bgp_sessions_configured") == 0; }));
  EXPECT_EQ(metric("percale_bgp_daemon_up"), 1);
  EXPECT_EQ(std::atoi(os::read_file(pid_file).value_or("0").c_str()), daemon);
  ::kill(daemon, SIGKILL);
}

}  // namespace
