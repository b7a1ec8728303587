// One scenario per file pair in tests/golden/bgp: NAME.json lists resources and settings, NAME.conf is what must come
// out. UPDATE_GOLDEN=1 rewrites the .conf files; review the difference like code. That BIRD accepts every one of them
// is checked by tests/integration/bgp.
#include "bgp/generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "bgp/scenario_fixture.h"
#include "testing/golden.h"

namespace bgp {
namespace {

TEST(Generator, GoldenFiles) {
  ASSERT_FALSE(scenario::files().empty());
  for (const std::filesystem::path& path : scenario::files()) {
    const auto world = scenario::load(scenario::read(path));
    const Generated generated = generate(world->state().inputs());
    const std::filesystem::path golden = std::filesystem::path(path).replace_extension(".conf");
    std::string expected = generated.text;
    for (const model::Diagnostic& d : generated.diagnostics) expected += "# diagnostic: " + model::to_string(d) + "\n";
    for (const model::Diagnostic& d : world->diagnostics()) expected += "# diagnostic: " + model::to_string(d) + "\n";
    EXPECT_EQ(testing::golden(golden, expected), expected) << path;
  }
}

TEST(Generator, EqualInputsGiveEqualText) {
  for (const std::filesystem::path& path : scenario::files()) {
    const std::string text = scenario::read(path);
    EXPECT_EQ(generate(scenario::load(text)->state().inputs()).text,
              generate(scenario::load(text)->state().inputs()).text);
  }
}

TEST(Generator, HashedRouterIdIsUpstreams) {
  EXPECT_EQ(base::to_string(hashed_router_id("kube-master")), "25.79.212.8");
}

TEST(Generator, ResourcesCannotAddStatements) {
  Settings settings;
  settings.node_name = "a";
  State state(settings);
  const std::string evil = "x\"; protocol static evil { ipv4; route 0.0.0.0/0 blackhole; } #";
  const auto put = [&](model::DocumentKind kind, std::string name, boost::json::object spec) {
    state.apply(model::DocumentChange{
        {kind, std::move(name)},
        std::make_shared<const boost::json::object>(boost::json::object{{"spec", std::move(spec)}})});
  };
  put(model::DocumentKind::kBgpConfiguration, "default",
      {{"ignoredInterfaces", boost::json::array{evil}},
       {"logSeverityScreen", evil},
       {"bindMode", evil},
       {"asNumber", evil},
       {"nodeMeshPassword", {{"secretKeyRef", {{"name", "s"}, {"key", "k"}}}}}});
  put(model::DocumentKind::kBgpPeer, evil, {{"peerIP", "192.0.2.1"}, {"asNumber", 1}});
  put(model::DocumentKind::kBgpPeer, "p", {{"peerIP", "192.0.2.1 " + evil}, {"asNumber", 1}});
  put(model::DocumentKind::kBgpPeer, "q", {{"peerIP", "192.0.2.2"}, {"asNumber", evil}, {"nextHopMode", evil}});
  put(model::DocumentKind::kBgpPeer, "r",
      {{"peerIP", "192.0.2.3"}, {"asNumber", 1}, {"password", {{"secretKeyRef", {{"name", "s"}, {"key", "k"}}}}}});
  state.set_secrets({{{"s", "k"}, evil}});
  Inputs inputs = state.inputs();
  model::Node node;
  node.bgp_ipv4 = *base::parse_interface_cidr("192.0.2.9/24");
  node.route_reflector_cluster_id = evil;
  inputs.nodes["a"] = node;
  inputs.nodes[evil] = node;
  inputs.settings.router_id = evil;
  inputs.settings.log_file = evil;
  inputs.settings.workload_prefixes = {"tap", evil};
  inputs.settings.peers.push_back(
      {.address = base::IpAddress::v4(0xC0000204), .as_number = 5, .port = {}, .password = SecretRef{"s", "k"}});
  const Generated generated = generate(inputs);
  EXPECT_THAT(generated.text, testing::Not(testing::HasSubstr("evil")));
  EXPECT_THAT(generated.text, testing::HasSubstr("protocol bgp Global_192_0_2_1 from"));
  EXPECT_THAT(generated.text, testing::Not(testing::HasSubstr("192.0.2.3")));
  for (const model::Diagnostic& d : generated.diagnostics) EXPECT_EQ(d.text.find("blackhole"), d.text.npos) << d.text;
}

TEST(Generator, TextsAreComparedNotNumbers) {
  const auto passive = [](std::string_view own, std::string_view other) {
    Inputs inputs;
    inputs.settings.node_name = "a";
    inputs.nodes["a"].bgp_ipv4 = base::Prefix::host(*base::parse_address(own));
    inputs.nodes["b"].bgp_ipv4 = base::Prefix::host(*base::parse_address(other));
    return generate(inputs).text.find("passive on") != std::string::npos;
  };
  EXPECT_TRUE(passive("10.24.0.10", "10.24.0.2"));
  EXPECT_FALSE(passive("10.24.0.2", "10.24.0.10"));
}

}  // namespace
}  // namespace bgp
