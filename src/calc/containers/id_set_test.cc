#include "calc/containers/id_set.h"

#include <iterator>
#include <set>
#include <utility>

#include <gtest/gtest.h>

#include "testing/rng.h"

namespace calc {
namespace {

std::set<std::uint32_t> contents(const IdSet& ids) {
  std::set<std::uint32_t> found;
  ids.for_each([&](std::uint32_t id) { EXPECT_TRUE(found.insert(id).second) << id; });
  return found;
}

// Few enough ids that the set goes from none to one to many and back again and again.
TEST(IdSet, IsASet) {
  testing::Rng random(1);
  const std::uint32_t ids[] = {0, 1, 7, UINT32_MAX};
  IdSet tested;
  std::set<std::uint32_t> expected;
  for (int step = 0; step < 2'000; ++step) {
    const std::uint32_t id = ids[random.index(std::size(ids))];
    if (random.one_in(2)) {
      ASSERT_EQ(tested.insert(id), expected.insert(id).second);
    } else {
      ASSERT_EQ(tested.erase(id), expected.erase(id) == 1);
    }
    ASSERT_EQ(contents(tested), expected);
    ASSERT_EQ(tested.size(), expected.size());
    ASSERT_EQ(tested.empty(), expected.empty());
    for (const std::uint32_t any : ids) ASSERT_EQ(tested.contains(any), expected.contains(any));
  }
}

TEST(IdSet, MovesItsContent) {
  for (const std::uint32_t count : {0u, 1u, 3u}) {
    IdSet from;
    for (std::uint32_t id = 0; id < count; ++id) from.insert(id);
    const std::set<std::uint32_t> before = contents(from);
    IdSet to;
    to.insert(9);
    to = std::move(from);
    EXPECT_EQ(contents(to), before);
    const IdSet last(std::move(to));
    EXPECT_EQ(contents(last), before);
  }
}

}  // namespace
}  // namespace calc
