#include "kernel/iptables_syncer.h"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel/iptables_fake.h"
#include "render/iptables/test_support.h"
#include "testing/sim_loop.h"

namespace kernel {
namespace {

using namespace render::iptables::support;
using render::iptables::kTables;
using render::iptables::RenderChanges;
using render::iptables::Renderer;
using render::iptables::Table;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr base::Family kV4 = base::Family::kIpv4;

IptablesSyncer::Hooks hooks_of(const Renderer& renderer) {
  IptablesSyncer::Hooks hooks;
  for (const Table table : kTables) hooks[table] = renderer.hooks(table);
  return hooks;
}

// An agent's share: renderer and syncer over a kernel that outlives them.
struct Agent {
  explicit Agent(::testing::SimLoop& l, FakeIptables& kernel, render::Settings settings = openstack_settings(),
                 IptablesSyncerOptions options = {})
      : loop(l), renderer(Renderer::create(settings).value()), syncer(l, kernel, log, options, hooks_of(renderer)) {}

  ApplyReport apply(const RenderChanges& changes, bool wait = true) {
    syncer.update(changes[kV4].tables);
    if (!wait) {
      syncer.apply(nullptr);
      return {};
    }
    std::optional<ApplyReport> report;
    syncer.apply([&](ApplyReport r) { report = std::move(r); });
    EXPECT_FALSE(report.has_value());
    EXPECT_TRUE(loop.run_until([&] { return report.has_value(); }, seconds(60)));
    return report.value_or(ApplyReport{});
  }

