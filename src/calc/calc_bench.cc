// The workloads of spec felix-agent §6.1 under their names there. The clock runs only while decoded updates are moved
// in, one at a time as the store does, and during the flush; making them is not timed. Heap is what is alive
// afterwards, interned names and selectors included: "heap_MB" with the output dropped, "with_output_MB" while its
// reader still holds it.
#include <malloc.h>

#include <chrono>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "base/symbol.h"
#include "calc/calculator.h"
#include "calc/sets/set_index.h"

namespace calc {
namespace {

constexpr std::string_view kHere = "compute-1";

double heap_mb() {
  const auto info = mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd) / 1e6;
}

std::string numbered(std::string_view text, std::uint64_t n) { return std::string(text) + std::to_string(n); }

// One run: its names, its calculator, its stop watch.
class Bench {
 public:
  explicit Bench(RouteSource routes = RouteSource::kNone)
      : heap_before_(heap_mb()), calculator_(std::string(kHere), routes) {}

  base::Symbol sym(std::string_view text) { return interner_.intern(text); }
  model::Label label(std::string_view name, std::string_view value) { return {sym(name), sym(value)}; }
  model::Selector selector(std::string_view text) { return selectors_.parse(text).value(); }

  // Makes `count` updates with make(i) and moves them in.
  template <typename Make>
  void feed(std::uint64_t count, Make make) {
    constexpr std::uint64_t kBatch = 1000;
    std::vector<model::Update> batch;
    for (std::uint64_t i = 0; i < count; ++i) {
      batch.push_back(make(i));
      if (batch.size() < kBatch && i + 1 < count) continue;
      time([&] {
        for (model::Update& update : batch) calculator_.update(std::move(update));
      });
      batch.clear();
    }
  }

  std::optional<Output> flush() {
    std::optional<Output> output;
    time([&] {
      calculator_.in_sync();
      output = calculator_.flush();
    });
    return output;
  }

