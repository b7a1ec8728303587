// scenario_fixture.h: for tests only: a scenario file as the generator's state. Resources take the way they take in the
// agent: stored bytes, the decoder, bgp::State.
//
//   {"settings": {…}, "resources": [{"kind": …}], "blocks": {"10.65.3.0-26": "confirmed"}, "secrets": {"name/key": …},
//    "localFile": "its text", "canRefresh": ["Global_192_0_2_1"]}
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include "bgp/local_settings.h"
#include "bgp/state.h"
#include "model/decoder.h"

namespace bgp::scenario {

inline std::string read(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline std::string text_of(const boost::json::object& object, std::string_view field) {
  const boost::json::value* value = object.if_contains(field);
  return value != nullptr ? boost::json::value_to<std::string>(*value) : std::string();
}

inline Settings make_settings(const boost::json::object& object) {
  Settings settings;
  settings.node_name = text_of(object, "node");
  settings.router_id = text_of(object, "routerId");
  settings.log_file = text_of(object, "logFile");
  settings.include_file = text_of(object, "includeFile");
  if (object.contains("hostRoutes")) {
    settings.host_routes = text_of(object, "hostRoutes") == "on" ? HostRouteRule::kOn : HostRouteRule::kOff;
  }
  if (object.contains("address4")) settings.address_v4 = *base::parse_interface_cidr(text_of(object, "address4"));
  if (object.contains("peers")) {
    for (const boost::json::value& peer : object.at("peers").as_array()) {
      settings.peers.push_back({.address = *base::parse_address(text_of(peer.as_object(), "address")),
                                .as_number = *parse_as_number(peer.at("as")),
                                .port = {},
                                .password = {}});
      const std::string secret = text_of(peer.as_object(), "password");
      if (const auto slash = secret.find('/'); slash != secret.npos) {
        settings.peers.back().password = SecretRef{secret.substr(0, slash), secret.substr(slash + 1)};
      }
    }
  }
  if (object.contains("tunnels")) {
    for (const auto& [cidr, mode] : object.at("tunnels").as_object()) {
      settings.tunnel_networks.push_back({*base::parse_cidr(cidr), mode.as_string() == "Always"
                                                                       ? model::EncapMode::kAlways
                                                                       : model::EncapMode::kCrossSubnet});
    }
  }
  const std::string bfd = text_of(object, "bfd");
  settings.bfd.use = bfd == "peers" ? BfdUse::kPeers : bfd == "all" ? BfdUse::kAll : BfdUse::kOff;
  if (text_of(object, "bfdLoss") == "graceful") settings.bfd.loss = BfdLoss::kGraceful;
  return settings;
}

inline std::string plural(const std::string& kind) {
  static const std::map<std::string, std::string> kPlurals = {{"Node", "nodes"},
                                                              {"IPPool", "ippools"},
                                                              {"BGPPeer", "bgppeers"},
                                                              {"BGPConfiguration", "bgpconfigurations"},
                                                              {"BGPFilter", "bgpfilters"}};
  return kPlurals.at(kind);
}

// A scenario as it is filled: put() stores one resource or key.
class World {
 public:
  explicit World(Settings settings)
      : decoder_({.hostname = settings.node_name}, interner_), state_(std::move(settings)) {}

  void put(std::string_view key, std::string_view value) {
    model::Decoder::Output out;
    decoder_.put(key, value, out);
    for (const model::Update& update : out.updates) state_.apply(update);
    decoding_.insert(decoding_.end(), out.diagnostics.begin(), out.diagnostics.end());
  }
  void put(const boost::json::object& resource) {
    put("/calico/resources/v3/projectcalico.org/" + plural(text_of(resource, "kind")) + "/" +
            text_of(resource.at("metadata").as_object(), "name"),
        boost::json::serialize(resource));
  }
  void put_block(std::string_view cidr, const std::string& state) {
    const std::string family = cidr.find(':') == cidr.npos ? "ipv4" : "ipv6";
    put("/calico/ipam/v2/host/" + state_.inputs().settings.node_name + "/" + family + "/block/" + std::string(cidr),
        state.empty() ? "" : R"({"state":")" + state + R"(","deleted":false})");
  }
  State& state() { return state_; }
  // Of the resources by themselves: the decoder's and those of the documents.
  Diagnostics diagnostics() const {
    Diagnostics all = state_.diagnostics();
    all.insert(all.end(), decoding_.begin(), decoding_.end());
    return all;
  }

 private:
  base::Interner interner_;
  model::Decoder decoder_;
  State state_;
  Diagnostics decoding_;
};

// Throws on bad JSON: the scenario's author made it.
inline std::unique_ptr<World> load(std::string_view text) {
  const boost::json::object root = boost::json::parse(text).as_object();
  auto world = std::make_unique<World>(make_settings(root.at("settings").as_object()));
  for (const boost::json::value& entry : root.at("resources").as_array()) world->put(entry.as_object());
  if (root.contains("blocks")) {
    for (const auto& [cidr, state] : root.at("blocks").as_object()) {
      world->put_block(cidr, boost::json::value_to<std::string>(state));
    }
  }
  std::map<SecretRef, std::string> secrets;
  if (root.contains("secrets")) {
    for (const auto& [key, value] : root.at("secrets").as_object()) {
      const std::string_view path = key;
      secrets[{std::string(path.substr(0, path.find('/'))), std::string(path.substr(path.find('/') + 1))}] =
          boost::json::value_to<std::string>(value);
    }
  }
  world->state().set_secrets(std::move(secrets));
  if (root.contains("tunnelReady")) world->state().set_tunnel_ready(root.at("tunnelReady").as_bool());
  if (root.contains("localFile")) world->state().set_local_file(kind_of_local_file(text_of(root, "localFile")));
  if (root.contains("canRefresh")) {
    std::set<std::string> protocols;
    for (const boost::json::value& name : root.at("canRefresh").as_array()) protocols.emplace(name.as_string());
    world->state().set_can_refresh(std::move(protocols));
  }
  return world;
}

inline std::vector<std::filesystem::path> files() {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator("tests/golden/bgp")) {
    if (entry.path().extension() == ".json") found.push_back(entry.path());
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace bgp::scenario
