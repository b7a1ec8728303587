// What changes of rules cost on a host of N guests and 1,000 groups with the real programs, as root in a network
// namespace of its own. Time is from the change to "done"; the counter cpu_ms adds this process and its children.
#include <sys/resource.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>

#include <benchmark/benchmark.h>

#include "kernel/bench_namespace.h"
#include "kernel/ipset_netlink.h"
#include "kernel/ipset_syncer.h"
#include "kernel/iptables_syncer.h"
#include "os/event_loop.h"
#include "render/iptables/crowded_host.h"
#include "render/iptables/renderer.h"

namespace {

using namespace render::iptables::support;
using kernel::FlavourSetting;
using kernel::IpSetSyncer;
using kernel::IptablesSyncer;
using reconcile::IpSetType;
using render::iptables::kTables;
using render::iptables::RenderChanges;
using render::iptables::Renderer;
using render::iptables::Table;

double cpu_milliseconds() {
  double total = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    ::getrusage(who, &usage);
    for (const timeval& time : {usage.ru_utime, usage.ru_stime}) {
      total += static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
    }
  }
  return total;
}

// Both families' rules of one host, in the namespace the thread is in.
class Host {
 public:
  explicit Host(FlavourSetting flavour)
      : programs_(kernel::find_iptables(flavour, kernel::system_programs()).value()),
        renderer_(Renderer::create(openstack_settings()).value()),
        tool4_(kernel::make_process_iptables(
            loop_,
            {.save_program = programs_.save4, .restore_program = programs_.restore4, .flavour = programs_.flavour})),
        tool6_(kernel::make_process_iptables(
            loop_,
            {.save_program = programs_.save6, .restore_program = programs_.restore6, .flavour = programs_.flavour})),
        v4_(loop_, *tool4_, log_, {.family = base::Family::kIpv4, .planner = {}}, hooks()),
        v6_(loop_, *tool6_, log_, {.family = base::Family::kIpv6, .planner = {}}, hooks()) {}

  // With the sets that the rules name, empty.
  RenderChanges populate(std::size_t guests) {
    World world;
    for (std::size_t i = 0; i < kGroups; ++i) world.policy(group(i), security_group(i, 80));
    for (std::size_t i = 0; i < guests; ++i) world.add(guest(i));
    RenderChanges changes = renderer_.apply(world.snapshot());
    const auto kernel = kernel::NetlinkIpSets::open().value();
    for (const base::Family family : render::kFamilies) {
      IpSetSyncer sets(*kernel, family);
      for (const auto& [name, set] : changes[family].sets.created) {
        sets.want(name, {.type = set.kind == render::SetKind::kIp ? IpSetType::kHashIp : IpSetType::kHashNet}, {});
      }
      good_ = sets.apply_updates().clean() && good_;
    }
    return changes;
  }

  RenderChanges render(const World& change) { return renderer_.apply(change.delta()); }

  // Until both families are done.
  void apply(const RenderChanges& changes) {
    v4_.update(changes.v4.tables);
    v6_.update(changes.v6.tables);
    int left = 2;
    const auto done = [&](const kernel::ApplyReport& report) {
      good_ = report.clean() && good_;
      if (--left == 0) loop_.stop();
    };
    v4_.apply(done);
    v6_.apply(done);
    loop_.run();
  }

  void read_back() {
    v4_.request_read_back();
    v6_.request_read_back();
    apply({});
  }

  // Lets timers and dying children have their turn, outside what is measured.
  void rest() {
    loop_.after(std::chrono::milliseconds(100), [&] { loop_.stop(); });
    loop_.run();
  }

  bool good() const { return good_; }

 private:
  IptablesSyncer::Hooks hooks() {
    IptablesSyncer::Hooks hooks;
    for (const Table table : kTables) hooks[table] = renderer_.hooks(table);
    return hooks;
  }

  os::EventLoop loop_;
  base::NullLog log_;
  kernel::IptablesPrograms programs_;
  Renderer renderer_;
  std::unique_ptr<kernel::IptablesTool> tool4_;
  std::unique_ptr<kernel::IptablesTool> tool6_;
  IptablesSyncer v4_;
  IptablesSyncer v6_;
  bool good_ = true;
};

constexpr std::int64_t kNft = 0;
constexpr std::int64_t kLegacy = 1;

// Arguments of every benchmark: flavour, guests.
void hosts(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"legacy", "guests"})->ArgsProduct({{kNft, kLegacy}, {100, 1000}});
  bench->Unit(benchmark::kMillisecond)->UseRealTime();
}

std::unique_ptr<Host> fresh_host(benchmark::State& state) {
  // A lock of its own: the common one is shared with every namespace of the machine.
  static const std::string lock = "/tmp/percale-kernel-bench." + std::to_string(::getpid());
  ::setenv("XTABLES_LOCKFILE", lock.c_str(), 1);
  std::unique_ptr<Host> host;
  if (kernel::bench::enter_fresh_namespace()) {
    host = std::make_unique<Host>(state.range(0) == kNft ? FlavourSetting::kNft : FlavourSetting::kLegacy);
  } else {
    state.SkipWithError("needs root");
  }
  return host;
}

void run(benchmark::State& state, Host& host, const std::function<void()>& step) {
  double cpu = 0;
  for (auto _ : state) {
    const double before = cpu_milliseconds();
    step();
    cpu += cpu_milliseconds() - before;
    state.PauseTiming();
    host.rest();
    state.ResumeTiming();
  }
  state.counters["cpu_ms"] = benchmark::Counter(cpu, benchmark::Counter::kAvgIterations);
  if (!host.good()) state.SkipWithError("something was refused");
}

void IptablesFirst(benchmark::State& state) {
  auto host = fresh_host(state);
  if (!host) return;
  const RenderChanges everything = host->populate(static_cast<std::size_t>(state.range(1)));
  run(state, *host, [&] { host->apply(everything); });
}
BENCHMARK(IptablesFirst)->Apply(hosts)->Iterations(1);

void IptablesPolicy(benchmark::State& state) {
  auto host = fresh_host(state);
  if (!host) return;
  host->apply(host->populate(static_cast<std::size_t>(state.range(1))));
  std::uint16_t port = 1000;
  run(state, *host, [&] {
    World change;
    change.policy(group(1), security_group(1, ++port));
    host->apply(host->render(change));
  });
}
BENCHMARK(IptablesPolicy)->Apply(hosts)->Iterations(20);

void IptablesGuest(benchmark::State& state) {
  auto host = fresh_host(state);
  if (!host) return;
  auto next = static_cast<std::size_t>(state.range(1));
  host->apply(host->populate(next));
  run(state, *host, [&] {
    World change;
    change.add(guest(next++));
    host->apply(host->render(change));
  });
}
BENCHMARK(IptablesGuest)->Apply(hosts)->Iterations(20);

void IptablesReadBack(benchmark::State& state) {
  auto host = fresh_host(state);
  if (!host) return;
  host->apply(host->populate(static_cast<std::size_t>(state.range(1))));
  run(state, *host, [&] { host->read_back(); });
}
BENCHMARK(IptablesReadBack)->Apply(hosts)->Iterations(3);

}  // namespace