  ::testing::SimLoop& loop;
  base::NullLog log;
  Renderer renderer;
  IptablesSyncer syncer;
};

const model::PolicyKey kWeb = World::policy_key("openstack", "web");
const model::PolicyKey kDb = World::policy_key("openstack", "db");

calc::ActivePolicy allow_port(std::uint16_t port) {
  calc::ActivePolicy policy;
  policy.tier = World::symbol("default");
  policy.selector = "sg == 'x" + std::to_string(port) + "'";
  calc::Rule tcp = rule(model::RuleAction::kAllow, "tcp");
  tcp.destination.ports = {{port, port}};
  policy.ingress = {tcp, rule(model::RuleAction::kAllow, "icmp")};
  return policy;
}

World two_guests() {
  World world;
  world.policy(kWeb, allow_port(80)).policy(kDb, allow_port(5432));
  world.add(World::workload("tap-a", {World::tier("default", {kWeb, kDb}, {kWeb})}));
  world.add(World::workload("tap-b", {World::tier("default", {kDb}, {kWeb})}));
  return world;
}

void expect_desired(const FakeIptables& kernel, const Renderer& renderer) {
  for (const Table table : kTables) {
    const std::string name(to_string(table));
    std::set<std::string> ours;
    for (const auto& [chain, rules] : kernel.table(name)) {
      if (render::iptables::is_owned_chain(chain)) ours.insert(chain);
    }
    std::set<std::string> wanted;
    for (const auto& [chain, rendered] : renderer.programmed(kV4, table)) {
      wanted.emplace(chain);
      std::string lines;
      if (!kernel.table(name).contains(std::string(chain))) continue;
      for (const std::string& rule : kernel.table(name).at(std::string(chain))) {
        lines += "-A " + std::string(chain) + " " + rule + "\n";
      }
      EXPECT_EQ(lines, rendered->lines) << name << " " << chain;
    }
    EXPECT_EQ(ours, wanted) << name;
  }
}

class SyncerTest : public ::testing::Test {
 protected:
  ::testing::SimLoop loop;
  FakeIptables kernel{loop};
};

TEST_F(SyncerTest, FirstApplyIsOneRestoreAndARestartWritesNothing) {
  {
    Agent agent(loop, kernel);
    EXPECT_TRUE(agent.apply(agent.renderer.apply(two_guests().snapshot())).clean());
    expect_desired(kernel, agent.renderer);
    EXPECT_EQ(kernel.inputs.size(), 1u);
    EXPECT_EQ(kernel.saves, 1);
  }
  Agent next(loop, kernel);
  EXPECT_TRUE(next.apply(next.renderer.apply(two_guests().snapshot())).clean());
  EXPECT_EQ(kernel.inputs.size(), 1u);
  EXPECT_EQ(next.syncer.counters().restores, 0u);
  expect_desired(kernel, next.renderer);
}

TEST_F(SyncerTest, NothingIsWrittenBeforeTheFirstApply) {
  kernel.edit("filter")["cali-fw-old"] = {"--jump ACCEPT"};
  Agent agent(loop, kernel);
  agent.syncer.request_read_back();
  loop.advance(seconds(400));
  EXPECT_GT(kernel.saves, 0);
  EXPECT_THAT(kernel.inputs, IsEmpty());
}

TEST_F(SyncerTest, AChangedPolicyRewritesItsChainOnly) {
  Agent agent(loop, kernel);
  (void)agent.apply(agent.renderer.apply(two_guests().snapshot()));
  World change;
  change.policy(kWeb, allow_port(8080));
  EXPECT_TRUE(agent.apply(agent.renderer.apply(change.delta())).clean());
  ASSERT_EQ(kernel.inputs.size(), 2u);
  const std::string chain = render::iptables::policy_chain(kWeb, render::Direction::kIngress);
  EXPECT_THAT(kernel.inputs[1], ::testing::StartsWith("*filter\n:" + chain + " - -\n-A " + chain + " "));
  EXPECT_EQ(std::count(kernel.inputs[1].begin(), kernel.inputs[1].end(), '\n'), 6);  // with its three rules
  EXPECT_EQ(kernel.saves, 1);
  expect_desired(kernel, agent.renderer);
}

TEST_F(SyncerTest, ChainsThatNothingNeedsAreDeletedAfterTheirLastUser) {
  Agent agent(loop, kernel);
  (void)agent.apply(agent.renderer.apply(two_guests().snapshot()));
  World gone;
  gone.changes.workloads_removed = {World::workload_key("tap-a"), World::workload_key("tap-b")};
  gone.changes.policies_removed = {kWeb, kDb};
  EXPECT_TRUE(agent.apply(agent.renderer.apply(gone.delta())).clean());
  expect_desired(kernel, agent.renderer);
  EXPECT_FALSE(kernel.table("filter").contains("cali-tw-tap-a"));
}

TEST_F(SyncerTest, ForeignRulesStayAndOurHooksComeFirst) {
  kernel.edit("filter")["FORWARD"] = {"-i docker0 --jump ACCEPT"};
  kernel.edit("filter")["DOCKER"] = {"--jump RETURN"};
  kernel.edit("nat")["POSTROUTING"] = {"--jump MASQUERADE"};
  Agent agent(loop, kernel);
  EXPECT_TRUE(agent.apply(agent.renderer.apply(two_guests().snapshot())).clean());
  const auto& forward = kernel.table("filter").at("FORWARD");
  ASSERT_EQ(forward.size(), 4u);
  EXPECT_THAT(forward[0], HasSubstr("--jump cali-FORWARD"));
  EXPECT_EQ(forward[1], "-i docker0 --jump ACCEPT");
  EXPECT_THAT(forward[3], HasSubstr("--set-mark 0x10000/0x10000"));
  EXPECT_EQ(kernel.table("nat").at("POSTROUTING").front(), "--jump MASQUERADE");
  EXPECT_TRUE(kernel.table("filter").contains("DOCKER"));
}

TEST_F(SyncerTest, InAppendModeHooksComeLast) {
  kernel.edit("filter")["INPUT"] = {"-i docker0 --jump ACCEPT"};
  IptablesSyncerOptions options;
  options.planner.insert_mode = render::InsertMode::kAppend;
  Agent agent(loop, kernel, openstack_settings(), options);
  EXPECT_TRUE(agent.apply(agent.renderer.apply(two_guests().snapshot())).clean());
  EXPECT_EQ(kernel.table("filter").at("INPUT").front(), "-i docker0 --jump ACCEPT");
  EXPECT_THAT(kernel.table("filter").at("INPUT").back(), HasSubstr("--jump cali-INPUT"));
}

TEST_F(SyncerTest, RemovesWhatOlderReleasesLeft) {
  kernel.edit("filter")["felix-FORWARD"] = {"--jump felix-FROM"};
  kernel.edit("filter")["felix-FROM"] = {"--jump DROP"};
  kernel.edit("filter")["FORWARD"] = {"--jump felix-FORWARD", "-i eth0 --jump ACCEPT"};
  kernel.edit("filter")["MINE"] = {"-m comment --comment \"cali:abcdefghijklmnop\" --jump ACCEPT", "--jump RETURN"};
  kernel.edit("filter")["calico-dhcp-x"] = {"--jump ACCEPT"};
  Agent agent(loop, kernel);
  EXPECT_TRUE(agent.apply(agent.renderer.apply(two_guests().snapshot())).clean());
  expect_desired(kernel, agent.renderer);
  EXPECT_THAT(kernel.table("filter").at("MINE"), ElementsAre("--jump RETURN"));
  EXPECT_EQ(kernel.table("filter").at("FORWARD")[1], "-i eth0 --jump ACCEPT");
  EXPECT_TRUE(kernel.table("filter").contains("calico-dhcp-x"));
}

TEST_F(SyncerTest, DriftIsRepairedAtTheNextCheck) {
  Agent agent(loop, kernel);
  (void)agent.apply(agent.renderer.apply(two_guests().snapshot()));
  auto& filter = kernel.edit("filter");
  filter["cali-INPUT"].clear();
  filter["FORWARD"].clear();
  filter.erase("cali-tw-tap-a");
  filter["cali-to-wl-dispatch"].clear();
  loop.advance(seconds(6));
  expect_desired(kernel, agent.renderer);
  EXPECT_EQ(kernel.table("filter").at("FORWARD").size(), 3u);
  EXPECT_GT(agent.syncer.counters().surprises, 0u);
}

TEST_F(SyncerTest, AHookThatIsNoLongerFirstIsPutBack) {
  Agent agent(loop, kernel);
  (void)agent.apply(agent.renderer.apply(two_guests().snapshot()));
  auto& forward = kernel.edit("filter")["FORWARD"];
  forward.insert(forward.begin(), "-i evil --jump ACCEPT");
  loop.advance(seconds(6));
  EXPECT_THAT(kernel.table("filter").at("FORWARD")[0], HasSubstr("cali-FORWARD"));
  EXPECT_EQ(kernel.table("filter").at("FORWARD").size(), 4u);
}

TEST_F(SyncerTest, QuietTimesCostOneSaveWithNft) {
  Agent agent(loop, kernel);
  (void)agent.apply(agent.renderer.apply(two_guests().snapshot()));
  loop.advance(std::chrono::hours(2));
  EXPECT_EQ(kernel.saves, 2);  // the first, and the check after the write
  EXPECT_GT(agent.syncer.counters().skipped_saves, 30u);
  EXPECT_EQ(kernel.inputs.size(), 1u);
}

TEST_F(SyncerTest, LegacyReadsBackOnTheRefreshTimer) {
  FakeIptables legacy(loop, false);
  Agent agent(loop, legacy);
  (void)agent.apply(agent.renderer.apply(two_guests().snapshot()));
  loop.advance(seconds(1000));
  EXPECT_GE(legacy.saves, 6);
  EXPECT_LE(legacy.saves, 12);
}

TEST_F(SyncerTest, ChangesDuringARestoreAreMergedIntoTheNext) {
  kernel.restore_time = milliseconds(50);
  Agent agent(loop, kernel);
  (void)agent.apply(agent.renderer.apply(two_guests().snapshot()));
  const auto change = [&](std::uint16_t port) {
    World world;
    world.policy(kWeb, allow_port(port));
    agent.apply(agent.renderer.apply(world.delta()), false);
  };
  change(1);
  loop.advance(milliseconds(10));
  EXPECT_TRUE(agent.syncer.busy());
  for (std::uint16_t port = 2; port < 20; ++port) change(port);
  loop.advance(milliseconds(200));
  EXPECT_EQ(kernel.inputs.size(), 3u);
  expect_desired(kernel, agent.renderer);
}

TEST_F(SyncerTest, ALookForDriftGivesWayToAChange) {
  kernel.save_time = seconds(1);
  Agent agent(loop, kernel);
  (void)agent.apply(agent.renderer.apply(two_guests().snapshot()));
  loop.advance(milliseconds(5500));
  EXPECT_TRUE(agent.syncer.busy());
  EXPECT_EQ(kernel.saves, 2);
  kernel.edit("filter")["cali-INPUT"].clear();
  World world;
  world.policy(kWeb, allow_port(81));
  const auto start = loop.now();
  (void)agent.apply(agent.renderer.apply(world.delta()));
  EXPECT_LT(loop.now() - start, milliseconds(20));
  loop.advance(seconds(10));
  EXPECT_EQ(kernel.saves, 3);
  expect_desired(kernel, agent.renderer);
}

// Random changes, foreign edits and failures; after they end, everything must come right, and nobody else's rule be
// lost.
TEST_F(SyncerTest, ConvergesAfterAStorm) {
  for (std::uint32_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto pick = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    FakeIptables storm(loop, seed % 2 == 0);
    storm.refusal_names_line = seed % 3 != 0;
    storm.edit("filter")["FORWARD"] = {"-i docker0 --jump ACCEPT", "-o docker0 --jump RETURN"};
    Agent agent(loop, storm);
    (void)agent.apply(agent.renderer.apply(two_guests().snapshot()), false);
    for (int step = 0; step < 40; ++step) {
      const auto key = World::policy_key("openstack", "p" + std::to_string(pick(5)));
      const std::string tap = "tap-" + std::to_string(pick(6));
      World world;
      switch (pick(8)) {
        case 0:
        case 1: world.policy(key, allow_port(static_cast<std::uint16_t>(1 + pick(9)))); break;
        case 2:
          world.policy(key, allow_port(7));
          world.add(World::workload(tap, {World::tier("default", {key}, {kWeb})}));
          break;
        case 3: world.changes.workloads_removed = {World::workload_key(tap)}; break;
        case 4: storm.fail_restores = static_cast<int>(pick(3)); break;
        case 5: storm.fail_saves = static_cast<int>(pick(3)); break;
        case 6:
          storm.refuses = [bad = "ports " + std::to_string(1 + pick(9)) + " "](std::string_view rule) {
            return rule.find(bad) != rule.npos;
          };
          break;
        default: {
          auto& filter = storm.edit("filter");
          if (pick(3) == 0) filter["FORWARD"].insert(filter["FORWARD"].begin() + pick(2), "-i evil --jump ACCEPT");
          auto chain = filter.begin();
          std::advance(chain, pick(static_cast<std::uint32_t>(filter.size())));
          std::erase_if(chain->second, [](const std::string& rule) { return rule.find("docker0") == rule.npos; });
          break;
        }
      }
      (void)agent.apply(agent.renderer.apply(world.delta()), false);
      if (pick(3) == 0) loop.advance(milliseconds(pick(20)));
      if (pick(10) == 0) loop.advance(seconds(pick(20)));
    }
    storm.refuses = nullptr;
    storm.fail_restores = storm.fail_saves = 0;
    loop.advance(seconds(400));
    EXPECT_FALSE(agent.syncer.dirty());
    expect_desired(storm, agent.renderer);
    const auto& forward = storm.table("filter").at("FORWARD");
    EXPECT_THAT(forward.front(), HasSubstr("cali-FORWARD"));
    EXPECT_THAT(forward, ::testing::Contains("-i docker0 --jump ACCEPT"));
    EXPECT_THAT(forward, ::testing::Contains("-o docker0 --jump RETURN"));
    if (HasFailure()) return;
  }
}

TEST_F(SyncerTest, ATransientFailureIsRetriedAfterReadingBack) {
  kernel.fail_restores = 3;
  Agent agent(loop, kernel);
  (void)agent.apply(agent.renderer.apply(two_guests().snapshot()));
  loop.advance(seconds(30));
  expect_desired(kernel, agent.renderer);
  EXPECT_EQ(agent.syncer.counters().restore_errors, 3u);
  EXPECT_FALSE(agent.syncer.dirty());
}

TEST_F(SyncerTest, AReadThatFailsDelaysEverythingAndIsReported) {
  kernel.fail_saves = 5;
  Agent agent(loop, kernel);
  const ApplyReport report = agent.apply(agent.renderer.apply(two_guests().snapshot()));
  EXPECT_FALSE(report.clean());
  EXPECT_THAT(kernel.inputs, IsEmpty());
  loop.advance(seconds(30));
  expect_desired(kernel, agent.renderer);
}

TEST_F(SyncerTest, OneTableThatFailsDoesNotStopTheOthers) {
  kernel.refuses = [](std::string_view rule) { return rule.find("rpfilter") != rule.npos; };
  for (const bool names_line : {true, false}) {
    SCOPED_TRACE(names_line);
    FakeIptables fresh(loop);
    fresh.refuses = kernel.refuses;
    fresh.refusal_names_line = names_line;
    Agent agent(loop, fresh);
    const ApplyReport report = agent.apply(agent.renderer.apply(two_guests().snapshot()));
    EXPECT_FALSE(report.clean());
    loop.advance(seconds(60));
    EXPECT_TRUE(fresh.table("filter").contains("cali-tw-tap-a"));
    EXPECT_TRUE(fresh.table("nat").contains("cali-POSTROUTING"));
    EXPECT_FALSE(fresh.table("raw").contains("cali-PREROUTING"));
    // Never the host's own way: that would cut it off.
    EXPECT_THAT(fresh.table("raw").at("PREROUTING"), IsEmpty());
    fresh.refuses = nullptr;
    loop.advance(seconds(30));
    expect_desired(fresh, agent.renderer);
  }
}

TEST_F(SyncerTest, ARefusedPolicyIsClosedAndTheRestGoesOn) {
  for (const bool names_line : {true, false}) {
    SCOPED_TRACE(names_line);
    FakeIptables fresh(loop);
    fresh.refuses = [](std::string_view rule) { return rule.find("ports 8888 ") != rule.npos; };
    fresh.refusal_names_line = names_line;
    Agent agent(loop, fresh);
    World world = two_guests();
    world.policy(kWeb, allow_port(8888));
    for (std::uint16_t port = 1000; port < 1030; ++port) {
      const auto key = World::policy_key("openstack", "p" + std::to_string(port));
      world.policy(key, allow_port(port));
      world.add(World::workload("tap" + std::to_string(port), {World::tier("default", {key}, {})}));
    }
    (void)agent.apply(agent.renderer.apply(world.snapshot()));
    loop.advance(seconds(60));
    EXPECT_FALSE(agent.syncer.dirty());
    const std::string web = render::iptables::policy_chain(kWeb, render::Direction::kIngress);
    ASSERT_EQ(fresh.table("filter").at(web).size(), 1u);
    EXPECT_THAT(fresh.table("filter").at(web)[0], HasSubstr("--jump DROP"));
    for (const auto& [chain, rules] : fresh.table("filter")) {
      if (chain == web) continue;
      for (const std::string& rule : rules) EXPECT_THAT(rule, ::testing::Not(HasSubstr("refused"))) << chain;
    }
    const ApplyReport report = agent.apply({});
    ASSERT_EQ(report.problems.size(), 1u)
        << report.problems.back().object << ": " << report.problems.back().error.text();
    EXPECT_THAT(report.problems[0].object, HasSubstr(web));

    World change;
    change.policy(kWeb, allow_port(81));
    EXPECT_TRUE(agent.apply(agent.renderer.apply(change.delta())).clean());
    expect_desired(fresh, agent.renderer);
  }
}

TEST_F(SyncerTest, ARefusedChainIsTriedAgainEverMoreRarely) {
  for (const bool names_line : {true, false}) {
    SCOPED_TRACE(names_line);
    FakeIptables fresh(loop);
    fresh.refuses = [](std::string_view rule) { return rule.find("ports 8888 ") != rule.npos; };
    fresh.refusal_names_line = names_line;
    Agent agent(loop, fresh);
    World world = two_guests();
    world.policy(kWeb, allow_port(8888));
    (void)agent.apply(agent.renderer.apply(world.snapshot()));
    loop.advance(seconds(5));
    const std::string web = render::iptables::policy_chain(kWeb, render::Direction::kIngress);
    const auto closed = [&] {
      const auto& rules = fresh.table("filter").at(web);
      return rules.size() == 1 && rules[0].find("--jump DROP") != rules[0].npos;
    };
    ASSERT_TRUE(closed());

    std::size_t before = fresh.inputs.size();
    loop.advance(std::chrono::minutes(1));
    EXPECT_EQ(fresh.inputs.size() - before, 1u);
    loop.advance(std::chrono::hours(10));
    EXPECT_LT(fresh.inputs.size() - before, 30u);
    EXPECT_TRUE(closed());

    // Another text is tried at once, and refused anew it begins with the short wait.
    World change;
    change.policy(kWeb, allow_port(81));
    EXPECT_TRUE(agent.apply(agent.renderer.apply(change.delta())).clean());
    expect_desired(fresh, agent.renderer);
    change.policy(kWeb, allow_port(8888));
    EXPECT_FALSE(agent.apply(agent.renderer.apply(change.delta())).clean());
    loop.advance(seconds(5));
    ASSERT_TRUE(closed());
    before = fresh.inputs.size();
    loop.advance(std::chrono::minutes(1));
    EXPECT_EQ(fresh.inputs.size() - before, 1u);

    fresh.refuses = nullptr;  // somebody loaded the module
    loop.advance(std::chrono::minutes(2));
    expect_desired(fresh, agent.renderer);
    EXPECT_TRUE(agent.apply({}).clean());
  }
}

TEST_F(SyncerTest, WithoutHooksAndChainsItCleansUp) {
  kernel.edit("filter")["FORWARD"] = {"-i eth0 --jump ACCEPT"};
  {
    Agent agent(loop, kernel);
    (void)agent.apply(agent.renderer.apply(two_guests().snapshot()));
  }
  base::NullLog log;
  IptablesSyncer cleaner(loop, kernel, log, {}, {});
  cleaner.apply(nullptr);
  loop.advance(seconds(1));
  for (const Table table : kTables) {
    for (const auto& [chain, rules] : kernel.table(std::string(to_string(table)))) {
      EXPECT_FALSE(render::iptables::is_owned_chain(chain)) << chain;
      for (const std::string& rule : rules) EXPECT_THAT(rule, ::testing::Not(HasSubstr("cali"))) << chain;
    }
  }
  EXPECT_EQ(kernel.table("filter").at("FORWARD").size(), 1u);
}

}  // namespace
}  // namespace kernel
