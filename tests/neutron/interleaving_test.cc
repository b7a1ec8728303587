// Two bridges on one etcd, one database, and hooks that overtake each other: in the end etcd must be equal to the
// database.
//
// Every request to etcd, every reply, every event of a watch, every step of a hook and every read of the database is
// delayed by chance. What else can go wrong differs from seed to seed (Faults); unless something is lost for good (a
// call that died, a bridge that was killed, a replica that lags), the end must be right without any later resync. At
// all times an older state must never replace a newer one (History).
//
// Whatever protects etcd is also taken away, one at a time: then the same test must fail.
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <array>
#include <charconv>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "controller.h"
#include "history.h"
#include "store/memory_store.h"

namespace neutron_test {
namespace {

using testing::Rng;
using testing::SimLoop;
using namespace std::chrono_literals;

std::uint64_t sequences = 1000;
std::uint64_t first_seed = 1;

constexpr int kCalls = 60;
constexpr base::Duration kSettled = 120s;  // nothing takes longer than that
constexpr base::Duration kLateLook = 6s;   // the bridge looks once more five seconds after a group was written

class World {
 public:
  World(std::uint64_t seed, Without without) : rng_(seed) {
    faults_.without = without;
    for (bool* fault : {&faults_.stalls, &faults_.lost_replies, &faults_.lost_calls, &faults_.kills, &faults_.resyncs,
                        &faults_.periodic, &faults_.worker_errors, &faults_.outages}) {
      *fault = rng_.one_in(3);
    }
    if (rng_.one_in(4)) faults_.lag = 500ms;
    for (const auto* name : {"c0", "c1"}) controllers_.push_back(std::make_unique<Controller>(around_, name));
    history_ = std::make_unique<History>(store_, loop_, cloud_, faults_.lag.count() == 0);
    loop_.advance(1s);
    controllers_.front()->hook("subnet", "sub");
  }

  // What went wrong; empty if nothing did.
  std::string run() {
    for (int i = 0; i < kCalls; ++i) {
      for (const auto& [kind, id] : cloud_.call(loop_.now())) pick().hook(kind, id);
      disturb();
      loop_.advance(base::Duration(static_cast<std::int64_t>(rng_.below(10'000'000))));
    }
    const bool lossless = faults_.lossless();
    store_.reconnect();
    faults_ = Faults{{.without = faults_.without}};
    for (auto& controller : controllers_) {
      if (!controller->running()) controller->start();
    }
    if (!settle()) return "it does not come to rest: " + describe();
    std::string wrong = problem();
    if (wrong.empty() && lossless) wrong = differences();
    if (!wrong.empty()) return wrong;
    if (!lossless) {
      if (!resync(pick(), false)) return "no resync";
      if (!settle()) return "it does not come to rest after a resync: " + describe();
      if (wrong = differences(); !wrong.empty()) return "after a resync: " + wrong;
    }
    for (auto& controller : controllers_) {
      const auto result = resync(*controller, true);
      if (!result || !result->at("differences").as_array().empty()) {
        return "a dry run finds: " + (result ? json::serialize(*result) : "nothing, it did not end");
      }
    }
    return problem();
  }

 private:
  Controller& pick() { return *rng_.pick(controllers_); }

  void disturb() {
    if (faults_.resyncs && rng_.one_in(6)) pick().resync(rng_.one_in(4), [](const json::object&) {});
    if (faults_.outages && rng_.one_in(20)) {
      store_.disconnect();
      loop_.after(base::Duration(static_cast<std::int64_t>(rng_.below(100'000'000))), [this] { store_.reconnect(); });
    }
    if (!faults_.kills || !rng_.one_in(8)) return;
    Controller& victim = pick();
    if (victim.running())
      victim.kill();
    else
      victim.start();
  }

  bool idle() {
    for (auto& controller : controllers_) {
      if (controller->hooks_open() != 0 || controller->status().at("dirty") != 0) return false;
    }
    return true;
  }
  bool settle() {
    for (int i = 0; i < 3; ++i) {
      if (!loop_.run_until([this] { return idle(); }, kSettled)) return false;
      loop_.advance(kLateLook);
    }
    return idle();
  }
  std::optional<json::object> resync(Controller& controller, bool dry_run) {
    std::optional<json::object> result;
    controller.resync(dry_run, [&result](const json::object& answer) { result = answer; });
    loop_.run_until([&result] { return result.has_value(); }, kSettled);
    if (result && !result->at("ok").as_bool()) result.reset();
    return result;
  }

  std::string problem() const {
    for (const auto& controller : controllers_) {
      if (!controller->complaint().empty()) return controller->complaint();
    }
    return history_->complaint();
  }
  std::string differences() {
    std::map<std::string, std::string> stored;
    const auto all = store_.table().read({.key = "/", .range_end = "0"});
    for (const auto& item : all->items) stored.emplace(item.key, item.value);
    return compare_values(*neutron::Region::make(""), stored, cloud_.state()->expected(*neutron::Region::make(""), {}));
  }
  std::string describe() {
    std::string text;
    for (auto& controller : controllers_) {
      text += std::to_string(controller->hooks_open()) + " hooks, " + json::serialize(controller->status()) + "\n";
    }
    return text;
  }

  Rng rng_;
  Faults faults_;
  SimLoop loop_;
  store::MemoryStore store_{loop_};
  RandomCloud cloud_{rng_};
  Surroundings around_{loop_, rng_, store_, cloud_, faults_};
  std::vector<std::unique_ptr<Controller>> controllers_;
  std::unique_ptr<History> history_;
};

TEST(Interleaving, EtcdEndsEqualToTheDatabase) {
  int failures = 0;
  for (std::uint64_t seed = first_seed; seed < first_seed + sequences; ++seed) {
    const std::string wrong = World(seed, Without::kNothing).run();
    if (wrong.empty()) continue;
    ADD_FAILURE() << "seed " << seed << ": " << wrong;
    if (++failures == 10) break;
  }
}

// Without what protects it, etcd ends otherwise. The figures say how soon that is found.
TEST(Interleaving, EachProtectionIsNeeded) {
  constexpr std::uint64_t kMostSeeds = 300;
  constexpr std::array<std::pair<Without, const char*>, 5> kProtections{
      {{Without::kComparison, "the comparison of etcd's revisions"},
       {Without::kGuards, "guards"},
       {Without::kRevisionNumber, "the comparison of revision_number"},
       {Without::kReRead, "reading once more what a resync wants to remove or has lost a race for"},
       {Without::kReadAfterAsking, "reading the database after the bridge has asked"}}};
  for (const auto& [without, name] : kProtections) {
    std::uint64_t seed = 1;
    std::string wrong;
    while (wrong.empty() && seed <= kMostSeeds) wrong = World(seed++, without).run();
    EXPECT_NE(wrong, "") << "nothing goes wrong without " << name;
    std::printf("without %s: seed %llu: %.200s\n", name, static_cast<unsigned long long>(seed - 1), wrong.c_str());
  }
}

}  // namespace
}  // namespace neutron_test

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    const std::string_view word(argv[i]);
    const auto number = [&](std::string_view name, std::uint64_t& target) {
      if (word.starts_with(name)) std::from_chars(word.data() + name.size(), word.data() + word.size(), target);
    };
    number("--sequences=", neutron_test::sequences);
    number("--seed=", neutron_test::first_seed);
  }
  return RUN_ALL_TESTS();
}
