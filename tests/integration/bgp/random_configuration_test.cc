// 10,000 sets of random valid resources, and as many hostile ones as there is time for: BIRD itself must accept what
// the generator makes of each, and nothing that a resource says may become a statement. Needs BIRD, not root.
//
// PERCALE_SEED=N repeats a run.
#include <array>
#include <atomic>
#include <thread>

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bgp/generator.h"
#include "bgp/scenario_fixture.h"
#include "os/files.h"
#include "os/process.h"
#include "testing/rng.h"
#include "testing/temp_directory.h"

namespace bgp {
namespace {

namespace json = boost::json;
using testing::Rng;

constexpr int kValid = 10'000;
constexpr int kHostile = 2'000;
constexpr unsigned kWorkers = 2;
constexpr const char* kNodes[] = {"a", "b", "c", "d", "e"};

// Random resources that the API would accept.
class ResourceMaker {
 public:
  explicit ResourceMaker(Rng& rng) : rng_(rng) {}

  std::vector<json::object> all() {
    std::vector<json::object> made;
    for (std::size_t i = 0; i < std::size(kNodes); ++i) {
      if (i > 0 && rng_.one_in(4)) continue;
      made.push_back(node(i));
    }
    if (!rng_.one_in(4)) made.push_back(configuration("default", true));
    if (rng_.one_in(3)) made.push_back(configuration("node.a", false));
    for (std::uint64_t i = rng_.below(4); i > 0; --i) made.push_back(filter(fmt::format("f{}", i)));
    if (rng_.one_in(5)) made.push_back(filter("long." + std::string(60, 'x')));
    for (std::uint64_t i = rng_.below(7); i > 0; --i) made.push_back(peer(fmt::format("p{}", i)));
    for (std::uint64_t i = rng_.below(5); i > 0; --i) made.push_back(pool(static_cast<int>(i)));
    return made;
  }

  std::string cidr(bool v4, int shortest = 0) {
    if (v4) {
      const auto length = static_cast<std::uint8_t>(rng_.between(shortest, 32));
      const auto address = base::IpAddress::v4(static_cast<std::uint32_t>(rng_.next()));
      return base::to_string(base::Prefix{address, length}.masked());
    }
    std::array<std::uint8_t, 16> bytes{};
    for (std::uint8_t& byte : bytes) byte = rng_.one_in(2) ? 0 : static_cast<std::uint8_t>(rng_.next());
    const auto length = static_cast<std::uint8_t>(rng_.between(shortest, 128));
    return base::to_string(
        base::Prefix{base::IpAddress::from_bytes(base::Family::kIpv6, bytes.data()), length}.masked());
  }

 private:
  template <typename... T>
  std::string one_of(T... words) {
    const std::string list[] = {std::string(words)...};
    return list[rng_.index(sizeof...(T))];
  }
  bool maybe() { return rng_.one_in(3); }

  static json::object resource(std::string_view kind, std::string_view name, json::object spec) {
    return {{"kind", kind}, {"metadata", {{"name", name}}}, {"spec", std::move(spec)}};
  }

  json::value as_number() {
    if (rng_.one_in(4)) return json::value(fmt::format("{}.{}", rng_.below(65536), rng_.between(1, 65535)));
    if (rng_.one_in(2)) return json::value(64512);
    return json::value(rng_.between(1, 4294967295));
  }
  std::string community() {
    return rng_.one_in(2)
               ? fmt::format("{}:{}", rng_.below(65536), rng_.below(65536))
               : fmt::format("{}:{}:{}", rng_.below(1ull << 32), rng_.below(1ull << 32), rng_.below(1ull << 32));
  }
  std::string duration() { return one_of("10s", "1m30s", "500ms", "4h", "0s", "85s"); }
  std::string interface() { return one_of("eth0", "eth*", "*.calico", "a_b-c.d*", "vlan.100", "docker0"); }
  json::object secret() { return {{"secretKeyRef", {{"name", "s"}, {"key", one_of("good", "odd", "none", "bad")}}}}; }
  std::string selector() { return one_of("all()", "rack == '1'", "has(rr)", "!has(rr)", "rack in {'1', '2'}"); }

