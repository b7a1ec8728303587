#include "testing/sim_loop.h"

#include <string>

#include <gtest/gtest.h>

#include "base/mailbox.h"

namespace testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(SimLoop, RunsTasksThenTimersInOrder) {
  SimLoop loop;
  std::string order;
  loop.after(milliseconds(2), [&] { order += "c"; });
  loop.after(milliseconds(1), [&] {
    order += "b";
    loop.post([&] { order += "B"; });
  });
  loop.post([&] { order += "a"; });
  EXPECT_EQ(loop.run_pending(), 1u);
  EXPECT_EQ(order, "a");
  EXPECT_EQ(loop.advance(milliseconds(1)), 2u);
  EXPECT_EQ(order, "abB");
  loop.advance(seconds(1));
  EXPECT_EQ(order, "abBc");
  EXPECT_EQ(loop.now().time_since_epoch(), milliseconds(1001));
}

TEST(SimLoop, TimersOfOneMomentKeepTheirOrderAndCancelWorks) {
  SimLoop loop;
  std::string order;
  loop.after(milliseconds(1), [&] { order += "1"; });
  const base::TimerId second = loop.after(milliseconds(1), [&] { order += "2"; });
  loop.after(milliseconds(1), [&] { order += "3"; });
  loop.cancel(second);
  loop.cancel(second);
  loop.cancel(base::TimerId(0));
  EXPECT_TRUE(loop.run_all(seconds(1)));
  EXPECT_EQ(order, "13");
}

TEST(SimLoop, RunUntilStopsAtTheMomentItHolds) {
  SimLoop loop;
  int ticks = 0;
  std::function<void()> tick = [&] {
    ++ticks;
    loop.after(seconds(1), tick);
  };
  loop.after(seconds(1), tick);
  EXPECT_TRUE(loop.run_until([&] { return ticks == 5; }, seconds(60)));
  EXPECT_EQ(loop.now().time_since_epoch(), seconds(5));
  EXPECT_FALSE(loop.run_until([&] { return ticks == 100; }, seconds(10)));
  EXPECT_EQ(loop.now().time_since_epoch(), seconds(15));
  EXPECT_FALSE(loop.run_all(seconds(3)));
}

TEST(SimLoop, ReadableCallsTheWatchUntilUnwatched) {
  SimLoop loop;
  int calls = 0;
  base::WatchId watch{};
  watch = loop.watch_readable(7, [&] {
    if (++calls == 2) loop.unwatch(watch);
  });
  for (int i = 0; i < 4; ++i) {
    loop.signal_readable(7);
    loop.run_pending();
  }
  EXPECT_EQ(calls, 2);
}

struct Append {
  void operator()(std::string& pending, std::string later) const { pending += later; }
};

TEST(SimLoop, MailboxDeliversOneMergedElement) {
  SimLoop loop;
  std::vector<std::string> got;
  base::Mailbox<std::string, Append> box(loop, [&](std::string s) { got.push_back(std::move(s)); });
  box.push("a");
  box.push("b");
  loop.run_pending();
  box.push("c");
  loop.run_pending();
  EXPECT_EQ(got, (std::vector<std::string>{"ab", "c"}));
}

}  // namespace
}  // namespace testing
