// program.h: a selector compiled for evaluation.
//
// Only the tests on labels remain, in the order they are written; and, or and not have become jumps: each test says
// where to go on when it holds and when it does not. (a || !b) && c is
//     0: a   true → 2        false → 1
//     1: b   true → reject   false → 2
//     2: c   true → accept   false → reject
// so evaluation is one loop without recursion, calls or memory. At start every endpoint of the cloud meets every active
// selector: 250,000 × 60 evaluations.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/symbol.h"
#include "model/labels.h"
#include "model/selector/tree.h"

namespace model::selector {

using Target = std::uint32_t;
inline constexpr Target kAccept = UINT32_MAX;
inline constexpr Target kReject = UINT32_MAX - 1;

struct Test {
  NodeKind kind = NodeKind::kAll;
  Target on_true = kAccept;
  Target on_false = kReject;
  std::uint32_t set_first = 0;  // of memberships: a range of the values, sorted by symbol id
  Symbol label;
  Symbol value;  // of comparisons
  std::uint32_t set_count = 0;
};

struct Compiled {
  std::vector<Test> tests;
  std::vector<Symbol> set_values;
};
Compiled compile(const Tree& tree, base::Interner& interner);

// A view of what was compiled.
class Program {
 public:
  Program(std::span<const Test> tests, const Symbol* set_values) : tests_(tests), set_values_(set_values) {}
  bool matches(std::span<const Label> labels) const;

 private:
  bool holds(const Test& test, const Label* label) const;
  bool in_set(const Test& test, Symbol value) const;

  std::span<const Test> tests_;
  const Symbol* set_values_;  // as far as the tests reach
};

}  // namespace model::selector
