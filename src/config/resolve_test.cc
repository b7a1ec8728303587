#include "config/resolve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/derived.h"
#include "config/environment.h"
#include "config/ini.h"

namespace config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using P = Parameter;

struct Setting {
  Source source;
  RawMap raw;
};

Resolution resolve_all(const std::vector<Setting>& settings) {
  RawSources sources;
  for (const Setting& setting : settings) sources.set(setting.source, setting.raw);
  return resolve(sources, "oshost", Probe{});
}

TEST(Resolve, PrecedenceFromLowestToHighest) {
  std::vector<Setting> settings;
  int port = 1;
  for (const Source source : {Source::kGlobal, Source::kPerSelector, Source::kPerHost, Source::kFile,
                              Source::kEnvironment, Source::kOverride}) {
    settings.push_back({source, {{"HealthPort", std::to_string(port)}}});
    const Resolution resolution = resolve_all(settings);
    EXPECT_EQ(resolution.resolved.integer(P::kHealthPort), port);
    EXPECT_EQ(resolution.resolved.source(P::kHealthPort), source);
    ++port;
  }
}

TEST(Resolve, NamesIgnoreCaseAndEmptyMeansNotSet) {
  const Resolution resolution =
      resolve_all({{Source::kGlobal, {{"healthport", "1234"}}}, {Source::kEnvironment, {{"HEALTHPORT", ""}}}});
  EXPECT_EQ(resolution.resolved.integer(P::kHealthPort), 1234);
  EXPECT_THAT(resolution.diagnostics, IsEmpty());
}

// The worked example of spec felix-agent §1.9.
TEST(Resolve, ABadValueGivesTheDefaultAndHidesLowerSources) {
  const Resolution resolution = resolve_all(
      {{Source::kGlobal, {{"IptablesRefreshInterval", "60"}}}, {Source::kFile, {{"IptablesRefreshInterval", "soon"}}}});
  EXPECT_EQ(resolution.resolved.duration(P::kIptablesRefreshInterval), std::chrono::seconds(180));
  ASSERT_EQ(resolution.diagnostics.size(), 1u);
  EXPECT_EQ(
      resolution.diagnostics[0].text(),
      "warning: IptablesRefreshInterval from config file = 'soon': not a number, so the default (180) is used; use a "
      "number of seconds, e.g. 0.5");
  EXPECT_FALSE(has_errors(resolution.diagnostics));
}

TEST(Resolve, NoneIsZeroUnlessForbidden) {
  const Resolution good = resolve_all({{Source::kEnvironment,
                                        {{"failsafeinboundhostports", "NONE"},
                                         {"logfilepath", "none"},
                                         {"logseveritysys", "none"},
                                         {"metadataport", "none"},
                                         {"ipipenabled", "x"}}}});
  EXPECT_THAT(good.resolved.ports(P::kFailsafeInboundHostPorts), IsEmpty());
  EXPECT_EQ(good.resolved.text(P::kLogFilePath), "");
  EXPECT_EQ(good.resolved.text(P::kLogSeveritySys), "");
  EXPECT_EQ(good.resolved.integer(P::kMetadataPort), 0);
  const Resolution bad = resolve_all({{Source::kEnvironment, {{"interfaceprefix", "none"}}}});
  EXPECT_TRUE(has_errors(bad.diagnostics));
  EXPECT_THAT(bad.diagnostics[0].text(),
              HasSubstr("InterfacePrefix from environment variable = 'none': must have a value"));
}

TEST(Resolve, AFatalParameterIsAnErrorEvenWhereItLoses) {
  const Resolution resolution =
      resolve_all({{Source::kGlobal, {{"InterfacePrefix", "ta p"}}}, {Source::kFile, {{"InterfacePrefix", "tap"}}}});
  EXPECT_TRUE(has_errors(resolution.diagnostics));
  EXPECT_THAT(resolution.resolved.texts(P::kInterfacePrefix), ElementsAre("tap"));
  EXPECT_THAT(resolution.diagnostics[0].text(), HasSubstr("error: InterfacePrefix from datastore (global) = 'ta p'"));
}

