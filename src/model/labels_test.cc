#include "model/labels.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

namespace model {
namespace {

class LabelsTest : public testing::Test {
 protected:
  Label label(std::string_view name, std::string_view value) { return {interner.intern(name), interner.intern(value)}; }
  base::Interner interner;
};

TEST_F(LabelsTest, NormaliseSortsByIdAndKeepsTheLast) {
  const Label b = label("b", "1"), a = label("a", "1"), a2 = label("a", "2"), a3 = label("a", "3");
  Labels labels{a, a2, b, a3};
  normalise(labels);
  EXPECT_EQ(labels, (Labels{b, a3}));
  Labels none;
  normalise(none);
  EXPECT_TRUE(none.empty());
}

TEST_F(LabelsTest, NormaliseManyKeepsTheLastToo) {
  Labels labels;
  for (int round = 0; round < 3; ++round) {
    for (int i = 99; i >= 0; --i) labels.push_back(label("n" + std::to_string(i), std::to_string(round)));
  }
  normalise(labels);
  ASSERT_EQ(labels.size(), 100u);
  for (const Label& l : labels) EXPECT_EQ(l.value.view(), "2");
  EXPECT_TRUE(std::is_sorted(labels.begin(), labels.end(), [](Label a, Label b) { return a.name.id() < b.name.id(); }));
}

TEST_F(LabelsTest, OwnLabelsWinThenTheFirstParent) {
  const Labels own{label("a", "own")};
  const Labels first{label("a", "first"), label("b", "first")};
  const Labels second{label("b", "second"), label("c", "second")};
  const std::span<const Label> parents[] = {first, second};
  EXPECT_EQ(inherit(own, parents), (Labels{label("a", "own"), label("b", "first"), label("c", "second")}));
  EXPECT_EQ(inherit(own, {}), own);
}

TEST_F(LabelsTest, Find) {
  const Labels labels{label("a", "1"), label("b", "")};
  EXPECT_EQ(find_label(labels, interner.intern("b"))->value, Symbol());
  EXPECT_EQ(find_label(labels, interner.intern("c")), nullptr);
}

}  // namespace
}  // namespace model
