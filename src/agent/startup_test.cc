#include "agent/startup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/options.h"
#include "agent/settings_map.h"
#include "store/memory_store.h"
#include "testing/sim_loop.h"
#include "testing/temp_directory.h"

namespace agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using P = config::Parameter;

class Lines final : public base::Log {
 public:
  bool enabled(base::LogLevel) const override { return true; }
  void write(base::LogLevel, std::string_view event, std::string_view text, base::LogFields) override {
    lines.append(event).append(" ").append(text).append("\n");
  }
  std::string lines;
};

const char* const kReadyCluster = R"({"spec":{"clusterType":"openstack","datastoreReady":true}})";
const std::string kCluster = "/calico/resources/v3/projectcalico.org/clusterinformations/default";
const std::string kFelix = "/calico/resources/v3/projectcalico.org/felixconfigurations/";

// The variables that Felix is measured with.
std::vector<std::string> felix_environment() {
  return {"DATASTORE_TYPE=etcdv3",
          "ETCD_ENDPOINTS=http://127.0.0.1:2379",
          "FELIX_DATASTORETYPE=etcdv3",
          "FELIX_FELIXHOSTNAME=h1",
          "FELIX_ETCDENDPOINTS=http://127.0.0.1:2379",
          "FELIX_HEALTHENABLED=true",
          "FELIX_LOGFILEPATH=none",
          "FELIX_LOGSEVERITYSCREEN=warning",
          "FELIX_IPTABLESBACKEND=Legacy",
          "FELIX_NFTABLESMODE=Disabled",
          "FELIX_BPFENABLED=false",
          "FELIX_PROMETHEUSMETRICSENABLED=true",
          "FELIX_ENDPOINTSTATUSPATHPREFIX=none",
          "FELIX_USAGEREPORTINGENABLED=false",
          "FELIX_REQUIREMTUFILE=false"};
}

struct Starting {
  ::testing::SimLoop loop;
  Lines log;
  HealthAggregator health{loop};
  store::MemoryStore* store = nullptr;
  int opened = 0;
  std::map<std::string, std::string> initial;
  std::optional<base::Error> disconnected;
  base::Result<LocalConfig> local =
      load_local_config("/nonexistent/felix.cfg", config::environment_from(felix_environment()), {});
  std::optional<StartupResult> result;
  Startup startup;

  Starting()
      : startup(loop, log, health,
                {.load_local = [this] { return local; },
                 .open_store = [this](const config::DatastoreSettings&) { return open(); },
                 .local_known = [](const config::Resolved&) {}},
                [this](StartupResult r) { result = std::move(r); }) {
    health.add(std::string(kStartupReporter), {}, base::Duration(0));
  }
  base::Result<std::unique_ptr<store::Store>> open() {
    ++opened;
    auto made = std::make_unique<store::MemoryStore>(loop);
    store = made.get();
    for (const auto& [key, value] : initial) store->write(key, value);
    if (disconnected) store->disconnect(*disconnected);
    return made;
  }
};

TEST(Startup, ReadsAllSources) {
  Starting s;
  s.initial = {
      {kCluster, kReadyCluster},
      {kFelix + "default",
       R"({"spec":{"interfacePrefix":"tap","endpointReportingEnabled":true,"logSeverityScreen":"Debug"}})"},
      {kFelix + "node.h1", R"({"spec":{"maxIpsetSize":77}})"},
      {"/calico/resources/v3/projectcalico.org/nodes/h1", R"({"spec":{"bgp":{"ipv4Address":"10.0.0.1/24"}}})"},
      {"/calico/resources/v3/projectcalico.org/ippools/p", R"({"spec":{"cidr":"10.65.0.0/16","ipipMode":"Always"}})"}};
  s.startup.start();
  s.loop.advance(milliseconds(100));
  ASSERT_TRUE(s.result) << s.log.lines;
  const config::Resolved& resolved = s.result->configuration.resolved;
  EXPECT_THAT(resolved.texts(P::kInterfacePrefix), ElementsAre("tap"));
  EXPECT_TRUE(resolved.flag(P::kEndpointReportingEnabled));
  EXPECT_EQ(resolved.text(P::kLogSeverityScreen), "WARNING");
  EXPECT_EQ(resolved.integer(P::kMaxIpsetSize), 77);
  EXPECT_TRUE(s.result->encapsulation.ipip);
  EXPECT_EQ(base::to_string(s.result->configuration.host_ip.value()), "10.0.0.1");
  EXPECT_TRUE(s.result->configuration.diagnostics.empty());
  EXPECT_EQ(s.opened, 1);
}

