// Random expressions against a naive twin: an evaluator that walks the expression over a map of strings.
#include <algorithm>
#include <map>
#include <memory>
#include <random>

#include <gtest/gtest.h>

#include "model/selector.h"

namespace model {
namespace {

using TextLabels = std::map<std::string, std::string>;

struct Expression {
  enum Kind { kAll, kHas, kEqual, kNotEqual, kContains, kStarts, kEnds, kIn, kNotIn, kNot, kAnd, kOr } kind = kAll;
  std::string label;
  std::vector<std::string> values;
  std::vector<std::unique_ptr<Expression>> operands;

  bool matches(const TextLabels& labels) const {
    const auto found = labels.find(label);
    const bool present = found != labels.end();
    const std::string value = present ? found->second : "";
    const auto listed = [&] { return std::find(values.begin(), values.end(), value) != values.end(); };
    switch (kind) {
      case kAll: return true;
      case kHas: return present;
      case kEqual: return present && value == values[0];
      case kNotEqual: return !present || value != values[0];
      case kContains: return present && value.find(values[0]) != std::string::npos;
      case kStarts: return present && value.rfind(values[0], 0) == 0;
      case kEnds:
        return present && value.size() >= values[0].size() &&
               value.compare(value.size() - values[0].size(), std::string::npos, values[0]) == 0;
      case kIn: return present && listed();
      case kNotIn: return !present || !listed();
      case kNot: return !operands[0]->matches(labels);
      case kAnd:
        for (const auto& operand : operands) {
          if (!operand->matches(labels)) return false;
        }
        return true;
      case kOr:
        for (const auto& operand : operands) {
          if (operand->matches(labels)) return true;
        }
        return false;
    }
    return false;
  }
};

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  int below(int limit) { return std::uniform_int_distribution(0, limit - 1)(random_); }

  std::string label() { return std::string(1, static_cast<char>('a' + below(4))); }
  std::string value() {
    static const char* const kValues[] = {"", "x", "y", "xy", "yx", "it's", "say \"x\""};
    return kValues[below(7)];
  }
  TextLabels labels() {
    TextLabels labels;
    for (int i = below(5); i > 0; --i) labels[label()] = value();
    return labels;
  }

  std::unique_ptr<Expression> expression(int depth) {
    auto e = std::make_unique<Expression>();
    e->kind = static_cast<Expression::Kind>(below(depth > 0 ? 12 : 9));
    switch (e->kind) {
      case Expression::kAll: break;
      case Expression::kNot: e->operands.push_back(expression(depth - 1)); break;
      case Expression::kAnd:
      case Expression::kOr:
        for (int i = 2 + below(3); i > 0; --i) e->operands.push_back(expression(depth - 1));
        break;
      case Expression::kIn:
      case Expression::kNotIn:
        e->label = label();
        for (int i = below(4); i > 0; --i) e->values.push_back(value());
        break;
      case Expression::kHas:
      case Expression::kEqual:
      case Expression::kNotEqual:
      case Expression::kContains:
      case Expression::kStarts:
      case Expression::kEnds:
        e->label = label();
        e->values.push_back(value());
        break;
    }
    return e;
  }

  std::string blank() { return std::string(static_cast<std::size_t>(below(3)), below(2) == 0 ? ' ' : '\t'); }

  // As a person might write it: blanks anywhere, either quote, needless parentheses.
  std::string text(const Expression& e) {
    switch (e.kind) {
      case Expression::kAll: return "all(" + blank() + ")";
      case Expression::kHas: return "has(" + blank() + e.label + ")";
      case Expression::kEqual: return e.label + blank() + "==" + blank() + quoted(e.values[0]);
      case Expression::kNotEqual: return e.label + blank() + "!=" + quoted(e.values[0]);
      case Expression::kContains: return e.label + " contains" + blank() + quoted(e.values[0]);
      case Expression::kStarts: return e.label + "\tstarts" + blank() + "with " + quoted(e.values[0]);
      case Expression::kEnds: return e.label + " ends" + blank() + "with" + quoted(e.values[0]);
      case Expression::kIn: return e.label + " in" + blank() + set(e.values);
      case Expression::kNotIn: return e.label + " not" + blank() + "in" + blank() + set(e.values);
      case Expression::kNot: return "!" + blank() + "(" + text(*e.operands[0]) + ")";
      case Expression::kAnd: return chain(e, "&&");
      case Expression::kOr: return chain(e, "||");
    }
    return "";
  }

 private:
  std::string quoted(const std::string& value) {
    const bool has_double = value.find('"') != std::string::npos;
    const bool has_single = value.find('\'') != std::string::npos;
    const char quote = has_double || (!has_single && below(2) == 0) ? '\'' : '"';
    return quote + value + quote;
  }
  std::string set(const std::vector<std::string>& values) {
    std::string out = "{" + blank();
    for (std::size_t i = 0; i < values.size(); ++i) {
      out += quoted(values[i]) + blank();
      if (i + 1 < values.size() || below(2) == 0) out += "," + blank();
    }
    return out + "}";
  }
  std::string chain(const Expression& e, const std::string& separator) {
    std::string out;
    for (const auto& operand : e.operands) {
      if (!out.empty()) out += blank() + separator + blank();
      out += "(" + text(*operand) + ")";
    }
    return out;
  }

  std::mt19937_64 random_;
};

Labels intern(const TextLabels& texts, base::Interner& interner) {
  Labels labels;
  for (const auto& [name, value] : texts) labels.push_back({interner.intern(name), interner.intern(value)});
  normalise(labels);
  return labels;
}

bool fulfils(const TextLabels& labels, const Selector& selector) {
  if (selector.is_impossible()) return false;
  for (const LabelRestriction& r : selector.restrictions()) {
    const auto found = labels.find(std::string(r.name().view()));
    if (r.must_be_present() && found == labels.end()) return false;
    if (r.must_be_absent() && found != labels.end()) return false;
    if (!r.has_values()) continue;
    bool listed = false;
    for (const Symbol value : r.values()) listed = listed || (found != labels.end() && value.view() == found->second);
    if (!listed) return false;
  }
  return true;
}

TEST(SelectorProperty, AgreesWithTheNaiveTwin) {
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    Generator generate(seed);
    const auto expression = generate.expression(4);
    const std::string text = generate.text(*expression);
    base::Interner interner;
    auto selector = Selector::parse(text, interner);
    ASSERT_TRUE(selector) << "seed " << seed << ": " << text << ": " << selector.error().text();
    auto reread = Selector::parse(selector->canonical(), interner);
    ASSERT_TRUE(reread) << "seed " << seed << ": " << selector->canonical();
    for (int i = 0; i < 20; ++i) {
      const TextLabels labels = generate.labels();
      const bool expected = expression->matches(labels);
      const Labels interned = intern(labels, interner);
      ASSERT_EQ(selector->matches(interned), expected) << "seed " << seed << ": " << text;
      ASSERT_EQ(reread->matches(interned), expected) << "seed " << seed << ": " << selector->canonical();
      ASSERT_TRUE(!expected || fulfils(labels, *selector)) << "seed " << seed << ": " << text;
    }
    // Without a doubled negation the canonical text is a fixed point.
    if (selector->canonical().find("!!") == std::string::npos) {
      ASSERT_EQ(reread->canonical(), selector->canonical()) << "seed " << seed;
      ASSERT_EQ(reread->unique_id(), selector->unique_id()) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace model
