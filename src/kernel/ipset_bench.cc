// What a change of IP sets costs: the planner and messages alone (fake kernel), and with the real kernel when run as
// root, in a network namespace of its own.
#include <benchmark/benchmark.h>

#include "kernel/bench_namespace.h"
#include "kernel/ipset_fake.h"
#include "kernel/ipset_netlink.h"
#include "kernel/ipset_syncer.h"

namespace {

using kernel::IpSetSyncer;
using reconcile::IpSetMember;

std::vector<IpSetMember> many(std::int64_t count) {
  std::vector<IpSetMember> members;
  for (std::int64_t i = 0; i < count; ++i) {
    members.push_back(
        {.prefix = base::Prefix::host(base::IpAddress::v4(static_cast<std::uint32_t>(0x0A000000 + i * 7)))});
  }
  return members;
}

std::unique_ptr<kernel::NetlinkIpSets> real_kernel(benchmark::State& state) {
  if (!kernel::bench::enter_fresh_namespace()) {
    state.SkipWithError("needs root");
    return nullptr;
  }
  auto opened = kernel::NetlinkIpSets::open();
  if (!opened) {
    state.SkipWithError(opened.error().text().c_str());
    return nullptr;
  }
  return std::move(*opened);
}

void empty_out(kernel::IpSetKernel& kernel) {
  IpSetSyncer nothing(kernel, base::Family::kIpv4);
  (void)nothing.apply_updates();
  while (nothing.apply_deletions().retry) {
  }
}

void one_member(benchmark::State& state, kernel::IpSetKernel& kernel) {
  IpSetSyncer syncer(kernel, base::Family::kIpv4);
  // 1,000 sets, so that finding the changed one is part of the cost.
  for (int i = 0; i < 1000; ++i) syncer.want("cali40s:" + std::to_string(i), {}, {});
  syncer.want("cali40s:big", {}, many(state.range(0)));
  if (!syncer.apply_updates().clean()) state.SkipWithError("cannot fill the sets");
  const std::vector one{IpSetMember{.prefix = *base::parse_cidr_or_address("192.0.2.1")}};
  const std::vector<IpSetMember> none;
  bool present = false;
  for (auto _ : state) {
    syncer.change_members("cali40s:big", present ? none : one, present ? one : none);
    present = !present;
    if (!syncer.apply_updates().clean()) state.SkipWithError("change refused");
  }
  empty_out(kernel);
}

void OneMemberFake(benchmark::State& state) {
  kernel::FakeIpSets kernel;
  one_member(state, kernel);
}
BENCHMARK(OneMemberFake)->Arg(10'000)->Unit(benchmark::kMicrosecond);

void OneMemberReal(benchmark::State& state) {
  if (const auto kernel = real_kernel(state)) one_member(state, *kernel);
}
BENCHMARK(OneMemberReal)->Arg(10'000)->Arg(210'000)->Unit(benchmark::kMicrosecond);

// All members into one set, or spread over many.
void Fill(benchmark::State& state) {
  const auto kernel = real_kernel(state);
  if (!kernel) return;
  const std::vector<IpSetMember> members = many(state.range(0));
  const auto sets = static_cast<std::size_t>(state.range(1));
  for (auto _ : state) {
    IpSetSyncer syncer(*kernel, base::Family::kIpv4);
    const std::size_t each = members.size() / sets;
    for (std::size_t i = 0; i < sets; ++i) {
      syncer.want("cali40s:" + std::to_string(i), {}, std::span(members).subspan(i * each, each));
    }
    if (!syncer.apply_updates().clean()) state.SkipWithError("cannot fill the sets");
    state.PauseTiming();
    empty_out(*kernel);
    state.ResumeTiming();
  }
}
BENCHMARK(Fill)->Args({210'000, 1})->Args({210'000, 2000})->Unit(benchmark::kMillisecond);

// A restart: everything is read and found right.
void Adopt(benchmark::State& state) {
  const auto kernel = real_kernel(state);
  if (!kernel) return;
  const std::vector<IpSetMember> members = many(state.range(0));
  const auto sets = static_cast<std::size_t>(state.range(1));
  const auto want_all = [&](IpSetSyncer& syncer) {
    const std::size_t each = members.size() / sets;
    for (std::size_t i = 0; i < sets; ++i) {
      syncer.want("cali40s:" + std::to_string(i), {}, std::span(members).subspan(i * each, each));
    }
    if (!syncer.apply_updates().clean()) state.SkipWithError("cannot fill the sets");
  };
  IpSetSyncer first(*kernel, base::Family::kIpv4);
  want_all(first);
  for (auto _ : state) {
    IpSetSyncer again(*kernel, base::Family::kIpv4);
    want_all(again);
    if (again.counters().writes != 0) state.SkipWithError("a restart wrote something");
  }
  empty_out(*kernel);
}
BENCHMARK(Adopt)->Args({210'000, 1})->Args({210'000, 2000})->Unit(benchmark::kMillisecond);

}  // namespace