TEST(Startup, WaitsReadyForTheDatastoreFlag) {
  Starting s;
  s.startup.start();
  s.loop.advance(seconds(3));
  EXPECT_FALSE(s.result);
  EXPECT_TRUE(s.health.summary().ready);
  EXPECT_THAT(s.log.lines, HasSubstr("store.not_ready"));
  s.store->write(kCluster, R"({"spec":{"datastoreReady":false}})");
  s.loop.advance(seconds(3));
  EXPECT_FALSE(s.result);
  s.store->write(kCluster, kReadyCluster);
  s.loop.advance(seconds(2));
  EXPECT_TRUE(s.result);
  EXPECT_EQ(s.opened, 1);
}

TEST(Startup, AClusterOfAnotherProductIsNotProgrammed) {
  Starting s;
  s.initial = {{kCluster, R"({"spec":{"datastoreReady":true,"variant":"Other"}})"}};
  s.startup.start();
  s.loop.advance(seconds(5));
  EXPECT_FALSE(s.result);
  EXPECT_TRUE(s.health.summary().ready);
  EXPECT_THAT(s.health.summary().table, HasSubstr("another product"));
  EXPECT_EQ(s.log.lines.find("config.other_product"), s.log.lines.rfind("config.other_product"));
  s.store->write(kCluster, R"({"spec":{"datastoreReady":true,"variant":"Calico"}})");
  s.loop.advance(seconds(2));
  EXPECT_TRUE(s.result);
}

TEST(Startup, AnUnreachableDatastoreIsSaidOnceAndTriedAgain) {
  Starting s;
  s.initial = {{kCluster, kReadyCluster}};
  s.disconnected = base::Error::unavailable("http://127.0.0.1:2379: connection refused");
  s.startup.start();
  s.loop.advance(seconds(30));
  EXPECT_FALSE(s.result);
  EXPECT_FALSE(s.health.summary().ready);
  EXPECT_TRUE(s.health.summary().live);
  EXPECT_EQ(s.log.lines,
            "store.unreachable Cannot start yet: cannot read the configuration from the datastore: "
            "http://127.0.0.1:2379: connection refused; trying again every second\n");
  s.store->reconnect();
  s.loop.advance(seconds(12));
  EXPECT_TRUE(s.result);
  EXPECT_EQ(s.opened, 1);
}

TEST(Startup, AFatalValueInTheDatastoreIsNamedUntilRepaired) {
  Starting s;
  s.initial = {{kCluster, kReadyCluster}, {kFelix + "default", R"({"spec":{"interfacePrefix":"not good"}})"}};
  s.startup.start();
  s.loop.advance(seconds(5));
  EXPECT_FALSE(s.result);
  const std::string problem = "config.problem InterfacePrefix: not an interface name";
  EXPECT_THAT(s.log.lines, HasSubstr(problem));
  EXPECT_EQ(s.log.lines.find(problem), s.log.lines.rfind(problem)) << "said more than once";
  s.store->write(kFelix + "default", R"({"spec":{"interfacePrefix":"tap"}})");
  s.loop.advance(seconds(2));
  EXPECT_TRUE(s.result);
}

// Starting without it would mean the default interface prefix, and every guest unprotected.
TEST(Startup, AConfigurationThatNobodyCanReadIsNamedUntilRepaired) {
  for (const char* bad : {"{broken", "", "[]", R"({"spec":7})", R"({"spec":{"interfacePrefix":{"a":[]}}})",
                          R"({"spec":{"interfacePrefix":5}})"}) {
    Starting s;
    s.initial = {{kCluster, kReadyCluster}, {kFelix + "default", bad}};
    s.startup.start();
    s.loop.advance(seconds(5));
    EXPECT_FALSE(s.result) << bad;
    EXPECT_THAT(s.log.lines, HasSubstr("config.problem")) << bad;
    s.store->write(kFelix + "default", R"({"spec":{"maxIpsetSize":5}})");
    s.loop.advance(seconds(2));
    ASSERT_TRUE(s.result) << bad;
    EXPECT_EQ(s.result->configuration.resolved.integer(P::kMaxIpsetSize), 5);
  }
}

