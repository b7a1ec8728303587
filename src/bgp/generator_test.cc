// One scenario per file pair in tests/golden/bgp: NAME.json lists resources and settings, NAME.conf is what must come
// out. UPDATE_GOLDEN=1 rewrites the .conf files; review the difference like code. That BIRD accepts every one of them
// is checked by tests/integration/bgp.
#include "bgp/generator.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "bgp/state.h"
#include "testing/golden.h"

namespace bgp {
namespace {

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

namespace json = boost::json;

std::string text_of(const json::object& object, std::string_view field) {
  const json::value* value = object.if_contains(field);
  return value != nullptr ? json::value_to<std::string>(*value) : std::string();
}

model::Node make_node(const json::object& resource) {
  model::Node node;
  const json::object& metadata = resource.at("metadata").as_object();
  node.has_labels = metadata.contains("labels");
  if (node.has_labels) node.label_texts = json::value_to<std::map<std::string, std::string>>(metadata.at("labels"));
  const json::object& bgp = resource.at("spec").at("bgp").as_object();
  node.has_bgp = true;
  const auto address = [&](std::string_view field) -> std::optional<base::Prefix> {
    if (!bgp.contains(field)) return std::nullopt;
    return *base::parse_interface_cidr(text_of(bgp, field));
  };
  node.bgp_ipv4 = address("ipv4Address");
  node.bgp_ipv6 = address("ipv6Address");
  if (bgp.contains("asNumber")) node.as_number = *parse_as_number(bgp.at("asNumber"));
  node.route_reflector_cluster_id = text_of(bgp, "routeReflectorClusterID");
  return node;
}

model::IpPool make_pool(const json::object& spec) {
  const auto mode = [&](std::string_view field) {
    const std::string text = text_of(spec, field);
    return text == "Always"        ? model::EncapMode::kAlways
           : text == "CrossSubnet" ? model::EncapMode::kCrossSubnet
                                   : model::EncapMode::kNever;
  };
  model::IpPool pool;
  pool.cidr = *base::parse_cidr(text_of(spec, "cidr"));
  pool.ipip = mode("ipipMode");
  pool.vxlan = mode("vxlanMode");
  pool.disable_bgp_export = spec.contains("disableBGPExport") && spec.at("disableBGPExport").as_bool();
  return pool;
}

Settings make_settings(const json::object& object) {
  Settings settings;
  settings.node_name = text_of(object, "node");
  settings.router_id = text_of(object, "routerId");
  settings.log_file = text_of(object, "logFile");
  if (object.contains("hostRoutes")) {
    settings.host_routes = text_of(object, "hostRoutes") == "on" ? HostRouteRule::kOn : HostRouteRule::kOff;
  }
  if (object.contains("address4")) settings.address_v4 = *base::parse_interface_cidr(text_of(object, "address4"));
  if (object.contains("peers")) {
    for (const json::value& peer : object.at("peers").as_array()) {
      settings.peers.push_back({.address = *base::parse_address(text_of(peer.as_object(), "address")),
                                .as_number = *parse_as_number(peer.at("as")),
                                .port = {},
                                .password = text_of(peer.as_object(), "password")});
    }
  }
  return settings;
}

// Throws on bad JSON: the scenario's author made it.
State parse_scenario(std::string_view text) {
  const json::object root = json::parse(text).as_object();
  State state(make_settings(root.at("settings").as_object()));
  static base::Interner interner;
  for (const json::value& entry : root.at("resources").as_array()) {
    const json::object& resource = entry.as_object();
    const std::string kind = text_of(resource, "kind");
    const std::string name = text_of(resource.at("metadata").as_object(), "name");
    const auto document = std::make_shared<const json::object>(resource);
    if (kind == "Node") state.apply(model::NodeChange{{interner.intern(name)}, make_node(resource)});
    if (kind == "IPPool") state.apply(model::IpPoolChange{{name}, make_pool(resource.at("spec").as_object())});
    if (kind == "BGPPeer") state.apply(model::DocumentChange{{model::DocumentKind::kBgpPeer, name}, document});
    if (kind == "BGPConfiguration") {
      state.apply(model::DocumentChange{{model::DocumentKind::kBgpConfiguration, name}, document});
    }
  }
  std::map<SecretRef, std::string> secrets;
  if (root.contains("secrets")) {
    for (const auto& [key, value] : root.at("secrets").as_object()) {
      const std::string_view path = key;
      secrets[{std::string(path.substr(0, path.find('/'))), std::string(path.substr(path.find('/') + 1))}] =
          json::value_to<std::string>(value);
    }
  }
  state.set_secrets(std::move(secrets));
  return state;
}

std::vector<std::filesystem::path> scenarios() {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator("tests/golden/bgp")) {
    if (entry.path().extension() == ".json") found.push_back(entry.path());
  }
  std::ranges::sort(found);
  return found;
}

TEST(Generator, GoldenFiles) {
  ASSERT_FALSE(scenarios().empty());
  for (const std::filesystem::path& path : scenarios()) {
    const Generated generated = generate(parse_scenario(read(path)).inputs());
    const std::filesystem::path golden = std::filesystem::path(path).replace_extension(".conf");
    std::string expected = generated.text;
    for (const model::Diagnostic& d : generated.diagnostics) expected += "# diagnostic: " + model::to_string(d) + "\n";
    for (const model::Diagnostic& d : parse_scenario(read(path)).diagnostics()) {
      expected += "# diagnostic: " + model::to_string(d) + "\n";
    }
    EXPECT_EQ(testing::golden(golden, expected), expected) << path;
  }
}

TEST(Generator, EqualInputsGiveEqualText) {
  for (const std::filesystem::path& path : scenarios()) {
    EXPECT_EQ(generate(parse_scenario(read(path)).inputs()).text, generate(parse_scenario(read(path)).inputs()).text);
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
      {.address = base::IpAddress::v4(0xC0000204), .as_number = 5, .port = {}, .password = evil});
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
