#include "model/selector.h"

#include <algorithm>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/selector/tree.h"

namespace model {
namespace {

using TextLabels = std::map<std::string, std::string>;

Labels intern(const TextLabels& texts, base::Interner& interner) {
  Labels labels;
  for (const auto& [name, value] : texts) labels.push_back({interner.intern(name), interner.intern(value)});
  normalise(labels);
  return labels;
}

struct CanonicalCase {
  std::string_view input, canonical;
};

TEST(Selector, CanonicalText) {
  const CanonicalCase kCases[] = {
      {"", "all()"},
      {" \t ", "all()"},
      {"(all())", "all()"},
      {"all(  )", "all()"},
      {"global()", "global()"},
      {"has( a\t)", "has(a)"},
      {"a=='b'", "a == \"b\""},
      {"a == 'say \"hi\"'", "a == 'say \"hi\"'"},
      {"a!=\"it's\"", "a != \"it's\""},
      {"a contains 'x'", "a contains \"x\""},
      {"a startswith'x'", "a starts with \"x\""},
      {"a starts \t with \"x\"", "a starts with \"x\""},
      {"a endswith 'x'", "a ends with \"x\""},
      {"a in{'b','a','b',}", "a in {\"a\", \"b\"}"},
      {"a in {}", "a in {}"},
      {"a notin {'x'}", "a not in {\"x\"}"},
      {"a not  in {'x'}", "a not in {\"x\"}"},
      {"!has(a)", "!has(a)"},
      {"!!has(a)", "has(a)"},
      {"!!!has(a)", "!has(a)"},
      {"!(!has(a))", "!!has(a)"},
      {"! ( ! ! has(a) )", "!has(a)"},
      {"!(a == 'b')", "!a == \"b\""},
      {"a == 'b' && c == 'd' || has(e)", "((a == \"b\" && c == \"d\") || has(e))"},
      {"has(a) && has(b) && has(c)", "(has(a) && has(b) && has(c))"},
      {"has(a) && (has(b) && has(c))", "(has(a) && (has(b) && has(c)))"},
      {"((has(a)) || ((has(b))))", "(has(a) || has(b))"},
      {"in == 'a'", "in == \"a\""},
      {"has == 'a' && all == 'b' && contains contains 'c'",
       "(has == \"a\" && all == \"b\" && contains contains \"c\")"},
      {"not not in {'a'}", "not not in {\"a\"}"},
      {"a.b/c-d_E9 == ''", "a.b/c-d_E9 == \"\""},
      {"a == 'line\nbreak'", "a == \"line\nbreak\""},
  };
  base::Interner interner;
  for (const CanonicalCase& c : kCases) {
    auto selector = Selector::parse(c.input, interner);
    ASSERT_TRUE(selector) << c.input << ": " << selector.error().text();
    EXPECT_EQ(selector->canonical(), c.canonical) << c.input;
  }
}

struct RefusedCase {
  std::string_view input, message;
};

TEST(Selector, RefusalsSayWhereAndWhatWasExpected) {
  const std::string long_label(513, 'a');
  const std::string long_text = long_label + " == 'x'";
  const std::string long_has = "has(" + long_label + ")";
  const RefusedCase kCases[] = {
      {"a", "position 1: expected an operator after the label, found the end"},
      {"a = 'b'", "position 2: expected an operator after the label"},
      {"a == b", "position 5: expected a string in quotes, found a label"},
      {"a == 'b", "position 5: the string has no closing quote"},
      {"a == 'b' c", "position 9: expected '&&', '||' or the end, found a label"},
      {"a == 'b' & c", "position 9: unexpected character"},
      {"has (a)", "position 4: expected an operator after the label, found '('"},
      {"has()", "expected an operator after the label, found '('"},
      {"has(a", "expected an operator after the label"},
      {"all(x)", "expected an operator after the label"},
      {"a\n== 'b'", "position 1: expected an operator after the label"},
      {"\na == 'b'", "position 0: unexpected character"},
      {"a in {'b' 'c'}", "position 10: expected a string, ',' or '}', found a string"},
      {"a in {,}", "position 6: expected a string, ',' or '}', found ','"},
      {"a in 'b'", "position 5: expected '{', found a string"},
      {"a inside {'b'}", "position 2: expected an operator after the label"},
      {"a starts 'b'", "position 2: expected an operator after the label"},
      {"a 'b'", "position 2: expected an operator after the label"},
      {"a b", "position 2: expected an operator after the label"},
      {"a contains", "position 10: expected a string in quotes, found the end"},
      {"(has(a)", "position 7: expected '&&', '||' or ')', found the end"},
      {"has(a))", "position 6: expected '&&', '||' or the end, found ')'"},
      {"has(a) &&", "position 9: expected a label, has(), all() or '(', found the end"},
      {"!", "position 1: expected a label"},
      {"has(a) == 'b'", "position 7: expected '&&', '||' or the end, found '=='"},
      {"has(a) != 'b'", "found '!='"},
      {"has(a) !has(b)", "found '!'"},
      {"has(a) {", "found '{'"},
      {"has(a) }", "found '}'"},
      {"has(a) has(b)", "found 'has(...)'"},
      {"has(a) all()", "found 'all()'"},
      {"has(a) global()", "found 'global()'"},
      {"has(a) && && has(b)", "found '&&'"},
      {"|| has(b)", "found '||'"},
      {"contains 'x'", "position 9: expected an operator after the label"},
      {"'a' == 'b'", "position 0: expected a label"},
      {long_text, "longer than 512"},
      {long_has, "expected an operator after the label"},
      {"\xff", "position 0: unexpected character"},
      {std::string_view("a\0 == 'b'", 9), "position 1"},
  };
  base::Interner interner;
  for (const RefusedCase& c : kCases) {
    auto selector = Selector::parse(c.input, interner);
    ASSERT_FALSE(selector) << c.input;
    EXPECT_THAT(selector.error().text(), testing::HasSubstr(c.message)) << c.input;
  }
  EXPECT_TRUE(Selector::parse(std::string(512, 'a') + " == 'x'", interner));
}

struct IdCase {
  std::string_view input, canonical, id;
};

TEST(Selector, UniqueIds) {
  const IdCase kCases[] = {
      {"", "all()", "s:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug"},
      {"!all()", "!all()", "s:Z9zLaL1EHxF9kgXz1JwBD_e-AJbeJyFDpG-oKw"},
      {"a == 'b'", "a == \"b\"", "s:flMh0m0X_BowkAK_W3j3MgH8oQOsj3WxGDoXCQ"},
      {"!(has(b) || !has(a))", "!(has(b) || !has(a))", "s:Iss0uCleLYv1GSv_pNm7hAO58kE9jAx1NKyG3Q"},
      {"!(a == \"b\" && !c != \"d\")", "!(a == \"b\" && !c != \"d\")", "s:lh3haoY1ikTRkd4UZu0nWSaIBknYLPJLX16d-w"},
      {"has(sg.projectcalico.org/openstack-a1b2)", "has(sg.projectcalico.org/openstack-a1b2)",
       "s:F863tsEpw3q3tlQ0KYKpkmn29HL7myEhZ59S7w"},
      {"(projectcalico.org/namespace == 'openstack') && (has(sg.projectcalico.org/openstack-a1b2))",
       "(projectcalico.org/namespace == \"openstack\" && has(sg.projectcalico.org/openstack-a1b2))",
       "s:Lym2NGxwisfza0Bomp-jO3ZO6OBWw69aPEKUkg"},
  };
  base::Interner interner;
  for (const IdCase& c : kCases) {
    auto selector = Selector::parse(c.input, interner);
    ASSERT_TRUE(selector) << c.input;
    EXPECT_EQ(selector->canonical(), c.canonical);
    EXPECT_EQ(selector->unique_id(), c.id) << c.input;
  }
  EXPECT_EQ(hashed_id("n:", Selector().unique_id() + ",tcp,http"), "n:cl9_Kgeu4H0OGLbhovVR3NBLUOZscKeMK1Mu4A");
  EXPECT_EQ(hashed_id("svc:", "ns/foo"), "svc:HRGoleVF2sBXFtENr-bnrJaW-TTuLAA2S9CoRg");
  EXPECT_EQ(hashed_id("svcnoport:", "ns/foo"), "svcnoport:BkCpQ0uzX6STJSXWRXDCXE6uLtiJ05_0XTz32A");
}

// Reading the canonical text of !(!x) again gives x, so its identifier must not come from there.
TEST(Selector, IdComesFromTheTextAsWritten) {
  base::Interner interner;
  const Selector twice = *Selector::parse("!(!has(a))", interner);
  const Selector reread = *Selector::parse(twice.canonical(), interner);
  EXPECT_EQ(twice.canonical(), "!!has(a)");
  EXPECT_EQ(reread.canonical(), "has(a)");
  EXPECT_NE(twice.unique_id(), reread.unique_id());
}

struct MatchCase {
  std::string_view selector;
  TextLabels labels;
  bool matches;
};

TEST(Selector, MatchesLabels) {
  const MatchCase kCases[] = {
      {"", {}, true},
      {"global()", {}, true},
      {"!all()", {}, false},
      {"has(a)", {{"a", ""}}, true},
      {"has(a)", {{"A", "x"}}, false},
      {"a == 'x'", {{"a", "x"}}, true},
      {"a == 'x'", {{"a", "X"}}, false},
      {"a == 'x'", {}, false},
      {"a == ''", {{"a", ""}}, true},
      {"a == ''", {}, false},
      {"a != 'x'", {}, true},
      {"a != 'x'", {{"a", "y"}}, true},
      {"a != 'x'", {{"a", "x"}}, false},
      {"a in {'x', 'y'}", {{"a", "y"}}, true},
      {"a in {'x', 'y'}", {{"a", "z"}}, false},
      {"a in {}", {{"a", "z"}}, false},
      {"a not in {'x'}", {}, true},
      {"a not in {'x'}", {{"a", "x"}}, false},
      {"a not in {}", {{"a", "x"}}, true},
      {"a contains 'el'", {{"a", "hello"}}, true},
      {"a contains ''", {{"a", ""}}, true},
      {"a contains ''", {}, false},
      {"a starts with 'he'", {{"a", "hello"}}, true},
      {"a starts with 'el'", {{"a", "hello"}}, false},
      {"a ends with 'lo'", {{"a", "hello"}}, true},
      {"a ends with 'hello '", {{"a", "hello"}}, false},
      {"!(a == 'x' || b == 'y')", {{"a", "z"}}, true},
      {"!(a == 'x' || b == 'y')", {{"b", "y"}}, false},
      {"(has(a) || !has(b)) && c == 'x'", {{"b", "1"}, {"c", "x"}}, false},
      {"(has(a) || !has(b)) && c == 'x'", {{"c", "x"}}, true},
      {"has(a) && has(b) || has(c)", {{"c", ""}}, true},
  };
  base::Interner interner;
  for (const MatchCase& c : kCases) {
    auto selector = Selector::parse(c.selector, interner);
    ASSERT_TRUE(selector) << c.selector;
    EXPECT_EQ(selector->matches(intern(c.labels, interner)), c.matches) << c.selector;
  }
}

TEST(Selector, LargeSetsAreSearched) {
  base::Interner interner;
  std::string text = "a in {";
  for (int i = 0; i < 100; ++i) text += "'v" + std::to_string(i) + "', ";
  const Selector selector = *Selector::parse(text + "}", interner);
  EXPECT_TRUE(selector.matches(intern({{"a", "v77"}}, interner)));
  EXPECT_TRUE(selector.matches(intern({{"a", "v0"}}, interner)));
  EXPECT_FALSE(selector.matches(intern({{"a", "v100"}}, interner)));
}

TEST(Selector, NestingIsLimited) {
  const auto nested = [](int depth, std::string open) {
    std::string text;
    for (int i = 0; i < depth; ++i) text += open;
    return text + "has(a)" + std::string(static_cast<std::size_t>(depth), ')');
  };
  base::Interner interner;
  EXPECT_TRUE(Selector::parse(nested(selector::kMaxDepth, "("), interner));
  EXPECT_FALSE(Selector::parse(nested(selector::kMaxDepth + 1, "("), interner));
  EXPECT_TRUE(Selector::parse(nested(selector::kMaxDepth / 2 - 1, "!(has(b) && "), interner));
  EXPECT_FALSE(Selector::parse(nested(selector::kMaxDepth / 2, "!(has(b) && "), interner));
  const auto deepest = Selector::parse(nested(1'000'000, "("), interner);
  ASSERT_FALSE(deepest);
  EXPECT_THAT(deepest.error().text(), testing::HasSubstr("nested deeper than 256 levels"));
  EXPECT_FALSE(Selector::parse(nested(1'000'000, "!("), interner));
  EXPECT_TRUE(Selector::parse(std::string(1'000'000, '!') + "has(a)", interner));
}

std::string describe(const Selector& selector) {
  if (selector.is_impossible()) return "impossible";
  std::map<std::string, std::string> lines;
  for (const LabelRestriction& r : selector.restrictions()) {
    std::string line = r.must_be_present() ? "present" : "";
    if (r.must_be_absent()) line += "absent";
    if (r.has_values()) {
      std::vector<std::string> values;
      for (const Symbol value : r.values()) values.emplace_back(value.view());
      std::sort(values.begin(), values.end());
      for (const std::string& value : values) line += " " + value;
    }
    lines[std::string(r.name().view())] = line;
  }
  std::string text;
  for (const auto& [name, line] : lines) text += (text.empty() ? "" : "; ") + name + " " + line;
  return text;
}

struct RestrictionCase {
  std::string_view selector, restrictions;
};

TEST(Selector, Restrictions) {
  const RestrictionCase kCases[] = {
      {"", ""},
      {"global()", ""},
      {"!all()", ""},
      {"a == 'x'", "a present x"},
      {"a != 'x'", ""},
      {"a in {'x', 'y'}", "a present x y"},
      {"a in {}", "impossible"},
      {"a not in {'x'}", ""},
      {"has(a)", "a present"},
      {"!has(a)", "a absent"},
      {"!(a == 'x')", ""},
      {"a contains 'x'", "a present"},
      {"a starts with 'x'", "a present"},
      {"a ends with 'x'", "a present"},
      {"a == 'x' && b == 'y'", "a present x; b present y"},
      {"a in {'x','y'} && a in {'y','z'}", "a present y"},
      {"a == 'x' && a == 'y'", "impossible"},
      {"has(a) && !has(a)", "impossible"},
      {"has(a) && a == 'x'", "a present x"},
      {"a == 'x' || a == 'y'", "a present x y"},
      {"a == 'x' || b == 'y'", ""},
      {"a == 'x' && b == 'y' || b == 'z'", "b present y z"},
      {"a == 'x' || has(a)", "a present"},
      {"a == 'x' || !has(a)", ""},
      {"!has(a) || !has(a) && has(b)", "a absent"},
      {"a in {} || b == 'x'", "b present x"},
      {"a in {} || b in {}", "impossible"},
      {"a == 'x' || all()", ""},
      {"projectcalico.org/namespace == 'openstack' && has(sg)",
       "projectcalico.org/namespace present openstack; sg present"},
  };
  base::Interner interner;
  for (const RestrictionCase& c : kCases) {
    auto selector = Selector::parse(c.selector, interner);
    ASSERT_TRUE(selector) << c.selector;
    EXPECT_EQ(describe(*selector), c.restrictions) << c.selector;
  }
}

TEST(Selector, EqualByCanonicalText) {
  base::Interner interner;
  EXPECT_EQ(*Selector::parse("all( )", interner), Selector());
  EXPECT_EQ(*Selector::parse("a=='x'", interner), *Selector::parse("(a == \"x\")", interner));
  EXPECT_FALSE(*Selector::parse("a=='x'", interner) == *Selector::parse("a=='y'", interner));
  EXPECT_TRUE(Selector().matches_everything());
  EXPECT_FALSE(Selector::parse("has(a)", interner)->matches_everything());
}

TEST(SelectorCache, SharesAndForgets) {
  base::Interner interner;
  SelectorCache cache(interner);
  const Selector kept = *cache.parse("has(kept)");
  const std::string* const address = &kept.canonical();
  for (int i = 0; i < 2000; ++i) EXPECT_TRUE(cache.parse("has(x" + std::to_string(i) + ")"));
  EXPECT_EQ(&cache.parse("has(kept)")->canonical(), address);
  EXPECT_FALSE(cache.parse("has(kept"));
}

TEST(Selector, LabelPrefix) {
  EXPECT_EQ(*with_label_prefix("a == 'x' || !has(b) && c in {'d'}", "pcns."),
            "(pcns.a == \"x\" || (!has(pcns.b) && pcns.c in {\"d\"}))");
  EXPECT_EQ(*with_label_prefix("", "pcns."), "all()");
  EXPECT_FALSE(with_label_prefix("a ==", "pcns."));
}

}  // namespace
}  // namespace model
