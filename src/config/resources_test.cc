#include "config/resources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "config/pattern.h"

namespace config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

boost::json::object parse(std::string_view text) { return boost::json::parse(text).as_object(); }

RawMap felix(std::string_view spec) {
  return from_felix_configuration(parse(R"({"spec":)" + std::string(spec) + "}"), Source::kGlobal).raw;
}

TEST(FelixConfiguration, FieldsBecomeParameters) {
  EXPECT_EQ(felix(R"json({"interfacePrefix":"tap","endpointReportingEnabled":true,"healthPort":9099,"ipipMTU":1440,
                      "reportingInterval":"30s","iptablesLockProbeInterval":"50ms","reportingTTL":"1m30s",
                      "iptablesMarkMask":4294901760,"externalNodesList":["10.0.0.0/8","1.2.3.4"],
                      "bpfLogFilters":{"all":"x"},"bpfConntrackTimeouts":{"creationGracePeriod":"10s"},
                      "nodeSelector":"all()","logPrefix":"","maxIpsetSize":null})json"),
            (RawMap{{"InterfacePrefix", "tap"},
                    {"EndpointReportingEnabled", "true"},
                    {"HealthPort", "9099"},
                    {"IpInIpMtu", "1440"},
                    {"ReportingIntervalSecs", "30"},
                    {"IptablesLockProbeIntervalMillis", "50"},
                    {"ReportingTTLSecs", "90"},
                    {"IptablesMarkMask", "4294901760"},
                    {"ExternalNodesCIDRList", "10.0.0.0/8,1.2.3.4"},
                    {"BPFLogFilters", "all=x,"},
                    {"BPFConntrackTimeouts", "CreationGracePeriod=10s,"}}));
}

TEST(FelixConfiguration, ListsOfStructures) {
  EXPECT_EQ(felix(R"({"failsafeInboundHostPorts":[]})").at("FailsafeInboundHostPorts"), "none");
  EXPECT_EQ(felix(R"({"failsafeInboundHostPorts":[{"protocol":"TCP","port":22},{"port":23},
                      {"protocol":"UDP","port":68,"net":"10.0.0.0/8"},{"protocol":"TCP","port":5,"net":"2001:db8::/32"}]})")
                .at("FailsafeInboundHostPorts"),
            "tcp:22,tcp:23,udp:10.0.0.0/8:68,tcp:[2001:db8::/32]:5");
  EXPECT_EQ(felix(R"({"routeTableRange":{"min":1,"max":20}})").at("RouteTableRange"), "1-20");
  EXPECT_EQ(felix(R"({"routeTableRanges":[{"min":1,"max":2},{"min":5,"max":6}]})").at("RouteTableRanges"), "1-2,5-6");
  EXPECT_EQ(felix(R"({"healthTimeoutOverrides":[{"name":"A","timeout":"1m"},{"name":"B","timeout":"2s"}]})")
                .at("HealthTimeoutOverrides"),
            "A=1m,B=2s");
  EXPECT_THAT(felix(R"({"healthTimeoutOverrides":[]})"), IsEmpty());
}

// Upstream agents stop for such an entry; it must only cost itself.
TEST(FelixConfiguration, AnUnsupportedFailsafeEntryIsLeftOut) {
  const ResourceParameters p = from_felix_configuration(
      parse(R"({"spec":{"failsafeInboundHostPorts":[{"protocol":"SCTP","port":22},{"protocol":"TCP","port":80}]}})"),
      Source::kGlobal);
  EXPECT_EQ(p.raw.at("FailsafeInboundHostPorts"), "tcp:80");
  ASSERT_EQ(p.diagnostics.size(), 1u);
  EXPECT_THAT(p.diagnostics[0].text(), HasSubstr("SCTP"));
}

TEST(FelixConfiguration, WhatCannotBeUsedIsReportedAndTheRestCounts) {
  const ResourceParameters p = from_felix_configuration(
      parse(
          R"({"spec":{"noSuchField":1,"routeTableRange":"x","externalNodesList":[{}],"healthPort":"abc","reportingInterval":"soon"}})"),
      Source::kPerHost);
  EXPECT_EQ(p.raw, (RawMap{{"HealthPort", "abc"}, {"ReportingIntervalSecs", "soon"}}));
  ASSERT_EQ(p.diagnostics.size(), 3u);
  EXPECT_THAT(p.diagnostics[0].text(), HasSubstr("noSuchField from datastore (per-host)"));
  EXPECT_EQ(p.diagnostics[1].severity, Severity::kError);  // of a known parameter
  EXPECT_TRUE(has_errors(from_felix_configuration(parse(R"({"spec":7})"), Source::kGlobal).diagnostics));
  EXPECT_THAT(from_felix_configuration(parse("{}"), Source::kGlobal).raw, IsEmpty());
}

// interfacePrefix 5 would mean that interfaces beginning with "5" belong to guests, and no other.
TEST(FelixConfiguration, ANumberIsNoText) {
  for (const char* bad : {R"({"spec":{"interfacePrefix":5}})", R"({"spec":{"interfacePrefix":true}})",
                          R"({"spec":{"metadataAddr":0.5}})", R"({"spec":{"externalNodesList":["10.0.0.0/8",5]}})"}) {
    const ResourceParameters p = from_felix_configuration(parse(bad), Source::kGlobal);
    EXPECT_THAT(p.raw, IsEmpty()) << bad;
    ASSERT_EQ(p.diagnostics.size(), 1u) << bad;
    EXPECT_EQ(p.diagnostics[0].severity, Severity::kError);
    EXPECT_THAT(p.diagnostics[0].text(), HasSubstr("has the wrong form; use ")) << bad;
  }
  // Where a number or text may stand.
  const ResourceParameters good =
      from_felix_configuration(parse(R"({"spec":{"maxIpsetSize":5,"natPortRange":5,"bpfEnabled":true}})"), {});
  EXPECT_THAT(good.diagnostics, IsEmpty());
}