  json::object node(std::size_t i) {
    json::object bgp;
    if (!rng_.one_in(6)) bgp["ipv4Address"] = fmt::format("192.0.2.{}{}", i + 1, one_of("/24", "/32", "", "/16"));
    if (rng_.one_in(2)) bgp["ipv6Address"] = fmt::format("2001:db8::{}/64", i + 1);
    if (maybe()) bgp["asNumber"] = as_number();
    if (rng_.one_in(4)) bgp["routeReflectorClusterID"] = one_of("10.0.0.1", "10.0.0.2");
    json::object made = resource("Node", kNodes[i], {{"bgp", bgp}});
    json::object labels;
    if (maybe()) labels["rack"] = one_of("1", "2");
    if (maybe()) labels["rr"] = "";
    if (rng_.one_in(8)) labels["node.kubernetes.io/exclude-from-external-load-balancers"] = "true";
    if (!rng_.one_in(3)) made["metadata"].as_object()["labels"] = labels;
    return made;
  }

  json::array blocks() {
    json::array list;
    for (std::uint64_t i = rng_.below(3); i > 0; --i) {
      list.push_back(rng_.one_in(4) ? json::object{} : json::object{{"cidr", cidr(rng_.one_in(2), 8)}});
    }
    return list;
  }

  json::object configuration(const std::string& name, bool global) {
    json::object spec;
    if (maybe()) spec["logSeverityScreen"] = one_of("Debug", "INFO", "Error", "None");
    if (maybe()) spec["listenPort"] = rng_.between(1, 65535);
    if (maybe()) {
      spec["communities"] = json::array{{{"name", "one"}, {"value", community()}}};
      json::array advertisements;
      for (std::uint64_t i = rng_.below(4); i > 0; --i) {
        advertisements.push_back({{"cidr", cidr(rng_.one_in(2))}, {"communities", json::array{"one", community()}}});
      }
      spec["prefixAdvertisements"] = advertisements;
    }
    if (!global) return resource("BGPConfiguration", name, spec);
    if (maybe()) spec["nodeToNodeMeshEnabled"] = rng_.one_in(2);
    if (maybe()) spec["asNumber"] = as_number();
    if (maybe()) spec["bindMode"] = one_of("None", "NodeIP");
    if (maybe()) spec["nodeMeshPassword"] = secret();
    if (maybe()) spec["nodeMeshMaxRestartTime"] = duration();
    if (maybe()) spec["ignoredInterfaces"] = json::array{interface(), interface()};
    if (maybe()) spec["programClusterRoutes"] = one_of("Enabled", "Disabled");
    if (maybe()) spec["ipv4NormalRoutePriority"] = rng_.between(1, 2147483646);
    if (maybe()) spec["ipv6NormalRoutePriority"] = rng_.between(1, 2147483646);
    if (maybe()) spec["serviceClusterIPs"] = blocks();
    if (maybe()) spec["serviceExternalIPs"] = blocks();
    if (maybe()) spec["serviceLoadBalancerIPs"] = blocks();
    if (maybe()) spec["serviceLoadBalancerAggregation"] = one_of("Enabled", "Disabled");
    return resource("BGPConfiguration", name, spec);
  }

  void target(json::object& spec) {
    if (rng_.one_in(3)) {
      spec["peerSelector"] = selector();
      return;
    }
    const bool v4 = rng_.one_in(2);
    const std::string host =
        v4 ? fmt::format("192.0.2.{}", rng_.between(1, 9)) : fmt::format("2001:DB8::{}", rng_.between(1, 9));
    const auto port = rng_.between(1, 65535);
    spec["peerIP"] = rng_.one_in(2) ? host : v4 ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
    spec["asNumber"] = as_number();
    if (maybe()) spec["localASNumber"] = as_number();
    if (maybe()) spec["numAllowedLocalASNumbers"] = rng_.between(0, 255);
    if (maybe()) spec["reachableBy"] = v4 ? "192.0.2.254" : "2001:db8::fe";
  }

  json::object peer(const std::string& name) {
    json::object spec;
    target(spec);
    if (maybe())
      spec["node"] = "a";
    else if (maybe())
      spec["nodeSelector"] = selector();
    if (maybe())
      spec["nextHopMode"] = one_of("Auto", "Self", "Keep");
    else if (maybe())
      spec["keepOriginalNextHop"] = true;
    if (maybe()) spec["sourceAddress"] = one_of("UseNodeIP", "None");
    if (maybe()) spec["password"] = secret();
    if (maybe()) spec["maxRestartTime"] = duration();
    if (maybe()) spec["keepaliveTime"] = duration();
    if (maybe()) spec["ttlSecurity"] = rng_.between(0, 255);
    if (maybe()) spec["reversePeering"] = one_of("Auto", "Manual");
    json::array filters;
    for (std::uint64_t i = rng_.below(3); i > 0; --i)
      filters.emplace_back(one_of("f1", "f2", "f3", "missing", "long." + std::string(60, 'x')));
    if (!filters.empty()) spec["filters"] = filters;
    return resource("BGPPeer", name, spec);
  }

