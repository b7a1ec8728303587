// 250,000 label sets against 60 selectors is what an agent does once at start in the largest cloud.
#include "model/selector.h"

#include <benchmark/benchmark.h>

namespace {

void BM_Evaluate(benchmark::State& state) {
  base::Interner interner;
  std::vector<model::Labels> endpoints;
  for (int i = 0; i < 10'000; ++i) {
    model::Labels labels;
    for (const char* name :
         {"projectcalico.org/namespace", "projectcalico.org/orchestrator", "project", "network", "parent"}) {
      labels.push_back({interner.intern(name), interner.intern("openstack")});
    }
    const std::string group = std::to_string(i % 1000);
    labels.push_back({interner.intern("sg.projectcalico.org/openstack-" + group), interner.intern("g" + group)});
    labels.push_back({interner.intern("sg-name.projectcalico.org/openstack-g" + group), interner.intern(group)});
    model::normalise(labels);
    endpoints.push_back(std::move(labels));
  }
  const auto selector = *model::Selector::parse(
      "projectcalico.org/namespace == 'openstack' && has(sg.projectcalico.org/openstack-7)", interner);
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(selector.matches(endpoints[at]));
    if (++at == endpoints.size()) at = 0;
  }
}
BENCHMARK(BM_Evaluate);

void BM_Parse(benchmark::State& state) {
  base::Interner interner;
  for (auto _ : state) {
    benchmark::DoNotOptimize(model::Selector::parse(
        "(projectcalico.org/namespace == 'openstack') && (has(sg.projectcalico.org/openstack-7))", interner));
  }
}
BENCHMARK(BM_Parse);

}  // namespace
