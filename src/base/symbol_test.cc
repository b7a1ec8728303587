#include "base/symbol.h"

#include <string>

#include <gtest/gtest.h>

namespace base {
namespace {

TEST(Symbol, EqualTextIsOneSymbol) {
  Interner interner;
  const Symbol a = interner.intern("web");
  EXPECT_EQ(a, interner.intern(std::string("web")));
  EXPECT_NE(a, interner.intern("db"));
  EXPECT_EQ(interner.size(), 2u);
  EXPECT_EQ(interner.find("db").view(), "db");
  EXPECT_TRUE(interner.find("cache").empty());
  EXPECT_EQ(interner.size(), 2u);
}

TEST(Symbol, EmptyTextIsTheDefaultSymbol) {
  Interner interner;
  EXPECT_EQ(interner.intern(""), Symbol());
  EXPECT_EQ(Symbol().view(), "");
}

TEST(Symbol, OrderIsByTextNotByAge) {
  Interner interner;
  const Symbol later = interner.intern("b");
  const Symbol earlier = interner.intern("a");
  EXPECT_LT(earlier, later);
}

TEST(Symbol, SymbolsSurviveGrowth) {
  Interner interner;
  const Symbol first = interner.intern("first");
  for (int i = 0; i < 20000; ++i) interner.intern("label-" + std::to_string(i));
  const Symbol large = interner.intern(std::string(200 * 1024, 'x'));
  EXPECT_EQ(first.view(), "first");
  EXPECT_EQ(large.view().size(), 200u * 1024);
  EXPECT_EQ(interner.intern("label-77"), interner.find("label-77"));
}

}  // namespace
}  // namespace base