TEST(Resolve, LocalParametersAreIgnoredFromTheDatastore) {
  for (const Source source : {Source::kGlobal, Source::kPerSelector, Source::kPerHost}) {
    const Resolution resolution = resolve_all({{source, {{"EtcdAddr", "evil:1"}}}});
    EXPECT_EQ(resolution.resolved.text(P::kEtcdAddr), "127.0.0.1:2379");
    ASSERT_EQ(resolution.diagnostics.size(), 1u);
    EXPECT_THAT(resolution.diagnostics[0].text(), HasSubstr("FELIX_ETCDADDR"));
  }
}

TEST(Resolve, UnknownParameterIsNamedWithTheNearestOne) {
  const Resolution resolution = resolve_all({{Source::kFile, {{"IterfacePrefix", "tap"}}}});
  ASSERT_EQ(resolution.diagnostics.size(), 1u);
  EXPECT_EQ(resolution.diagnostics[0].text(),
            "warning: IterfacePrefix from config file = 'tap': there is no such parameter; it is ignored; did you mean "
            "InterfacePrefix?");
}

TEST(Resolve, WhatHasNoEffectIsNamedUnlessItIsTheDefault) {
  RawSources sources;
  sources.set(Source::kFile, {{"WireguardEnabled", "true"},
                              {"BPFEnabled", "false"},
                              {"ServiceLoopPrevention", "Reject"},
                              {"UsageReportingEnabled", "false"}});
  sources.set(Source::kGlobal, {{"WireguardEnabled", "true"}});
  const Resolution r = resolve(sources, "h", {});
  ASSERT_EQ(r.diagnostics.size(), 1u);
  EXPECT_EQ(r.diagnostics[0].severity, Severity::kWarning);
  EXPECT_THAT(r.diagnostics[0].text(),
              ::testing::HasSubstr("WireguardEnabled from config file = 'true': has no effect"));
}

TEST(Resolve, TwoSpellingsInOneSourceAreDecidedAndReported) {
  const Resolution resolution = resolve_all({{Source::kFile, {{"HealthPort", "1"}, {"healthport", "2"}}}});
  EXPECT_EQ(resolution.resolved.integer(P::kHealthPort), 2);
  ASSERT_EQ(resolution.diagnostics.size(), 1u);
  EXPECT_THAT(resolution.diagnostics[0].text(), HasSubstr("set twice"));
}

TEST(Resolve, HostName) {
  EXPECT_EQ(resolve_all({}).resolved.text(P::kFelixHostname), "oshost");
  EXPECT_EQ(resolve_all({{Source::kFile, {{"FelixHostname", "Mixed.Case"}}}}).resolved.text(P::kFelixHostname),
            "Mixed.Case");
  const Resolution bad = resolve_all({{Source::kFile, {{"FelixHostname", "not a name"}}}});
  EXPECT_EQ(bad.resolved.text(P::kFelixHostname), "");
  const Diagnostics problems = validate(bad.resolved);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_THAT(problems[0].text(), HasSubstr("FelixHostname"));
}

TEST(Validate, DatastoreMustBeReachableInPrinciple) {
  EXPECT_THAT(validate(resolve_all({}).resolved), IsEmpty());
  const auto first_problem = [](RawMap raw) {
    const Diagnostics problems = validate(resolve_all({{Source::kEnvironment, std::move(raw)}}).resolved);
    return problems.empty() ? std::string() : problems[0].text();
  };
  EXPECT_THAT(first_problem({{"datastoretype", "kubernetes"}}), HasSubstr("kubernetes datastore is not supported"));
  EXPECT_THAT(first_problem({{"etcdaddr", "none"}}), HasSubstr("no etcd server is configured"));
  EXPECT_EQ(first_problem({{"etcdaddr", "none"}, {"etcdendpoints", "http://a:1"}}), "");
  EXPECT_EQ(first_problem({{"datastoretype", "dir:/etc/percale/resources"}, {"etcdaddr", "none"}}), "");
}

ChangeEffect change(const RawMap& before, const RawMap& after) {
  return compare(resolve_all({{Source::kGlobal, before}}).resolved, resolve_all({{Source::kGlobal, after}}).resolved);
}

