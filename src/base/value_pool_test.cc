#include "base/value_pool.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/id_list.h"
#include "testing/rng.h"

namespace base {
namespace {

TEST(ValuePool, EqualValuesAreKeptOnce) {
  ValuePool<std::string> pool;
  const PooledId a = pool.acquire("a");
  const PooledId b = pool.acquire("b");
  EXPECT_NE(a, b);
  EXPECT_EQ(pool.acquire("a"), a);
  EXPECT_EQ(pool[a], "a");
  EXPECT_EQ(pool[b], "b");
  pool.release(a);
  EXPECT_EQ(pool[a], "a") << "another refers to it";
  pool.release(a);
  EXPECT_EQ(pool.size(), 1u);
  EXPECT_EQ(pool.acquire("c"), a) << "its number is used again";
  EXPECT_EQ(pool[a], "c");
  EXPECT_EQ(pool[b], "b");
}

TEST(IdList, IsAList) {
  testing::Rng random(1);
  IdList tested;
  std::vector<std::uint32_t> expected;
  for (int step = 0; step < 2'000; ++step) {
    if (expected.empty() || random.one_in(2)) {
      const auto id = random.one_in(4) ? UINT32_MAX : static_cast<std::uint32_t>(random.index(4));
      tested.push_back(id);
      expected.push_back(id);
    } else {
      const std::uint32_t id = expected[random.index(expected.size())];
      tested.erase(id);
      expected.erase(std::find(expected.begin(), expected.end(), id));
    }
    if (random.one_in(20)) {
      IdList moved = std::move(tested);
      tested = std::move(moved);
    }
    ASSERT_EQ(std::vector<std::uint32_t>(tested.items().begin(), tested.items().end()), expected);
    ASSERT_EQ(tested.size(), expected.size());
    ASSERT_EQ(tested.empty(), expected.empty());
    if (expected.size() > 5) {
      tested = IdList();
      expected.clear();
    }
  }
}

}  // namespace
}  // namespace base
