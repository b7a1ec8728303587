#include "base/symbol.h"

#include <string>
#include <vector>

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

TEST(Symbol, TextsOfEveryLengthComeBack) {
  Interner interner;
  std::vector<Symbol> symbols;
  // Around one byte of length, and around what is left of a chunk.
  const std::size_t sizes[] = {1, 254, 255, 256, 65'535 - 5, 65'536 - 5, 65'537 - 5, 1};
  char fill = 'a';
  for (const std::size_t size : sizes) symbols.push_back(interner.intern(std::string(size, fill++)));
  fill = 'a';
  for (std::size_t i = 0; i < symbols.size(); ++i) EXPECT_EQ(symbols[i].view(), std::string(sizes[i], fill++)) << i;
}

// The parts of a process have interners of their own, and a symbol is read without its own.
TEST(Symbol, InternersDoNotShareNumbers) {
  Interner first, second;
  const Symbol a = first.intern("web"), b = second.intern("web");
  EXPECT_NE(a, b);
  EXPECT_EQ(a.view(), b.view());
}

TEST(Symbol, NumbersOfFormerInternersAreUsedAgain) {
  Interner lasting;
  const Symbol kept = lasting.intern("kept");
  for (std::uint32_t i = 0; i < SymbolTexts::kChunks + 10; ++i) {
    Interner passing;
    const Symbol symbol = passing.intern("passing");
    ASSERT_NE(symbol, kept);
    ASSERT_EQ(symbol.view(), "passing");
  }
  EXPECT_EQ(kept.view(), "kept");
}

}  // namespace
}  // namespace base