TEST(Startup, APoolThatIsNoJsonIsSetAside) {
  Starting s;
  s.initial = {{kCluster, kReadyCluster}, {"/calico/resources/v3/projectcalico.org/ippools/p", "{broken"}};
  s.startup.start();
  s.loop.advance(seconds(1));
  ASSERT_TRUE(s.result);
  ASSERT_EQ(s.result->configuration.diagnostics.size(), 1u);
  EXPECT_THAT(s.result->configuration.diagnostics[0].text(), HasSubstr("ippools/p"));
}

TEST(Startup, AnUnreadableFileIsTriedAgain) {
  Starting s;
  s.initial = {{kCluster, kReadyCluster}};
  const auto good = s.local;
  s.local = base::fail(base::Error::invalid("configuration file /x: line 3"));
  s.startup.start();
  s.loop.advance(seconds(2));
  EXPECT_THAT(s.log.lines, HasSubstr("config.unreadable Cannot start yet: configuration file /x: line 3"));
  s.local = good;
  s.loop.advance(seconds(2));
  EXPECT_TRUE(s.result);
}

TEST(LocalConfig, FileSyntaxAndPermissionsAreErrorsThatNameTheFile) {
  const ::testing::TempDirectory directory;
  auto bad = load_local_config(directory.write("felix.cfg", "[global]\nnonsense\n"), {}, {});
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().text(), HasSubstr("felix.cfg: line 2"));
  EXPECT_FALSE(load_local_config(directory.path(), {}, {}));  // a directory cannot be read
  auto good = load_local_config(directory.write("felix.cfg", "InterfacePrefix = tap\n"),
                                config::environment_from({"FELIX_INTERFACEPREFIX=cali"}), {});
  ASSERT_TRUE(good);
  EXPECT_THAT(good->resolution.resolved.texts(P::kInterfacePrefix), ElementsAre("cali"));
}

TEST(CheckConfig, PrintsEveryProblemAtOnce) {
  const ::testing::TempDirectory directory;
  const std::string file = directory.write(
      "felix.cfg", "IterfacePrefix = tap\nHealthPort = 99999\nMetadataPort = abc\nLogSeverityScreen = Info\n");
  std::string out;
  EXPECT_EQ(
      check_config(file, config::environment_from({"DATASTORE_TYPE=kubernetes", "FELIX_ETCDCAFILE=/no/such/ca"}), out),
      1);
  for (const char* part :
       {"IterfacePrefix from config file = 'tap': there is no such parameter", "did you mean InterfacePrefix?",
        "warning: HealthPort from config file = '99999': out of range", "use an integer from 0 to 65535",
        "error: MetadataPort from config file = 'abc'", "there is no such file",
        "error: datastore: datastore type 'kubernetes' is not supported", "would not start"}) {
    EXPECT_THAT(out, HasSubstr(part));
  }
  out.clear();
  EXPECT_EQ(check_config("/nonexistent", config::environment_from(felix_environment()), out), 0) << out;
  EXPECT_THAT(out, HasSubstr("datastore: etcd at http://127.0.0.1:2379/\nnode name: h1\n"));
  EXPECT_THAT(out, HasSubstr("  LogFilePath = (nothing)  (environment variable)\n"));
  EXPECT_THAT(out, HasSubstr("the configuration is good"));
  EXPECT_THAT(out, Not(HasSubstr("warning")));
}

TEST(Options, ShortLongAndWrong) {
  const auto parse = [](std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "percaled");
    return parse_options(static_cast<int>(arguments.size()), arguments.data());
  };
  EXPECT_EQ(parse({}).options.config_file, "/etc/calico/felix.cfg");
  EXPECT_EQ(parse({"-c", "/x"}).options.config_file, "/x");
  EXPECT_EQ(parse({"--config-file=/y"}).options.config_file, "/y");
  EXPECT_TRUE(parse({"--version"}).options.version);
  EXPECT_TRUE(parse({"--check-config"}).options.check_config);
  EXPECT_NE(parse({"--nonsense"}).exit_status.value_or(0), 0);
}