TEST(Compare, WhatNeedsARestart) {
  EXPECT_THAT(change({{"Ipv6Support", "true"}}, {{"Ipv6Support", "YES"}}).changed, IsEmpty());
  const ChangeEffect live =
      change({}, {{"ClusterGUID", "x"}, {"CalicoVersion", "v3"}, {"HealthTimeoutOverrides", "A=1s"}});
  EXPECT_EQ(live.changed.size(), 3u);
  EXPECT_THAT(live.restart, IsEmpty());
  EXPECT_THAT(change({}, {{"MaxIpsetSize", "5"}}).restart, ElementsAre(P::kMaxIpsetSize));
  EXPECT_THAT(change({{"InterfacePrefix", "a,b"}}, {{"InterfacePrefix", "b,a"}}).restart,
              ElementsAre(P::kInterfacePrefix));
  EXPECT_THAT(change({}, {{"BPFMapSizeRoute", "7"}}).restart, IsEmpty());
  EXPECT_THAT(change({{"ClusterType", "k8s"}}, {{"ClusterType", "k8s,bgp"}}).restart, IsEmpty());
  EXPECT_THAT(change({{"ClusterType", "bgp"}}, {{"ClusterType", "bgp,OpenStack"}}).restart,
              ElementsAre(P::kClusterType));
}

TEST(Derived, OpenstackMode) {
  const auto mode = [](RawMap raw) {
    return openstack_mode(resolve_all({{Source::kGlobal, std::move(raw)}}).resolved);
  };
  EXPECT_FALSE(mode({}));
  EXPECT_TRUE(mode({{"ClusterType", "bgp,OpenStack"}}));
  EXPECT_TRUE(mode({{"MetadataAddr", "10.0.0.1"}}));
  EXPECT_FALSE(mode({{"MetadataAddr", "none"}}));
  EXPECT_TRUE(mode({{"MetadataPort", "1"}}));
  EXPECT_FALSE(mode({{"MetadataPort", "none"}}));
  EXPECT_TRUE(mode({{"InterfacePrefix", "cali,tap"}}));
  EXPECT_FALSE(mode({{"InterfacePrefix", "tapx"}}));
}

TEST(Derived, EncapsulationFollowsPoolsUnlessSaid) {
  const auto derive = [](RawMap raw, const std::vector<PoolModes>& pools) {
    return encapsulation(resolve_all({{Source::kGlobal, std::move(raw)}}).resolved, pools);
  };
  const PoolModes ipip{base::Family::kIpv4, "CrossSubnet", "Never"};
  const PoolModes vxlan{base::Family::kIpv4, "", "Always"};
  const PoolModes vxlan6{base::Family::kIpv6, "Never", "Always"};
  const PoolModes odd{base::Family::kIpv4, "sometimes", ""};
  EXPECT_EQ(derive({}, {odd}), (Encapsulation{false, false, false}));
  EXPECT_EQ(derive({}, {ipip}), (Encapsulation{true, false, false}));
  EXPECT_EQ(derive({}, {vxlan, vxlan6}), (Encapsulation{false, true, true}));
  EXPECT_EQ(derive({{"VXLANEnabled", "false"}, {"IpInIpEnabled", "false"}}, {ipip, vxlan, vxlan6}),
            (Encapsulation{false, false, true}));
  EXPECT_EQ(derive({{"VXLANEnabled", "true"}, {"IpInIpEnabled", "true"}}, {}), (Encapsulation{true, true, false}));
}

