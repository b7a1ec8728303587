// Rendering a host of 1,000 endpoints and 1,000 policies, and one change to it.
#include <benchmark/benchmark.h>

#include "render/iptables/renderer.h"
#include "render/iptables/test_support.h"

namespace render::iptables {
namespace {

using namespace support;

model::PolicyKey group(std::size_t i) { return World::policy_key("openstack", "ossg.default." + std::to_string(i)); }

calc::ActivePolicy security_group(std::size_t i, std::uint16_t port) {
  calc::ActivePolicy policy;
  policy.tier = World::symbol("default");
  policy.selector = "has(sg.projectcalico.org/openstack-" + std::to_string(i) + ")";
  for (std::uint16_t n = 0; n < 4; ++n) {
    calc::Rule tcp = rule(model::RuleAction::kAllow, "tcp");
    tcp.ip_version = Family::kIpv4;
    tcp.destination.ports = {{static_cast<std::uint16_t>(port + n), static_cast<std::uint16_t>(port + n)}};
    tcp.source.sets = {"s:abcdefghijklmnopqrstuvwxyz" + std::to_string(i)};
    policy.ingress.push_back(tcp);
  }
  policy.egress = {rule(model::RuleAction::kAllow)};
  return policy;
}

World host(std::size_t endpoints, std::size_t policies) {
  World world;
  for (std::size_t i = 0; i < policies; ++i) world.policy(group(i), security_group(i, 80));
  for (std::size_t i = 0; i < endpoints; ++i) {
    char name[16];
    std::snprintf(name, sizeof(name), "tap%08zx-%02zx", i * 2654435761u % 0xffffffffu, i % 256);
    const std::vector keys{group(i % policies), group((i * 7 + 1) % policies)};
    world.add(World::workload(name, {World::tier("default", keys, keys)}));
  }
  return world;
}

void full(benchmark::State& state) {
  const World world = host(static_cast<std::size_t>(state.range(0)), 1000);
  for (auto _ : state) {
    Renderer renderer = Renderer::create(openstack_settings()).value();
    benchmark::DoNotOptimize(renderer.apply(world.snapshot()));
  }
}
BENCHMARK(full)->Arg(100)->Arg(1000)->Unit(benchmark::kMillisecond);

void one_policy(benchmark::State& state) {
  Renderer renderer = Renderer::create(openstack_settings()).value();
  (void)renderer.apply(host(static_cast<std::size_t>(state.range(0)), 1000).snapshot());
  std::uint16_t port = 100;
  for (auto _ : state) {
    World change;
    change.policy(group(5), security_group(5, ++port));
    benchmark::DoNotOptimize(renderer.apply(change.delta()));
  }
}
BENCHMARK(one_policy)->Arg(100)->Arg(1000)->Unit(benchmark::kMicrosecond);

void one_endpoint(benchmark::State& state) {
  Renderer renderer = Renderer::create(openstack_settings()).value();
  (void)renderer.apply(host(static_cast<std::size_t>(state.range(0)), 1000).snapshot());
  World add;
  add.add(World::workload("tapzzzzzzzz-zz", {World::tier("default", {group(1), group(2)}, {group(1), group(2)})}));
  World remove;
  remove.changes.workloads_removed = {World::workload_key("tapzzzzzzzz-zz")};
  for (auto _ : state) {
    benchmark::DoNotOptimize(renderer.apply(add.delta()));
    benchmark::DoNotOptimize(renderer.apply(remove.delta()));
  }
}
BENCHMARK(one_endpoint)->Arg(100)->Arg(1000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace render::iptables
