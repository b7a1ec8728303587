// How long a resync takes, and what memory the bridge needs: neutron_resync_bench [PORTS [GROUPS]].
//
// The shim's answers are prepared as text, so that the figures are the bridge's and etcd's; what the shim took is
// printed apart.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "bridge_process.h"
#include "etcd_server.h"
#include "fake_neutron.h"

namespace {

using namespace neutron_test;

FakeNeutron make_cloud(int ports, int groups) {
  FakeNeutron neutron;
  neutron.put(neutron.projects, "project", {{"name", "shop"}, {"parent_id", "default"}});
  for (int i = 0; i < 20; ++i) {
    const std::string n = std::to_string(i);
    neutron.put(neutron.networks, "net" + n, make_network("net" + n, "network " + n));
    neutron.put(neutron.subnets, "sub" + n, make_subnet("sub" + n, "net" + n, "10.65.0.1"));
  }
  for (int i = 0; i < groups; ++i) {
    json::array rules;
    for (int r = 0; r < 10; ++r) {
      rules.push_back(json::object{{"id", std::to_string(r)},
                                   {"direction", r % 2 == 0 ? "ingress" : "egress"},
                                   {"ethertype", "IPv4"},
                                   {"protocol", "tcp"},
                                   {"port_range_min", 1000 + r},
                                   {"port_range_max", 1000 + r},
                                   {"remote_ip_prefix", "10.0.0.0/8"}});
    }
    const std::string id = "group-" + std::to_string(i);
    neutron.put(neutron.security_groups, id, make_group(id, "name " + std::to_string(i), std::move(rules)));
  }
  for (int i = 0; i < ports; ++i) {
    char id[64];
    std::snprintf(id, sizeof(id), "%08x-1111-4222-8333-444455556666", static_cast<unsigned>(i));
    const std::string n = std::to_string(i % 20);
    const std::string ip = "10.65." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 2);
    neutron.put(neutron.ports, id,
                make_port(id, "compute-" + std::to_string(i % 200),
                          {{"network_id", "net" + n},
                           {"device_id", "device-" + std::string(id)},
                           {"status", "DOWN"},
                           {"fixed_ips", json::array{json::object{{"subnet_id", "sub" + n}, {"ip_address", ip}}}},
                           {"security_groups", json::array{"group-" + std::to_string(i % groups),
                                                           "group-" + std::to_string((i * 7) % groups)}}}));
  }
  return neutron;
}

// Every answer that a resync will ask for.
std::map<std::string, std::string> prepare(const FakeNeutron& neutron) {
  std::map<std::string, std::string> answers;
  for (const auto* kind : {"subnets", "address_groups", "security_groups", "ports"}) {
    std::string after;
    while (true) {
      json::object spec{{"kind", kind}, {"limit", 500}};
      if (!after.empty()) spec["after"] = after;
      const json::value answer = neutron.read(spec);
      answers.emplace(std::string(kind) + "/" + after, json::serialize(answer));
      if (!answer.at("more").as_bool()) break;
      after = std::string(neutron::text(answer.at(kind).as_array().back().as_object(), "id"));
    }
  }
  return answers;
}

void print(const char* name, const json::object& result, const BridgeProcess& bridge) {
  std::printf(
      "%-8s ok %s  total %lld ms  shim %lld ms  differences %zu  resident %ld MiB  peak %ld MiB\n", name,
      result.at("ok").as_bool() ? "yes" : "NO", static_cast<long long>(result.at("total_ms").to_number<std::int64_t>()),
      static_cast<long long>(result.at("neutron_ms").to_number<std::int64_t>()),
      result.at("differences").as_array().size(), bridge.memory_kib("VmRSS") / 1024, bridge.memory_kib("VmHWM") / 1024);
}

}  // namespace

int main(int argc, char** argv) {
  const int ports = argc > 1 ? std::atoi(argv[1]) : 10000;
  const int groups = argc > 2 ? std::atoi(argv[2]) : 1000;
  const FakeNeutron neutron = make_cloud(ports, groups);
  const auto answers = prepare(neutron);
  const store_test::EtcdServer etcd;
  const BridgeProcess bridge(etcd.url(), "resync_interval_secs = 0\n");
  const FakeWorker worker(bridge.socket(), 4, [&](const json::object& call) -> std::optional<std::string> {
    if (call.at("call") != "list") return "{}";
    const json::object& spec = call.at("spec").as_object();
    const auto found =
        answers.find(std::string(neutron::text(spec, "kind")) + "/" + std::string(neutron::text(spec, "after")));
    if (found != answers.end() && !spec.contains("ids")) return found->second;
    return json::serialize(neutron.read(spec));
  });
  std::printf("%d ports, %d security groups\n", ports, groups);
  json::object cold;  // the one at start
  while (true) {
    int status = 0;
    cold = bridge.ask("GET", "/v1/resync", {}, &status);
    if (status == 200) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  print("cold", cold, bridge);
  bool good = cold.at("ok").as_bool();
  for (int i = 0; i < 3; ++i) {
    const json::object steady = bridge.ask("POST", "/v1/resync");
    print("steady", steady, bridge);
    good = good && steady.at("ok").as_bool() && steady.at("differences").as_array().empty();
  }
  return good ? 0 : 1;
}