TEST(SettingsMap, FelixEnvironmentBecomesSettings) {
  const auto local = load_local_config("/nonexistent", config::environment_from(felix_environment()), {});
  ASSERT_TRUE(local);
  const config::Resolved& resolved = local->resolution.resolved;
  const os::LogSettings log = log_settings(resolved);
  EXPECT_EQ(log.screen, base::LogLevel::kWarning);
  EXPECT_EQ(log.file_path, "");
  EXPECT_FALSE(log.json);
  const auto datastore = config::datastore_settings(local->environment, resolved);
  ASSERT_TRUE(datastore);
  EXPECT_THAT(connection_settings(*datastore).endpoints, ElementsAre("http://127.0.0.1:2379/"));
  const render::Settings render = render_settings(resolved, {}, {}, true);
  // What rendering takes for Calico's defaults is what the parameters say.
  render::Settings defaults;
  defaults.metadata_address = base::parse_address("127.0.0.1").value();
  EXPECT_EQ(render, defaults);
}

TEST(SettingsMap, EveryRenderSetting) {
  config::RawSources sources;
  sources.set(config::Source::kFile, {{"InterfacePrefix", "tap"},
                                      {"ChainInsertMode", "Append"},
                                      {"IptablesFilterAllowAction", "Return"},
                                      {"IptablesFilterDenyAction", "Reject"},
                                      {"DefaultEndpointToHostAction", "Accept"},
                                      {"FailsafeInboundHostPorts", "udp:10.0.0.0/8:68"},
                                      {"NATPortRange", "100:200"},
                                      {"Ipv6Support", "false"},
                                      {"MetadataAddr", "none"}});
  const render::Settings r = render_settings(config::resolve(sources, "h", {}).resolved, {.ipip = true}, {}, true);
  EXPECT_TRUE(r.openstack);
  EXPECT_FALSE(r.ipv6);
  EXPECT_TRUE(r.tunnels.ipip);
  EXPECT_EQ(r.insert_mode, render::InsertMode::kAppend);
  EXPECT_EQ(r.filter_allow, render::AllowAction::kReturn);
  EXPECT_EQ(r.mangle_allow, render::AllowAction::kAccept);
  EXPECT_EQ(r.deny, render::DenyAction::kReject);
  EXPECT_EQ(r.endpoint_to_host, render::ToHostAction::kAccept);
  EXPECT_THAT(r.failsafe_inbound, ElementsAre(render::FailsafePort{"udp", 68, base::parse_cidr("10.0.0.0/8").value()}));
  EXPECT_EQ(r.nat_port_range, (calc::PortRange{100, 200}));
  EXPECT_FALSE(r.metadata_address);
}

TEST(SettingsMap, BgpFromTheEnvironment) {
  const auto environment =
      config::environment_from({"IP=10.0.0.1/24", "IP6=autodetect", "AS=64513", "CALICO_ROUTER_ID=hash"});
  const bgp::Settings bgp = bgp_settings(config::resolve({}, "h1", {}).resolved, environment);
  EXPECT_EQ(bgp.node_name, "h1");
  EXPECT_EQ(base::to_string(bgp.address_v4.value()), "10.0.0.1/24");
  EXPECT_FALSE(bgp.address_v6);
  EXPECT_EQ(bgp.as_number, 64513u);
  EXPECT_EQ(bgp.router_id, "hash");
}

TEST(SettingsMap, BgpFromOwnParameters) {
  config::RawSources sources;
  sources.set(config::Source::kEnvironment, {{"BIRDPeers", "192.0.2.1 as 64512, nonsense"},
                                             {"BIRDTunnelNetworks", "10.65.0.0/16 CrossSubnet"},
                                             {"BIRDBFD", "all"},
                                             {"BIRDBFDIntervalMillis", "100"},
                                             {"BIRDHostRoutes", "On"}});
  const bgp::Settings bgp = bgp_settings(config::resolve(sources, "h1", {}).resolved, {});
  ASSERT_EQ(bgp.peers.size(), 1u);
  EXPECT_EQ(bgp.problems.size(), 1u);
  ASSERT_EQ(bgp.tunnel_networks.size(), 1u);
  EXPECT_EQ(bgp.tunnel_networks[0].mode, model::EncapMode::kCrossSubnet);
  EXPECT_EQ(bgp.bfd.use, bgp::BfdUse::kAll);
  EXPECT_EQ(bgp.bfd.interval, std::chrono::milliseconds(100));
  EXPECT_EQ(bgp.host_routes, bgp::HostRouteRule::kOn);
}

}  // namespace
}  // namespace agent