  template <typename Work>
  void time(Work work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  void report_snapshot(benchmark::State& state, std::optional<Output> output) {
    const Changes& all = std::get<Snapshot>(*output).all;
    std::size_t members = 0;
    for (const auto& [id, set] : all.sets_created) members += set.members.size();
    state.counters["sets"] = static_cast<double>(all.sets_created.size());
    state.counters["members"] = static_cast<double>(members);
    state.counters["policies"] = static_cast<double>(all.policies.size());
    state.counters["endpoints"] = static_cast<double>(all.workloads.size());
    state.counters["with_output_MB"] = heap_mb() - heap_before_;
  }

  void report(benchmark::State& state) {
    state.SetIterationTime(seconds_);
    state.counters["heap_MB"] = heap_mb() - heap_before_;
  }

 private:
  double heap_before_;
  double seconds_ = 0;
  base::Interner interner_;
  model::SelectorCache selectors_{interner_};
  Calculator calculator_;
};

model::Update workload(Bench& bench, std::uint64_t i, bool local, model::Labels labels, base::Symbol profile) {
  model::WorkloadEndpoint endpoint;
  endpoint.node = bench.sym(local ? kHere : "compute-2");
  endpoint.membership.labels = std::move(labels);
  endpoint.membership.profiles = {profile};
  const auto address = base::IpAddress::v4(0x0A000000u + static_cast<std::uint32_t>(i));
  endpoint.membership.addresses = {address};
  if (local) {
    auto interface = std::make_shared<model::WorkloadInterface>();
    interface->name = numbered("tap", i);
    interface->addresses = {address};
    endpoint.interface = std::move(interface);
  }
  return model::WorkloadEndpointChange{{bench.sym("openstack"), numbered("compute--2-openstack-instance-port", i)},
                                       std::move(endpoint)};
}

model::Rule allow_from(model::Selector selector) {
  model::Rule rule;
  rule.source.selector = std::move(selector);
  return rule;
}

// --- tag policies

constexpr std::uint64_t kMarkers = 31;
// 31 entries, two of them repeated.
std::string marker(std::uint64_t i) { return numbered("marker-", i % kMarkers % 29); }

model::Update tagged_workload(Bench& bench, std::uint64_t i, bool local) {
  model::Labels labels;
  for (const std::uint64_t n : {10u, 11u, 20u, 30u, 40u}) {
    labels.push_back(bench.label(numbered("one-in-", n), std::to_string(i % n)));
  }
  labels.push_back(bench.label(marker(i), "true"));
  model::normalise(labels);
  return workload(bench, i, local, std::move(labels), bench.sym(numbered("kns.namespace-", i % 100)));
}

model::Update namespace_profile(Bench& bench, std::uint64_t i) {
  model::Profile profile;
  profile.labels_to_apply = {bench.label("pcns.name", numbered("namespace-", i))};
  return model::ProfileChange{{bench.sym(numbered("kns.namespace-", i))}, std::move(profile)};
}

void feed_tag_policies(Bench& bench) {
  constexpr std::uint64_t kTotal = 250'000, kLocal = 200;
  bench.feed(10'000, [&](std::uint64_t i) -> model::Update {
    model::Policy policy;
    policy.tier = bench.sym("default");
    policy.order = static_cast<double>(i);
    policy.selector = bench.selector("has(" + marker(i) + ")");
    policy.applies_to_egress = false;
    for (std::uint64_t r = 1; r <= 5; ++r)
      policy.ingress.push_back(allow_from(bench.selector("has(" + marker(i + r) + ")")));
    return model::PolicyChange{{model::PolicyKind::kGlobalNetworkPolicy, {}, bench.sym(numbered("policy-", i))},
                               policy};
  });
  bench.feed(100, [&](std::uint64_t i) { return namespace_profile(bench, i); });
  bench.feed(kTotal - kLocal, [&](std::uint64_t i) { return tagged_workload(bench, i, false); });
  bench.feed(kLocal, [&](std::uint64_t i) { return tagged_workload(bench, kTotal - kLocal + i, true); });
}

// --- network set policies

constexpr std::uint64_t kSetSizes[] = {1, 1, 1, 1, 2, 3, 4, 5, 100, 1000};

void feed_network_sets(Bench& bench, std::uint64_t sets) {
  constexpr std::uint64_t kTotal = 10'000, kLocal = 200;
  std::uint32_t next_net = 0x0B000000u;
  bench.feed(sets, [&](std::uint64_t i) -> model::Update {
    model::NetworkSet set;
    set.labels = {bench.label("network-set-name", numbered("set-", i))};
    for (std::uint64_t n = kSetSizes[i % std::size(kSetSizes)]; n > 0; --n) {
      set.nets.push_back({base::IpAddress::v4(next_net), 28});
      next_net += 16;
    }
    return model::NetworkSetChange{{{}, bench.sym(numbered("set-", i))}, std::move(set)};
  });
  bench.feed(sets, [&](std::uint64_t i) -> model::Update {
    model::Policy policy;
    policy.tier = bench.sym("default");
    policy.order = static_cast<double>(i);
    policy.selector = bench.selector("all()");
    policy.applies_to_egress = false;
    policy.ingress.push_back(allow_from(bench.selector("network-set-name == 'set-" + std::to_string(i) + "'")));
    return model::PolicyChange{{model::PolicyKind::kGlobalNetworkPolicy, {}, bench.sym(numbered("policy-", i))},
                               policy};
  });
  bench.feed(100, [&](std::uint64_t i) { return namespace_profile(bench, i); });
  bench.feed(kTotal, [&](std::uint64_t i) { return tagged_workload(bench, i, i >= kTotal - kLocal); });
}

// --- isolated customers

model::Update customer_workload(Bench& bench, std::uint64_t i, bool local) {
  model::Labels labels;
  labels.push_back(bench.label("projectcalico.org/namespace", numbered("customer-", i)));
  for (const char* unique : {"instance-id", "instance-name", "owner", "order-number"}) {
    labels.push_back(bench.label(unique, numbered(unique, i)));
  }
  for (std::uint64_t n = 0; n < 4; ++n)
    labels.push_back(bench.label(numbered("binary-", n), (i >> n) % 2 ? "true" : "false"));
  for (std::uint64_t n = 0; n < 4; ++n) labels.push_back(bench.label(numbered("few-", n), std::to_string(i % (5 + n))));
  labels.push_back(bench.label("constant", "yes"));
  labels.push_back(bench.label("some", std::to_string(i % 5000)));
  model::normalise(labels);
  return workload(bench, i, local, std::move(labels), bench.sym(numbered("kns.customer-", i)));
}

model::Update customer_profile(Bench& bench, std::uint64_t i) {
  model::Profile profile;
  profile.labels_to_apply = {bench.label("pcns.projectcalico.org/name", numbered("customer-", i)),
                             bench.label("pcns.kind", "customer"), bench.label("pcns.region", std::to_string(i % 10))};
  model::normalise(profile.labels_to_apply);
  return model::ProfileChange{{bench.sym(numbered("kns.customer-", i))}, std::move(profile)};
}

model::Update customer_policy(Bench& bench, std::uint64_t i) {
  const model::Selector same_namespace =
      bench.selector("projectcalico.org/namespace == 'customer-" + std::to_string(i) + "'");
  model::Policy policy;
  policy.tier = bench.sym("default");
  policy.selector = same_namespace;
  policy.ingress.push_back(allow_from(same_namespace));
  model::Rule egress;
  egress.destination.selector = same_namespace;
  policy.egress.push_back(egress);
  model::Rule dns;
  dns.protocol = model::Protocol{bench.sym("udp"), 17};
  dns.destination.nets = {base::Prefix::host(base::IpAddress::v4(0x0A600001u))};
  dns.destination.ports = {{53, 53, {}}};
  policy.egress.push_back(dns);
  return model::PolicyChange{
      {model::PolicyKind::kNetworkPolicy, bench.sym(numbered("customer-", i)), bench.sym("default.isolate")},
      std::move(policy)};
}

void feed_customers(Bench& bench, std::uint64_t customers) {
  bench.feed(customers, [&](std::uint64_t i) { return customer_profile(bench, i); });
  bench.feed(customers, [&](std::uint64_t i) { return customer_policy(bench, i); });
  bench.feed(customers, [&](std::uint64_t i) { return customer_workload(bench, i, i % (customers / 100) == 0); });
}

// --- whole snapshots
// --------------------------------------------------------------------------------------------------------

template <typename Feed>
void snapshot(benchmark::State& state, Feed feed) {
  for (auto _ : state) {
    Bench bench;
    feed(bench);
    bench.report_snapshot(state, bench.flush());
    bench.report(state);
  }
}

// `first` is the number of the first of the 200 local endpoints.
template <typename Feed>
void snapshot_then_delete_local(benchmark::State& state, std::uint64_t first, Feed feed) {
  for (auto _ : state) {
    Bench bench;
    feed(bench);
    bench.report_snapshot(state, bench.flush());
    bench.feed(200, [&](std::uint64_t i) -> model::Update {
      return model::WorkloadEndpointChange{
          {bench.sym("openstack"), numbered("compute--2-openstack-instance-port", first + i)}, std::nullopt};
    });
    bench.flush();
    bench.report(state);
  }
}

void tags(Bench& bench) { feed_tag_policies(bench); }
void thousand_sets(Bench& bench) { feed_network_sets(bench, 1'000); }
void ten_thousand_sets(Bench& bench) { feed_network_sets(bench, 10'000); }

template <typename Run>
void register_snapshot(const char* name, Run run) {
  benchmark::RegisterBenchmark(name, run)->UseManualTime()->Iterations(1)->Unit(benchmark::kSecond);
}

const bool kRegistered = [] {
  register_snapshot("Snapshot200Local250kTotal10000TagPols", [](benchmark::State& s) { snapshot(s, tags); });
  register_snapshot("Snapshot200Local10kTotal1000NetsetPols", [](benchmark::State& s) { snapshot(s, thousand_sets); });
  register_snapshot("Snapshot200Local10kTotal10000NetsetPols",
                    [](benchmark::State& s) { snapshot(s, ten_thousand_sets); });
  register_snapshot("SnapshotThenDeleteLocal200Local250kTotal10000TagPols",
                    [](benchmark::State& s) { snapshot_then_delete_local(s, 249'800, tags); });
  register_snapshot("SnapshotThenDeleteLocal200Local10kTotal1000NetsetPols",
                    [](benchmark::State& s) { snapshot_then_delete_local(s, 9'800, thousand_sets); });
  register_snapshot("SnapshotThenDeleteLocal200Local10kTotal10000NetsetPols",
                    [](benchmark::State& s) { snapshot_then_delete_local(s, 9'800, ten_thousand_sets); });
  const std::pair<const char*, std::uint64_t> isolated[] = {
      {"IsolatedCustomers1k", 1'000}, {"IsolatedCustomers10k", 10'000}, {"IsolatedCustomers100k", 100'000}};
  for (const auto& [name, customers] : isolated) {
    register_snapshot(
        name, [n = customers](benchmark::State& s) { snapshot(s, [n](Bench& bench) { feed_customers(bench, n); }); });
  }
  return true;
}();

// --- single updates

struct IndexBench {
  base::Interner interner;
  model::SelectorCache selectors{interner};
  ProfileLabels profiles;
  HostCensus census;
  SetIndex index{profiles, census};
  Changes sink;

  base::Symbol sym(std::string_view text) { return interner.intern(text); }
  SetRef add_set(std::uint64_t i) {
    return index.acquire(
        selector_set({selectors.parse("alpha == 'beta' && has(ipset-" + std::to_string(i) + ")").value(), {}}));
  }
  model::Membership member(std::uint64_t i, std::uint64_t set) {
    model::Membership m;
    m.labels = {{sym("alpha"), sym("beta")}, {sym(numbered("ipset-", set)), sym("true")}};
    model::normalise(m.labels);
    m.profiles = {sym(numbered("profile-", i))};
    m.addresses = {base::IpAddress::v4(0x0A000000u + static_cast<std::uint32_t>(i))};
    return m;
  }
  void collect() {
    sink = {};
    index.collect(sink);
  }
};

void workload_update(benchmark::State& state) {
  IndexBench bench;
  const auto sets = static_cast<std::uint64_t>(state.range(0));
  for (std::uint64_t i = 0; i < sets; ++i) bench.add_set(i);
  bench.collect();
  std::vector<model::Membership> members;
  for (std::uint64_t i = 0; i < 100'000; ++i) members.push_back(bench.member(i, i % sets));
  std::uint64_t i = 0;
  for (auto _ : state) {
    bench.index.put(model::WorkloadEndpointKey{bench.sym("ns"), numbered("workload-", i)}, bench.sym("node"),
                    members[i % members.size()]);
    ++i;
  }
}
BENCHMARK(workload_update)->Name("WorkloadUpdateSels")->Arg(10)->Arg(100)->Arg(1'000)->Arg(10'000);

void parent_update(benchmark::State& state) {
  IndexBench bench;
  const auto endpoints = static_cast<std::uint64_t>(state.range(0));
  for (std::uint64_t i = 0; i < 100; ++i) {
    bench.index.acquire(
        selector_set({bench.selectors.parse("from-profile == '" + std::to_string(i) + "'").value(), {}}));
  }
  for (std::uint64_t i = 0; i < endpoints; ++i) {
    bench.index.put(model::WorkloadEndpointKey{bench.sym("ns"), numbered("workload-", i)}, bench.sym("node"),
                    bench.member(i, i % 10));
  }
  bench.collect();
  std::uint64_t i = 0;
  for (auto _ : state) {
    const base::Symbol profile = bench.sym(numbered("profile-", i % endpoints));
    const model::Label label{bench.sym("from-profile"), bench.sym(std::to_string(i++ % 101))};
    bench.index.before_profile_change(profile);
    bench.profiles.set(profile, std::span(&label, 1));
    bench.index.after_profile_change(profile);
  }
}
BENCHMARK(parent_update)->Name("ParentUpdates")->Arg(100)->Arg(1'000)->Arg(10'000)->Arg(100'000);

void selector_update(benchmark::State& state) {
  IndexBench bench;
  const auto endpoints = static_cast<std::uint64_t>(state.range(0));
  for (std::uint64_t i = 0; i < endpoints; ++i) {
    bench.index.put(model::WorkloadEndpointKey{bench.sym("ns"), numbered("workload-", i)}, bench.sym("node"),
                    bench.member(i, i % 10));
  }
  std::uint64_t i = 0;
  for (auto _ : state) {
    const SetRef set = bench.add_set(i++ % 10);
    bench.collect();
    bench.index.release(set);
    bench.collect();
  }
}
BENCHMARK(selector_update)
    ->Name("SelectorUpdates")
    ->Arg(100)
    ->Arg(1'000)
    ->Arg(10'000)
    ->Arg(100'000)
    ->Unit(benchmark::kMicrosecond);

// A host that makes the routes to every guest of the cloud itself (VXLAN with OpenStack); beside it, in the same run,
// one that leaves them to BIRD. What a route costs is the difference.
void routes_to_guests(benchmark::State& state, RouteSource source) {
  constexpr std::uint64_t kNodes = 1'000, kGuests = 50'000;
  for (auto _ : state) {
    Bench bench(source);
    bench.feed(1, [](std::uint64_t) -> model::Update {
      model::IpPool pool;
      pool.cidr = base::Prefix{base::IpAddress::v4(0x0A000000u), 8};
      pool.vxlan = model::EncapMode::kAlways;
      return model::IpPoolChange{{"guests"}, pool};
    });
    bench.feed(kNodes, [&](std::uint64_t i) -> model::Update {
      model::Node node;
      node.bgp_ipv4 = base::Prefix{base::IpAddress::v4(0xAC100000u + static_cast<std::uint32_t>(i)), 16};
      node.host_ipv4 = node.bgp_ipv4->address;
      return model::NodeChange{{bench.sym(numbered("node-", i))}, std::move(node)};
    });
    bench.feed(kGuests, [&](std::uint64_t i) {
      model::Update update = workload(bench, i, false, {}, bench.sym("none"));
      std::get<model::WorkloadEndpointChange>(update).value->node = bench.sym(numbered("node-", i % kNodes));
      return update;
    });
    state.counters["routes"] = static_cast<double>(std::get<Snapshot>(*bench.flush()).all.routes.size());
    bench.report(state);
  }
}
BENCHMARK_CAPTURE(routes_to_guests, made_here, RouteSource::kWorkloads)
    ->Name("Routes50kMadeHere")
    ->Iterations(1)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(routes_to_guests, left_to_bird, RouteSource::kNone)
    ->Name("Routes50kLeftToBird")
    ->Iterations(1)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

// One changed object through the whole calculation, update and flush, in a cloud of 10,000 endpoints in 1,000 groups.
void whole_path(benchmark::State& state, bool policy) {
  Bench bench;
  constexpr std::uint64_t kGroups = 1'000;
  const auto group_policy = [&](std::uint64_t g, double order) -> model::Update {
    model::Policy p;
    p.tier = bench.sym("default");
    p.order = order;
    p.selector = bench.selector("has(sg-" + std::to_string(g) + ")");
    p.ingress.push_back(allow_from(bench.selector("has(sg-" + std::to_string(g) + ")")));
    if (order < 0) p.ingress.push_back(allow_from(bench.selector("has(sg-" + std::to_string((g + 1) % kGroups) + ")")));
    return model::PolicyChange{
        {model::PolicyKind::kNetworkPolicy, bench.sym("openstack"), bench.sym(numbered("sg-", g))}, p};
  };
  const auto member = [&](std::uint64_t i, std::uint64_t g) {
    return workload(bench, i, i < 100, {bench.label(numbered("sg-", g % kGroups), "true")}, bench.sym("none"));
  };
  bench.feed(kGroups, [&](std::uint64_t g) { return group_policy(g, 1000); });
  bench.feed(10'000, [&](std::uint64_t i) { return member(i, i); });
  bench.flush();
  std::uint64_t i = 0;
  for (auto _ : state) {
    state.PauseTiming();
    const std::uint64_t round = i / 100;
    model::Update update =
        policy ? group_policy(i % 100, round % 2 ? 1000 : -1) : member(5000 + i % 100, i % 100 + round % 2);
    ++i;
    state.ResumeTiming();
    bench.feed(1, [&](std::uint64_t) { return std::move(update); });
    benchmark::DoNotOptimize(bench.flush());
  }
}
BENCHMARK_CAPTURE(whole_path, policy, true)->Name("ChangeOnePolicy")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(whole_path, member, false)->Name("ChangeOneRemoteEndpoint")->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace calc