  json::object operation() {
    switch (rng_.below(3)) {
      case 0: return {{"addCommunity", {{"value", community()}}}};
      case 1: return {{"setPriority", {{"value", rng_.between(1, 2147483646)}}}};
      default: break;
    }
    json::array prefix;
    for (auto i = rng_.between(1, 10); i > 0; --i) prefix.push_back(as_number());
    return {{"prependASPath", {{"prefix", prefix}}}};
  }

  json::object rule(bool v4) {
    json::object made{{"action", one_of("Accept", "Reject")}};
    if (rng_.one_in(2)) {
      made["cidr"] = cidr(v4);
      made["matchOperator"] = one_of("Equal", "NotEqual", "In", "NotIn");
      json::object length;
      if (maybe()) length["min"] = rng_.between(0, v4 ? 32 : 128);
      if (maybe()) length["max"] = rng_.between(0, v4 ? 32 : 128);
      if (!length.empty()) made["prefixLength"] = length;
    }
    if (maybe()) made["source"] = "RemotePeers";
    if (maybe()) made["interface"] = rng_.one_in(5) ? std::string("*") : interface();
    if (maybe()) made["peerType"] = one_of("eBGP", "iBGP");
    if (maybe()) made["communities"] = {{"values", json::array{community()}}};
    if (maybe()) made["asPathPrefix"] = json::array{as_number(), as_number()};
    if (maybe()) made["priority"] = rng_.between(1, 2147483646);
    if (made["action"] == "Accept" && rng_.one_in(2)) {
      json::array operations;
      for (auto i = rng_.between(1, 10); i > 0; --i) operations.push_back(operation());
      made["operations"] = operations;
    }
    return made;
  }

  json::object filter(const std::string& name) {
    json::object spec;
    for (const char* list : {"importV4", "exportV4", "importV6", "exportV6"}) {
      json::array rules;
      for (std::uint64_t i = rng_.below(4); i > 0; --i) rules.push_back(rule(list[7] == '4'));
      if (!rules.empty()) spec[list] = rules;
    }
    return resource("BGPFilter", name, spec);
  }

  json::object pool(int i) {
    const bool v4 = !rng_.one_in(3);
    json::object spec{{"cidr", v4 ? fmt::format("10.{}.0.0/16", i) : fmt::format("fd00:{}::/64", i)}};
    if (maybe())
      spec["vxlanMode"] = one_of("Always", "CrossSubnet", "Never");
    else if (v4 && rng_.one_in(2))
      spec["ipipMode"] = one_of("Always", "CrossSubnet", "Never");
    if (maybe()) spec["disableBGPExport"] = rng_.one_in(2);
    return resource("IPPool", fmt::format("pool-{}", i), spec);
  }

