#include "agent/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/sim_loop.h"

namespace agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

TEST(Health, TableAndSummary) {
  ::testing::SimLoop clock;
  HealthAggregator health(clock);
  EXPECT_TRUE(health.summary().live && health.summary().ready);  // nobody reports anything
  health.add("CalculationGraph", {}, seconds(30));
  health.add("FelixStartup", {.live = true, .ready = true}, base::Duration(0));
  health.add("Reader", {.live = false, .ready = true}, seconds(90));
  health.report("FelixStartup", true, true);
  health.report("CalculationGraph", true, false, "in sync soon");
  health.report("Unknown", false, false);
  const HealthSummary summary = health.summary();
  EXPECT_TRUE(summary.live);
  EXPECT_FALSE(summary.ready);
  EXPECT_EQ(summary.table,
            "+------------------+---------+----------------+---------------------+--------------+\n"
            "|    COMPONENT     | TIMEOUT |    LIVENESS    |      READINESS      |    DETAIL    |\n"
            "+------------------+---------+----------------+---------------------+--------------+\n"
            "| CalculationGraph | 30s     | reporting live | reporting non-ready | in sync soon |\n"
            "| FelixStartup     | -       | reporting live | reporting ready     |              |\n"
            "| Reader           | 1m30s   | -              | reporting non-ready |              |\n"
            "+------------------+---------+----------------+---------------------+--------------+\n");
}

TEST(Health, SilenceCountsAgainstBothAspects) {
  ::testing::SimLoop clock;
  HealthAggregator health(clock);
  health.add("Loop", {}, seconds(10));
  health.report("Loop", true, true);
  clock.advance(seconds(10));
  EXPECT_TRUE(health.summary().live && health.summary().ready);
  clock.advance(milliseconds(1));
  EXPECT_FALSE(health.summary().live);
  EXPECT_FALSE(health.summary().ready);
  EXPECT_THAT(health.summary().table, HasSubstr("| timed out | timed out |"));
  health.set_overrides({{"Loop", seconds(60)}});
  EXPECT_TRUE(health.summary().live);
  EXPECT_THAT(health.summary().table, HasSubstr("1m0s (override)"));
  health.set_overrides({});
  health.report("Loop", false, true);
  EXPECT_FALSE(health.summary().live);
  EXPECT_TRUE(health.summary().ready);
  health.remove("Loop");
  EXPECT_TRUE(health.summary().live);
}

TEST(Health, Durations) {
  EXPECT_EQ(duration_text(seconds(30)), "30s");
  EXPECT_EQ(duration_text(milliseconds(1500)), "1.5s");
  EXPECT_EQ(duration_text(milliseconds(500)), "500ms");
  EXPECT_EQ(duration_text(seconds(3600)), "1h0m0s");
}

}  // namespace
}  // namespace agent
