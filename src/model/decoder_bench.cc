// What the start of an agent in a large cloud is made of: endpoints of other hosts as Neutron writes them, about 1 KB
// each.
#include "model/decoder.h"

#include <random>

#include <benchmark/benchmark.h>
#include <fmt/core.h>

namespace {

struct KeyValue {
  std::string key, value;
};

// As in Neutron's driver: python's separators, labels for project, network and two groups.
KeyValue endpoint(int i, std::string_view host) {
  const std::string port = fmt::format("{:08x}-aaaa-4bbb-8ccc-{:012}", 0x10000000 + i, i);
  std::string escaped;
  for (const char c : port) escaped += c == '-' ? std::string("--") : std::string(1, c);
  const std::string name = fmt::format("{}-openstack-vm{}-{}", host, i, escaped);
  std::string labels = fmt::format(
      "\"projectcalico.org/namespace\": \"openstack\", \"projectcalico.org/orchestrator\": \"openstack\", "
      "\"projectcalico.org/openstack-project-id\": \"p{}\", \"projectcalico.org/openstack-network-name\": \"net\"",
      i % 50);
  for (const int group : {i % 1000, (i * 7 + 1) % 1000}) {
    labels += fmt::format(
        ", \"sg.projectcalico.org/openstack-5e6a0000-0000-4000-8000-{0:012}\": \"g{0}\", "
        "\"sg-name.projectcalico.org/openstack-g{0}\": \"5e6a0000-0000-4000-8000-{0:012}\"",
        group);
  }
  return {"/calico/resources/v3/projectcalico.org/workloadendpoints/openstack/" + name,
          fmt::format(
              "{{\"kind\": \"WorkloadEndpoint\", \"apiVersion\": \"projectcalico.org/v3\", \"metadata\": {{\"name\": "
              "\"{}\", \"creationTimestamp\": \"2026-01-31T09:00:00Z\", \"uid\": "
              "\"{:08x}-0000-4000-8000-000000000000\", \"namespace\": \"openstack\", \"labels\": {{{}}}}}, \"spec\": "
              "{{\"orchestrator\": \"openstack\", \"workload\": \"vm{}\", \"node\": \"{}\", \"endpoint\": \"{}\", "
              "\"interfaceName\": \"tap{}\", \"mac\": \"fa:16:3e:00:{:02x}:{:02x}\", \"ipNetworks\": "
              "[\"10.{}.{}.{}/32\"], \"allowedIps\": [], \"ipv4Gateway\": \"169.254.1.1\"}}}}",
              name, i, labels, i, host, port, port.substr(0, 11), i >> 8 & 255, i & 255, i / 62500, i / 250 % 250,
              i % 250 + 2)};
}

void BM_RemoteEndpoint(benchmark::State& state) {
  std::vector<KeyValue> items;
  for (int i = 0; i < 1000; ++i) items.push_back(endpoint(i, "r" + std::to_string(i % 200)));
  base::Interner interner;
  model::Decoder decoder({.hostname = "h1", .allow_source_spoofing = false}, interner);
  model::Decoder::Output out;
  std::size_t at = 0, bytes = 0;
  for (auto _ : state) {
    const KeyValue& item = items[at++ % items.size()];
    decoder.put(item.key, item.value, out);
    bytes += item.value.size();
    if (out.updates.size() >= 100) out.updates.clear();
  }
  if (!out.diagnostics.empty()) state.SkipWithError("diagnostics");
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}
BENCHMARK(BM_RemoteEndpoint);

void BM_LocalEndpoint(benchmark::State& state) {
  const KeyValue item = endpoint(7, "h1");
  base::Interner interner;
  model::Decoder decoder({.hostname = "h1", .allow_source_spoofing = false}, interner);
  model::Decoder::Output out;
  for (auto _ : state) {
    decoder.put(item.key, item.value, out);
    out.updates.clear();
  }
}
BENCHMARK(BM_LocalEndpoint);

// A security group with four rules in and two out; every group has a selector of its own.
void BM_GroupPolicy(benchmark::State& state) {
  base::Interner interner;
  model::Decoder decoder({.hostname = "h1", .allow_source_spoofing = false}, interner);
  model::Decoder::Output out;
  int group = 0;
  for (auto _ : state) {
    const std::string id = fmt::format("5e6a0000-0000-4000-8000-{:012}", group++ % 2000);
    const std::string value = fmt::format(
        "{{\"kind\": \"NetworkPolicy\", \"apiVersion\": \"projectcalico.org/v3\", \"metadata\": {{\"name\": "
        "\"ossg.default.{0}\", "
        "\"namespace\": \"openstack\"}}, \"spec\": {{\"ingress\": [{{\"action\": \"Allow\", \"ipVersion\": 4, "
        "\"source\": "
        "{{\"selector\": \"has(sg.projectcalico.org/openstack-{0})\"}}}}, {{\"action\": \"Allow\", \"ipVersion\": 4, "
        "\"protocol\": 6, \"destination\": {{\"ports\": [22]}}, \"source\": {{\"nets\": [\"10.0.0.0/16\"]}}}}, "
        "{{\"action\": "
        "\"Allow\", \"ipVersion\": 4, \"protocol\": 6, \"destination\": {{\"ports\": [\"8000:8001\"]}}}}, "
        "{{\"action\": "
        "\"Allow\", \"ipVersion\": 4, \"protocol\": \"ICMP\"}}], \"egress\": [{{\"action\": \"Allow\", \"ipVersion\": "
        "4}}, "
        "{{\"action\": \"Allow\", \"ipVersion\": 6}}], \"selector\": \"has(sg.projectcalico.org/openstack-{0})\"}}}}",
        id);
    decoder.put("/calico/resources/v3/projectcalico.org/networkpolicies/openstack/ossg.default." + id, value, out);
    out.updates.clear();
  }
}
BENCHMARK(BM_GroupPolicy);

}  // namespace