  Rng& rng_;
};

// What might end a string, a statement, a block or a line of BIRD's; all hold the word "evil".
std::string hostile_text(Rng& rng) {
  static constexpr std::string_view kStatement = "protocol static evil { ipv4; route 0.0.0.0/0 blackhole; }";
  static constexpr auto kBefore =
      std::to_array<std::string_view>({"", "\"; ", "'; ", "\n", "; ", "} ", "}; }\n", ") ", "*/ ", "#", "\\", "1; ",
                                       "/32 ", "a\n\n", "10.0.0.0/8;", "\r", "\xC3\xA4", "-"});
  static constexpr auto kAfter = std::to_array<std::string_view>({"", " #", " /*", "\n", "\"", "'", " {", "\\"});
  return std::string(rng.pick(kBefore)) + std::string(kStatement) + std::string(rng.pick(kAfter));
}

// Replaces some texts and numbers anywhere in the value.
void spoil(json::value& value, Rng& rng, std::uint64_t one_of) {
  if (json::object* object = value.if_object()) {
    for (auto& member : *object) {
      if (member.key() != "kind") spoil(member.value(), rng, one_of);
    }
    if (rng.one_in(4 * one_of)) (*object)[hostile_text(rng)] = hostile_text(rng);
  } else if (json::array* array = value.if_array()) {
    for (json::value& entry : *array) spoil(entry, rng, one_of);
  } else if (rng.one_in(one_of)) {
    switch (rng.below(5)) {
      case 0: value = static_cast<std::int64_t>(rng.next()); break;
      case 1: value = nullptr; break;
      case 2: value = json::array{hostile_text(rng)}; break;
      default: value = hostile_text(rng); break;
    }
  }
}

Settings random_settings(Rng& rng) {
  Settings settings;
  settings.node_name = "a";
  settings.host_routes = static_cast<HostRouteRule>(rng.below(3));
  settings.bfd.use = static_cast<BfdUse>(rng.below(3));
  settings.bfd.loss = static_cast<BfdLoss>(rng.below(2));
  if (rng.one_in(3)) settings.router_id = rng.one_in(2) ? "hash" : "198.51.100.7";
  if (rng.one_in(4))
    settings.tunnel_networks.push_back({*base::parse_cidr("10.200.0.0/16"), model::EncapMode::kCrossSubnet});
  return settings;
}

std::string configuration_text(std::uint64_t seed, bool hostile) {
  Rng rng(seed);
  scenario::World world(random_settings(rng));
  ResourceMaker maker(rng);
  for (json::object& resource : maker.all()) {
    json::value value(resource);
    if (hostile) spoil(value, rng, 6);
    const std::string name =
        hostile && rng.one_in(5) ? hostile_text(rng) : scenario::text_of(resource.at("metadata").as_object(), "name");
    world.put(
        "/calico/resources/v3/projectcalico.org/" + scenario::plural(scenario::text_of(resource, "kind")) + "/" + name,
        json::serialize(value));
  }
  for (std::uint64_t i = rng.below(4); i > 0; --i) {
    std::string cidr = hostile && rng.one_in(3) ? hostile_text(rng) : maker.cidr(rng.one_in(2), 8);
    std::ranges::replace(cidr, '/', '-');
    static constexpr auto kStates = std::to_array<std::string_view>({"confirmed", "pending", "pendingDeletion", ""});
    world.put_block(cidr, std::string(rng.pick(kStates)));
  }
  world.state().set_secrets({{{"s", "good"}, "secret"},
                             {{"s", "odd"}, "a # b ; c \\ d } ' {"},
                             {{"s", "bad"}, hostile ? hostile_text(rng) : "quote\" newline\n"}});
  world.state().set_tunnel_ready(!rng.one_in(3));
  return generate(world.state().inputs()).text;
}

// Where "evil" stands, unless between the quotes of a password, which may be anything but a quote.
std::string injected_line(const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.find("evil") == line.npos) continue;
    const bool quoted =
        line.starts_with("  password \"") && line.ends_with("\";") && std::ranges::count(line, '"') == 2;
    if (!quoted) return line;
  }
  return "";
}

// Runs `count` configurations through BIRD on all workers; the seeds that failed.
void check_all(int count, std::uint64_t seed, bool hostile) {
  const testing::TempDirectory directory;
  std::atomic<int> next{0};
  std::atomic<int> passed{0};
  std::vector<std::thread> workers;
  std::vector<std::string> problems(kWorkers);
  for (unsigned worker = 0; worker < kWorkers; ++worker) {
    workers.emplace_back([&, worker] {
      const std::string file = directory.file(fmt::format("{}.conf", worker));
      for (int i = next++; i < count && problems[worker].empty(); i = next++) {
        const std::uint64_t own_seed = seed + static_cast<std::uint64_t>(i);
        const std::string text = configuration_text(own_seed, hostile);
        if (const std::string line = injected_line(text); !line.empty())
          problems[worker] = fmt::format("{}: {}", own_seed, line);
        {
          std::ofstream(file) << text;
        }
        const auto outcome = os::run({.arguments = {"bird", "-p", "-c", file}});
        if (!outcome || !outcome->ok())
          problems[worker] = fmt::format("{}: {}", own_seed, outcome ? outcome->errors : outcome.error().text());
        else
          ++passed;
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (const std::string& problem : problems) EXPECT_EQ(problem, "");
  EXPECT_EQ(passed, count);
}

TEST(RandomConfiguration, EveryValidOneParses) { check_all(kValid, testing::pick_seed("valid"), false); }

TEST(RandomConfiguration, NoHostileOneInjects) { check_all(kHostile, testing::pick_seed("hostile"), true); }

// The check itself sees an injection.
TEST(RandomConfiguration, AnInjectionWouldBeSeen) {
  EXPECT_EQ(injected_line("  password \"evil; } #\";\n"), "");
  EXPECT_NE(injected_line("  password \"\"; evil \"\";\n"), "");
  EXPECT_NE(injected_line("a\nprotocol static evil {\n"), "");
}

}  // namespace
}  // namespace bgp
