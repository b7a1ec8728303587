// What changes cost on a host of N endpoints and 1,000 groups, children included. On demand:
//   iptables_integration_test --gtest_also_run_disabled_tests --gtest_filter='*Cost*'
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include <gtest/gtest.h>

#include "kernel/iptables_syncer.h"
#include "namespace.h"
#include "os/event_loop.h"
#include "render/iptables/test_support.h"

namespace kernel_test {
namespace {

using namespace render::iptables::support;
using kernel::FlavourSetting;
using kernel::IptablesSyncer;
using render::iptables::kTables;
using render::iptables::RenderChanges;
using render::iptables::Renderer;
using render::iptables::Table;

double cpu_seconds() {
  double total = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    ::getrusage(who, &usage);
    for (const timeval& time : {usage.ru_utime, usage.ru_stime}) {
      total += static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    }
  }
  return total;
}

model::PolicyKey group(std::size_t i) { return World::policy_key("openstack", "ossg.default." + std::to_string(i)); }

calc::ActivePolicy security_group(std::size_t i, std::uint16_t port) {
  calc::ActivePolicy policy;
  policy.tier = World::symbol("default");
  policy.selector = "has(sg" + std::to_string(i) + ")";
  for (std::uint16_t n = 0; n < 4; ++n) {
    calc::Rule tcp = rule(model::RuleAction::kAllow, "tcp");
    tcp.ip_version = base::Family::kIpv4;
    tcp.destination.ports = {{static_cast<std::uint16_t>(port + n), static_cast<std::uint16_t>(port + n)}};
    policy.ingress.push_back(tcp);
  }
  policy.egress = {rule(model::RuleAction::kAllow)};
  return policy;
}

std::shared_ptr<const calc::LocalWorkload> guest(std::size_t i) {
  char name[16];
  std::snprintf(name, sizeof(name), "tap%08zx-%02zx", (i * 2654435761u) & 0xffffffffu, i % 256);
  const std::vector keys{group(i % 1000), group((i * 7 + 1) % 1000)};
  return World::workload(name, {World::tier("default", keys, keys)});
}

class IptablesCost : public NamespaceTest,
                     public testing::WithParamInterface<std::pair<FlavourSetting, std::size_t>> {};

TEST_P(IptablesCost, DISABLED_Churn) {
  if (IsSkipped()) return;
  const auto [flavour, endpoints] = GetParam();
  ::setenv("XTABLES_LOCKFILE", ("/tmp/percale-iptables-cost." + std::to_string(::getpid())).c_str(), 1);
  const auto programs = kernel::find_iptables(flavour, kernel::system_programs()).value();
  os::EventLoop loop;
  base::NullLog log;
  Renderer renderer = Renderer::create(openstack_settings()).value();
  const auto tool4 = kernel::make_process_iptables(
      loop, {.save_program = programs.save4, .restore_program = programs.restore4, .flavour = programs.flavour});
  const auto tool6 = kernel::make_process_iptables(
      loop, {.save_program = programs.save6, .restore_program = programs.restore6, .flavour = programs.flavour});
  IptablesSyncer::Hooks hooks;
  for (const Table table : kTables) hooks[table] = renderer.hooks(table);
  IptablesSyncer v4(loop, *tool4, log, {.family = base::Family::kIpv4, .planner = {}}, hooks);
  IptablesSyncer v6(loop, *tool6, log, {.family = base::Family::kIpv6, .planner = {}}, hooks);

  const auto apply = [&](const RenderChanges& changes) {
    const auto start = loop.now();
    v4.update(changes.v4.tables);
    v6.update(changes.v6.tables);
    int left = 2;
    const auto done = [&](const kernel::ApplyReport& report) {
      EXPECT_TRUE(report.clean());
      if (--left == 0) loop.stop();
    };
    v4.apply(done);
    v6.apply(done);
    loop.run();
    return static_cast<double>((loop.now() - start).count()) / 1e6;
  };

  World world;
  for (std::size_t i = 0; i < 1000; ++i) world.policy(group(i), security_group(i, 80));
  for (std::size_t i = 0; i < endpoints; ++i) world.add(guest(i));
  const RenderChanges first = renderer.apply(world.snapshot());
  for (const base::Family family : render::kFamilies) {
    for (const auto& [name, set] : first[family].sets.created) {
      run("ipset create " + name + (set.kind == render::SetKind::kIp ? " hash:ip" : " hash:net") + " family " +
          (family == base::Family::kIpv4 ? "inet" : "inet6"));
    }
  }
  double cpu = cpu_seconds();
  const double start_up = apply(first);
  std::printf("%-6s %4zu endpoints: first programming %.0f ms, %.2f s CPU\n",
              std::string(to_string(programs.flavour)).c_str(), endpoints, start_up, cpu_seconds() - cpu);

  const auto pause = [&] {
    loop.after(std::chrono::milliseconds(100), [&] { loop.stop(); });
    loop.run();
  };
  const auto repeat = [&](const char* what, int times, const std::function<RenderChanges(int)>& change) {
    std::vector<double> times_ms;
    cpu = cpu_seconds();
    for (int i = 0; i < times; ++i) {
      times_ms.push_back(apply(change(i)));
      pause();
    }
    std::sort(times_ms.begin(), times_ms.end());
    std::printf("       %s: median %.1f ms, max %.1f ms, CPU %.1f ms each\n", what, times_ms[times_ms.size() / 2],
                times_ms.back(), (cpu_seconds() - cpu) * 1000 / times);
  };
  repeat("policy  ", 20, [&](int i) {
    World change;
    change.policy(group(1), security_group(1, static_cast<std::uint16_t>(1000 + i)));
    return renderer.apply(change.delta());
  });
  repeat("endpoint", 20, [&](int i) {
    World change;
    change.add(guest(endpoints + static_cast<std::size_t>(i)));
    return renderer.apply(change.delta());
  });
  cpu = cpu_seconds();
  v4.request_read_back();
  v6.request_read_back();
  const double read = apply({});
  std::printf("       read-back of both families: %.1f ms, %.0f ms CPU\n", read, (cpu_seconds() - cpu) * 1000);
}

INSTANTIATE_TEST_SUITE_P(Hosts, IptablesCost,
                         testing::Values(std::pair{FlavourSetting::kNft, std::size_t{100}},
                                         std::pair{FlavourSetting::kNft, std::size_t{1000}},
                                         std::pair{FlavourSetting::kLegacy, std::size_t{100}},
                                         std::pair{FlavourSetting::kLegacy, std::size_t{1000}}),
                         [](const auto& param) {
                           return std::string(param.param.first == FlavourSetting::kNft ? "nft" : "legacy") +
                                  std::to_string(param.param.second);
                         });

}  // namespace
}  // namespace kernel_test
