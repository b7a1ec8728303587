#include "base/compact_map.h"

#include <climits>
#include <map>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "testing/rng.h"

namespace base {
namespace {

using Tested = CompactMap<int, std::vector<int>>;
using Expected = std::map<int, std::vector<int>>;

Expected contents(const Tested& map) {
  Expected found;
  int last = INT_MIN;
  map.for_each([&](int key, const std::vector<int>& value) {
    EXPECT_LT(last, key) << "in ascending order";
    last = key;
    found.emplace(key, value);
  });
  return found;
}

std::vector<int> keys_from(const Tested& map, int first, std::size_t most) {
  std::vector<int> keys;
  map.for_each_from(first, [&](int key, const std::vector<int>&) {
    keys.push_back(key);
    return keys.size() < most;
  });
  return keys;
}

std::vector<int> keys_from(const Expected& map, int first, std::size_t most) {
  std::vector<int> keys;
  for (auto it = map.lower_bound(first); it != map.end() && keys.size() < most; ++it) keys.push_back(it->first);
  return keys;
}

// It grows, shrinks and grows again; keys come at random, ascending and descending.
TEST(CompactMap, IsAMap) {
  testing::Rng random(1);
  Tested tested;
  Expected expected;
  for (int step = 0; step < 20'000; ++step) {
    const bool growing = step / 2'500 % 2 == 0;
    const int run = static_cast<int>(random.index(30));
    const int start = static_cast<int>(random.index(3'000));
    const int direction = random.one_in(2) ? 1 : -1;
    for (int i = 0; i < run; ++i) {
      const int key = start + i * direction;
      if (random.one_in(4) != growing) {
        const auto found = expected.find(key);
        ASSERT_EQ(tested.find(key) != nullptr, found != expected.end());
        tested[key].push_back(step);
        expected[key].push_back(step);
      } else {
        ASSERT_EQ(tested.erase(key), expected.erase(key) == 1);
      }
      ASSERT_EQ(tested.size(), expected.size());
      ASSERT_EQ(tested.contains(key), expected.contains(key));
    }
    if (step % 100 != 0) continue;
    ASSERT_EQ(contents(tested), expected);
    ASSERT_EQ(keys_from(tested, start, 100), keys_from(expected, start, 100));
    if (random.one_in(10)) {
      const auto leaves = [&](int key) { return (key + step) % 7 != 0; };
      tested.erase_if([&](int key, std::vector<int>&) { return leaves(key); });
      std::erase_if(expected, [&](const auto& entry) { return leaves(entry.first); });
      ASSERT_EQ(tested.size(), expected.size());
      ASSERT_EQ(contents(tested), expected);
    }
  }
}

TEST(CompactMap, ASetCostsItsKeys) {
  CompactSet<int> set;
  EXPECT_TRUE(set.insert(7));
  EXPECT_FALSE(set.insert(7));
  EXPECT_TRUE(set.contains(7));
  EXPECT_TRUE(set.erase(7));
  EXPECT_FALSE(set.erase(7));
  EXPECT_TRUE(set.empty());
}

}  // namespace
}  // namespace base
