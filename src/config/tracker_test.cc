#include "config/tracker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace config {
namespace {

using P = Parameter;

Document document(std::string_view text) {
  return std::make_shared<const boost::json::object>(boost::json::parse(text).as_object());
}

ConfigTracker tracker(RawMap environment = {}) {
  RawSources local;
  local.set(Source::kEnvironment, std::move(environment));
  return ConfigTracker(
      local, {}, "h1", Probe{},
      [](std::string_view selector, const std::map<std::string, std::string>& labels) -> base::Result<bool> {
        return labels.contains(std::string(selector));
      });
}

TEST(ConfigTracker, AllSourcesTogether) {
  ConfigTracker t = tracker({{"healthhost", "env"}});
  t.felix_configuration(
      "default",
      document(
          R"({"metadata":{"name":"default"},"spec":{"healthPort":1,"healthHost":"db","metadataPort":1,"maxIpsetSize":1}})"));
  t.felix_configuration(
      "rack",
      document(R"({"metadata":{"name":"rack"},"spec":{"nodeSelector":"rack","metadataPort":2,"maxIpsetSize":2}})"));
  t.felix_configuration("node.h1", document(R"({"metadata":{"name":"node.h1"},"spec":{"maxIpsetSize":3}})"));
  t.felix_configuration("node.h2", document(R"({"metadata":{"name":"node.h2"},"spec":{"maxIpsetSize":4}})"));
  t.node("h1",
         document(R"({"metadata":{"name":"h1","labels":{"rack":"a"}},"spec":{"bgp":{"ipv4Address":"10.0.0.1/24"}}})"));
  t.node("h2", document(R"({"metadata":{"name":"h2"},"spec":{"ipv4VXLANTunnelAddr":"10.9.9.9"}})"));
  t.cluster_information("default", document(R"({"spec":{"clusterType":"openstack","datastoreReady":true}})"));
  EXPECT_TRUE(t.dirty());
  const Configuration c = t.evaluate();
  EXPECT_FALSE(t.dirty());
  EXPECT_EQ(c.resolved.integer(P::kHealthPort), 1);
  EXPECT_EQ(c.resolved.text(P::kHealthHost), "env");
  EXPECT_EQ(c.resolved.integer(P::kMetadataPort), 2);
  EXPECT_EQ(c.resolved.integer(P::kMaxIpsetSize), 3);
  EXPECT_FALSE(c.resolved.address(P::kIPv4VXLANTunnelAddr));
  EXPECT_EQ(c.resolved.text(P::kClusterType), "openstack");
  EXPECT_TRUE(c.datastore_ready);
  EXPECT_EQ(base::to_string(c.host_ip.value()), "10.0.0.1");
  EXPECT_TRUE(c.diagnostics.empty());
}

TEST(ConfigTracker, ADeletedResourceUnsetsWhatItSaid) {
  ConfigTracker t = tracker();
  t.felix_configuration("default", document(R"({"spec":{"healthPort":1}})"));
  const Configuration before = t.evaluate();
  t.felix_configuration("default", nullptr);
  EXPECT_TRUE(t.dirty());
  const Configuration after = t.evaluate();
  EXPECT_EQ(after.resolved.integer(P::kHealthPort), 9099);
  EXPECT_THAT(compare(before.resolved, after.resolved).restart, ::testing::ElementsAre(P::kHealthPort));
  EXPECT_FALSE(after.datastore_ready);
  t.node("h2", document("{}"));
  EXPECT_FALSE(t.dirty());
}

TEST(ConfigTracker, WhatANewSnapshotCannotReadStays) {
  ConfigTracker t = tracker();
  t.felix_configuration("default", document(R"({"spec":{"healthPort":1}})"));
  t.felix_configuration("node.h1", document(R"({"spec":{"metadataPort":2}})"));
  t.cluster_information("default", document(R"({"spec":{"datastoreReady":true}})"));
  t.node("h1", document(R"({"spec":{"bgp":{"ipv4Address":"10.0.0.1/24"}}})"));
  (void)t.evaluate();
  t.clear();
  t.keep_felix_configuration("default");
  t.clear();  // the snapshot was cut short
  t.keep_felix_configuration("default");
  t.keep_felix_configuration("never.seen");
  t.keep_cluster_information("default");
  t.keep_node("h1");
  const Configuration kept = t.evaluate();
  EXPECT_EQ(kept.resolved.integer(P::kHealthPort), 1);
  EXPECT_EQ(kept.resolved.integer(P::kMetadataPort), 8775);  // neither told nor kept
  EXPECT_TRUE(kept.datastore_ready);
  EXPECT_TRUE(kept.host_ip.has_value());
  t.clear();
  EXPECT_EQ(t.evaluate().resolved.integer(P::kHealthPort), 9099);
}

TEST(ConfigTracker, ErrorsOfAnySourceAreReported) {
  ConfigTracker t = tracker({{"felixhostname", "h9"}});
  EXPECT_EQ(t.hostname(), "h9");
  t.felix_configuration("node.h9", document(R"({"spec":{"interfacePrefix":"not good"}})"));
  EXPECT_TRUE(has_errors(t.evaluate().diagnostics));
  t.clear();
  EXPECT_FALSE(has_errors(t.evaluate().diagnostics));
}

}  // namespace
}  // namespace config