TEST(Derived, FilterSettingsRouteTablesAndTheRest) {
  const auto resolved = [](RawMap raw) { return resolve_all({{Source::kGlobal, std::move(raw)}}).resolved; };
  const RawMap both = {
      {"IptablesMarkMask", "0xff"}, {"NftablesMarkMask", "0xff00"}, {"NftablesFilterDenyAction", "Reject"}};
  EXPECT_EQ(filter_settings(resolved(both)).mark_mask, 0xFFu);
  RawMap enabled = both;
  enabled["NFTablesMode"] = "Enabled";
  EXPECT_EQ(filter_settings(resolved(enabled)).mark_mask, 0xFF00u);
  EXPECT_EQ(filter_settings(resolved(enabled)).filter_deny_action, "REJECT");

  EXPECT_THAT(route_tables(resolved({})), ElementsAre(TableRange{1, 250}));
  EXPECT_THAT(route_tables(resolved({{"RouteTableRange", "10-20"}})), ElementsAre(TableRange{10, 20}));
  EXPECT_THAT(route_tables(resolved({{"RouteTableRange", "10-20"}, {"RouteTableRanges", "250-260"}})),
              ElementsAre(TableRange{250, 252}, TableRange{256, 260}));

  EXPECT_TRUE(is_leader(resolved({})));
  EXPECT_FALSE(is_leader(resolved({{"Variant", "Other"}})));
  EXPECT_EQ(watchdog_timeout(resolved({{"DataplaneWatchdogTimeout", "5"}})), std::chrono::seconds(20));
  EXPECT_EQ(region_text(resolved({})), "no-region");
  EXPECT_EQ(region_text(resolved({{"OpenstackRegion", "east"}})), "region-east");
  EXPECT_FALSE(metadata_address(resolved({{"MetadataAddr", "metadata.example"}})));
  EXPECT_TRUE(metadata_address(resolved({})));
  EXPECT_EQ(log_level("WARNING"), base::LogLevel::kWarning);
  EXPECT_EQ(log_level(""), std::nullopt);
}

TEST(Environment, FelixVariablesInAnyCase) {
  const Environment environment =
      environment_from({"FELIX_HealthEnabled=true", "felix_LOGFILEPATH=none", "Felix_X=", "FELIX_=1", "OTHER=2",
                        "FELIX_EARLYLOGSEVERITYSCREEN=debug"});
  EXPECT_THAT(felix_parameters(environment),
              ElementsAre(std::pair<const std::string, std::string>("healthenabled", "true"),
                          std::pair<const std::string, std::string>("logfilepath", "none")));
  EXPECT_EQ(early_log_level(environment), base::LogLevel::kDebug);
  EXPECT_EQ(early_log_level(environment_from({"FELIX_LOGSEVERITYSCREEN=Warning"})), base::LogLevel::kWarning);
  EXPECT_EQ(early_log_level({}), base::LogLevel::kError);
}

TEST(Ini, Syntax) {
  auto file = parse_ini(
      "\xEF\xBB\xBF# comment\n"
      "; another \\\n"
      "Early = 1\n"
      "[global]\n"
      "InterfacePrefix = tap # the prefix\n"
      "MetadataAddr: 10.0.0.1;x\n"
      "Quoted = \"a b\"\n"
      "Single='c'\r\n"
      "Joined = one,\\\n"
      "  two\n"
      "Empty =\n"
      "Url = http://a:1\n");
  ASSERT_TRUE(file) << file.error().text();
  EXPECT_EQ(file->values, (RawMap{{"Early", "1"},
                                  {"InterfacePrefix", "tap"},
                                  {"MetadataAddr", "10.0.0.1"},
                                  {"Quoted", "a b"},
                                  {"Single", "c"},
                                  {"Joined", "one,two"},
                                  {"Empty", ""},
                                  {"Url", "http://a:1"}}));
  EXPECT_THAT(file->diagnostics, IsEmpty());
}

TEST(Ini, TheLaterSectionWinsWithAWarning) {
  auto file = parse_ini("[a]\nX = 1\nX = 2\n[b]\nX = 3\n");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->values.at("X"), "3");
  ASSERT_EQ(file->diagnostics.size(), 1u);
  EXPECT_THAT(file->diagnostics[0].text(), HasSubstr("[a] and again in [b]"));
}

TEST(Ini, SyntaxErrorsNameTheLine) {
  for (const std::string_view bad : {"\nnonsense", "\n= value", "\n[global"}) {
    auto file = parse_ini(bad);
    ASSERT_FALSE(file) << bad;
    EXPECT_THAT(file.error().text(), HasSubstr("line 2")) << bad;
  }
}

}  // namespace
}  // namespace config