TEST(FelixConfiguration, AnnotationsOverrideFieldsInAnySpelling) {
  const ResourceParameters p = from_felix_configuration(
      parse(
          R"({"metadata":{"annotations":{"config.projectcalico.org/healthport":"1","config.projectcalico.org/Unknown":"2","other":"3"}},
                "spec":{"healthPort":9099}})"),
      Source::kGlobal);
  EXPECT_EQ(p.raw, (RawMap{{"HealthPort", "1"}, {"Unknown", "2"}}));
}

TEST(ClusterInformation, ParametersAndReadiness) {
  const ClusterParameters p = from_cluster_information(parse(
      R"({"spec":{"clusterGUID":"g","clusterType":"openstack","calicoVersion":"v3.32.0","datastoreReady":true}})"));
  EXPECT_EQ(p.raw, (RawMap{{"ClusterGUID", "g"}, {"ClusterType", "openstack"}, {"CalicoVersion", "v3.32.0"}}));
  EXPECT_TRUE(p.datastore_ready);
  EXPECT_FALSE(from_cluster_information(parse(R"({"spec":{}})")).datastore_ready);
  EXPECT_FALSE(from_cluster_information(parse("{}")).datastore_ready);
}

TEST(Node, AddressesAndLabels) {
  const NodeParameters p = from_node(parse(
      R"({"metadata":{"labels":{"rack":"a"}},"spec":{"bgp":{"ipv4Address":"10.0.0.1/24","ipv4IPIPTunnelAddr":"10.1.0.1"},
          "ipv4VXLANTunnelAddr":"10.2.0.1","vxlanTunnelMACAddr":"66:00:00:00:00:01","addresses":[{"address":"1.1.1.1","type":"InternalIP"}]}})"));
  EXPECT_EQ(p.raw, (RawMap{{"IpInIpTunnelAddr", "10.1.0.1"},
                           {"IPv4VXLANTunnelAddr", "10.2.0.1"},
                           {"VXLANTunnelMACAddr", "66:00:00:00:00:01"}}));
  EXPECT_EQ(base::to_string(p.host_ip.value()), "10.0.0.1");
  EXPECT_EQ(p.labels.value().at("rack"), "a");
  const NodeParameters q = from_node(parse(
      R"({"spec":{"addresses":[{"address":"2.2.2.2","type":"ExternalIP"},{"address":"fd00::1","type":"InternalIP"},{"address":"3.3.3.3/24","type":"InternalIP"}]}})"));
  EXPECT_EQ(base::to_string(q.host_ip.value()), "3.3.3.3");
  EXPECT_FALSE(q.labels.has_value());
  EXPECT_FALSE(from_node(parse("{}")).host_ip.has_value());
}

base::Result<bool> has_rack(std::string_view selector, const std::map<std::string, std::string>& labels) {
  if (selector == "bad(") return base::fail(base::Error::invalid("unexpected end"));
  return selector == "all()" || labels.contains(std::string(selector));
}

TEST(Scoped, TheOldestMatchAppliesAsAWhole) {
  const std::map<std::string, std::string> labels = {{"rack", "a"}};
  const std::vector<ScopedConfiguration> candidates = {
      {"c", "2026-02-01T00:00:00Z", "rack"},  {"b", "2026-01-01T00:00:00Z", "all()"},
      {"a", "2026-01-01T00:00:00Z", "all()"}, {"older", "2025-01-01T00:00:00Z", "zone"},
      {"none", "2025-01-01T00:00:00Z", " "},  {"bad", "2025-01-01T00:00:00Z", "bad("}};
  const ScopedChoice choice = choose_scoped(candidates, labels, has_rack);
  ASSERT_TRUE(choice.index.has_value());
  EXPECT_EQ(candidates[*choice.index].name, "a");
  ASSERT_EQ(choice.diagnostics.size(), 2u);
  EXPECT_THAT(choice.diagnostics[0].text(), HasSubstr("FelixConfiguration bad"));
  EXPECT_THAT(choice.diagnostics[1].text(), HasSubstr("several objects select this node"));
  EXPECT_FALSE(choose_scoped(candidates, std::nullopt, has_rack).index.has_value());
  EXPECT_TRUE(choose_scoped(candidates, std::map<std::string, std::string>{}, has_rack).index.has_value());
}

TEST(Scoped, NamesAndFields) {
  EXPECT_FALSE(is_scoped_configuration("default"));
  EXPECT_FALSE(is_scoped_configuration("node.h1"));
  EXPECT_TRUE(is_scoped_configuration("rack-a"));
  const auto resource =
      parse(R"json({"metadata":{"name":"n","creationTimestamp":"t"},"spec":{"nodeSelector":"all()"}})json");
  const ScopedConfiguration scoped = scoped_configuration(resource);
  EXPECT_EQ(scoped.name + scoped.creation_timestamp + scoped.node_selector, "ntall()");
}

TEST(Pattern, MatchesAnyAndIgnoresEmpty) {
  const Pattern pattern({"^kube-ipvs0$", "", "^veth"});
  EXPECT_TRUE(pattern.matches("kube-ipvs0"));
  EXPECT_TRUE(pattern.matches("veth12"));
  EXPECT_FALSE(pattern.matches("eth0"));
  EXPECT_FALSE(Pattern("").matches("eth0"));
}

}  // namespace
}  // namespace config
