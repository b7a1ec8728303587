// Rendering a host of 1,000 endpoints and 1,000 policies, and one change to it.
#include <benchmark/benchmark.h>

#include "render/iptables/crowded_host.h"
#include "render/iptables/renderer.h"

namespace render::iptables {
namespace {

using namespace support;

std::string source_set(std::size_t i) { return "s:abcdefghijklmnopqrstuvwxyz" + std::to_string(i); }

World host(std::size_t endpoints) {
  World world;
  for (std::size_t i = 0; i < kGroups; ++i) world.policy(group(i), security_group(i, 80, source_set(i)));
  for (std::size_t i = 0; i < endpoints; ++i) world.add(guest(i));
  return world;
}

void full(benchmark::State& state) {
  const World world = host(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    Renderer renderer = Renderer::create(openstack_settings()).value();
    benchmark::DoNotOptimize(renderer.apply(world.snapshot()));
  }
}
BENCHMARK(full)->Arg(100)->Arg(1000)->Unit(benchmark::kMillisecond);

void one_policy(benchmark::State& state) {
  Renderer renderer = Renderer::create(openstack_settings()).value();
  (void)renderer.apply(host(static_cast<std::size_t>(state.range(0))).snapshot());
  std::uint16_t port = 100;
  for (auto _ : state) {
    World change;
    change.policy(group(5), security_group(5, ++port, source_set(5)));
    benchmark::DoNotOptimize(renderer.apply(change.delta()));
  }
}
BENCHMARK(one_policy)->Arg(100)->Arg(1000)->Unit(benchmark::kMicrosecond);

void one_endpoint(benchmark::State& state) {
  Renderer renderer = Renderer::create(openstack_settings()).value();
  (void)renderer.apply(host(static_cast<std::size_t>(state.range(0))).snapshot());
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
