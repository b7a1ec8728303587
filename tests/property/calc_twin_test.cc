// The incremental calculation against the naive one, over random histories: after every flush the accumulated output
// must be what a calculation from scratch gives. Repeat a failure with the command it prints.
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "calc/calculator.h"
#include "calc/naive.h"
#include "calc/print.h"
#include "options.h"
#include "random_world.h"
#include "testing/rng.h"

namespace property {
namespace {

std::string how_to_repeat(std::uint64_t seed) {
  return "repeat with: calc_twin_test --seed=" + std::to_string(seed) + " --steps=" + std::to_string(options().steps) +
         " --gtest_filter=" + testing::UnitTest::GetInstance()->current_test_info()->test_suite_name() + "." +
         testing::UnitTest::GetInstance()->current_test_info()->name();
}

calc::RouteSource any_source(testing::Rng& rng) {
  const calc::RouteSource sources[] = {calc::RouteSource::kNone, calc::RouteSource::kIpam,
                                       calc::RouteSource::kWorkloads};
  return sources[rng.index(std::size(sources))];
}

class History {
 public:
  explicit History(std::uint64_t seed) : rng_(seed), world_(rng_, interner_) {}

  bool go() {
    if (rng_.one_in(2)) {  // half of the histories start with a filled datastore
      for (std::uint64_t n = rng_.below(80); n > 0; --n) calculator_.update(world_.next());
    }
    EXPECT_FALSE(calculator_.flush().has_value()) << "nothing may come out before the datastore is in sync";
    calculator_.in_sync();
    if (!flush()) return false;
    for (std::uint64_t step = 0; step < options().steps; ++step) {
      if (rng_.one_in(80)) resync();
      calculator_.update(world_.next());
      if (rng_.one_in(flush_every_) && !flush()) return false;
    }
    return flush() && read_folded();
  }

 private:
  void resync() {
    for (std::uint64_t n = rng_.below(6); n > 0; --n) world_.lose_one();
    calculator_.resync_begin();
    for (const model::Update& update : world_.snapshot()) {
      // Bad by now, so it stays as it was.
      rng_.one_in(8) ? calculator_.keep(update) : calculator_.update(update);
      if (rng_.one_in(16)) take(calculator_.flush());
    }
    calculator_.resync_end();
  }

  void take(std::optional<calc::Output> output) {
    if (!output) return;
    calc::apply(state_, *output);
    if (pending_) {
      calc::fold(*pending_, std::move(*output));
    } else {
      pending_ = std::move(output);
    }
  }

  bool flush() {
    take(calculator_.flush());
    const calc::State expected = calc::calculate_from_scratch(world_.world(), kHostname, source_);
    if (!calc::equal(state_, expected)) {
      EXPECT_EQ(calc::to_text(state_), calc::to_text(expected));
      ADD_FAILURE() << "the incremental state differs from the one from scratch";
      return false;
    }
    return !rng_.one_in(5) || read_folded();
  }

  // A reader that lags sees folded outputs only, and must see the same.
  bool read_folded() {
    if (!pending_) return true;
    if (const auto* snapshot = std::get_if<calc::Snapshot>(&*pending_)) {
      EXPECT_TRUE(snapshot->all.sets_removed.empty() && snapshot->all.policies_removed.empty());
    }
    calc::apply(folded_, *pending_);
    pending_.reset();
    if (calc::equal(folded_, state_)) return true;
    EXPECT_EQ(calc::to_text(folded_), calc::to_text(state_));
    ADD_FAILURE() << "folding lost or invented something";
    return false;
  }

  testing::Rng rng_;
  base::Interner interner_;
  RandomWorld world_;
  const calc::RouteSource source_ = any_source(rng_);
  calc::Calculator calculator_{std::string(kHostname), source_};
  calc::State state_;
  calc::State folded_;
  std::optional<calc::Output> pending_;
  const std::uint64_t flush_every_ = 1 + rng_.below(8);
};

TEST(CalcTwin, IncrementalEqualsFromScratch) {
  for_each_seed([](std::uint64_t seed) {
    const bool good = History(seed).go() && !testing::Test::HasFailure();
    if (!good) ADD_FAILURE() << how_to_repeat(seed);
    return good;
  });
}

// The whole datastore read again, unchanged: the kernel must hear nothing.
TEST(CalcTwin, ResyncOfTheSameContentIsSilent) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    testing::Rng rng(seed);
    base::Interner interner;
    RandomWorld world(rng, interner);
    calc::Calculator calculator{std::string(kHostname), any_source(rng)};
    for (int i = 0; i < 100; ++i) calculator.update(world.next());
    calculator.in_sync();
    ASSERT_TRUE(calculator.flush().has_value());
    calculator.resync_begin();
    for (const model::Update& update : world.snapshot()) calculator.update(update);
    calculator.resync_end();
    EXPECT_FALSE(calculator.flush().has_value()) << how_to_repeat(seed);
  }
}

// Equal updates in equal order give equal output, whatever was interned before.
TEST(CalcTwin, Deterministic) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    std::string texts[2];
    for (std::string& text : texts) {
      testing::Rng rng(seed);
      base::Interner interner;
      if (&text == &texts[1]) {
        for (const char* word : {"z", "pol.b", "t2", "ns2", "c"}) interner.intern(word);
      }
      RandomWorld world(rng, interner);
      calc::Calculator calculator{std::string(kHostname), any_source(rng)};
      calculator.in_sync();
      calc::State state;
      for (int i = 0; i < 200; ++i) {
        calculator.update(world.next());
        if (const auto output = calculator.flush()) calc::apply(state, *output);
      }
      text = calc::to_text(state);
    }
    EXPECT_EQ(texts[0], texts[1]) << "seed " << seed;
  }
}

}  // namespace
}  // namespace property
