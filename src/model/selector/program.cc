#include "model/selector/program.h"

#include <algorithm>

#include "base/check.h"

namespace model::selector {
namespace {

// Emits tests front to back. An operand's jump target is often the test after it, whose index is known only once the
// operand has been emitted; counting the tests of each operand first gives it in advance.
class Compiler {
 public:
  Compiler(const Tree& tree, base::Interner& interner) : tree_(tree), interner_(interner), sizes_(tree.nodes.size()) {
    // The parser adds operands before the node that holds them, so one pass in index order sees them first.
    for (NodeIndex i = 0; i < tree.nodes.size(); ++i) {
      sizes_[i] = tree[i].operands.empty() ? 1 : 0;
      for (const NodeIndex operand : tree[i].operands) sizes_[i] += sizes_[operand];
    }
  }

  Compiled compile() {
    CHECK(sizes_[tree_.root] < kReject);
    compiled_.tests.reserve(sizes_[tree_.root]);
    emit(tree_.root, kAccept, kReject);
    return std::move(compiled_);
  }

 private:
  void emit(NodeIndex index, Target on_true, Target on_false) {
    const Node& node = tree_[index];
    switch (node.kind) {
      case NodeKind::kNot: return emit(node.operands.front(), on_false, on_true);
      case NodeKind::kAnd:
      case NodeKind::kOr: return emit_chain(node, on_true, on_false);
      case NodeKind::kAll:
      case NodeKind::kGlobal:
      case NodeKind::kHas:
      case NodeKind::kEqual:
      case NodeKind::kNotEqual:
      case NodeKind::kContains:
      case NodeKind::kStartsWith:
      case NodeKind::kEndsWith:
      case NodeKind::kIn:
      case NodeKind::kNotIn: return emit_test(node, on_true, on_false);
    }
  }

  void emit_chain(const Node& node, Target on_true, Target on_false) {
    for (const NodeIndex operand : node.operands) {
      const auto after = static_cast<Target>(compiled_.tests.size()) + sizes_[operand];
      const bool last = operand == node.operands.back();
      if (node.kind == NodeKind::kAnd) {
        emit(operand, last ? on_true : after, on_false);
      } else {
        emit(operand, on_true, last ? on_false : after);
      }
    }
  }

  void emit_test(const Node& node, Target on_true, Target on_false) {
    Test test;
    test.kind = node.kind;
    test.on_true = on_true;
    test.on_false = on_false;
    test.label = interner_.intern(node.label);
    if (node.kind == NodeKind::kIn || node.kind == NodeKind::kNotIn) {
      add_set(test, node.values);
    } else if (!node.values.empty()) {
      test.value = interner_.intern(node.values.front());
    }
    compiled_.tests.push_back(test);
  }

  void add_set(Test& test, const std::vector<std::string_view>& values) {
    auto& all = compiled_.set_values;
    test.set_first = static_cast<std::uint32_t>(all.size());
    test.set_count = static_cast<std::uint32_t>(values.size());
    for (const std::string_view value : values) all.push_back(interner_.intern(value));
    std::sort(all.begin() + test.set_first, all.end(), [](Symbol a, Symbol b) { return a.id() < b.id(); });
  }

  const Tree& tree_;
  base::Interner& interner_;
  std::vector<std::uint32_t> sizes_;
  Compiled compiled_;
};

}  // namespace

Compiled compile(const Tree& tree, base::Interner& interner) { return Compiler(tree, interner).compile(); }

bool Program::matches(std::span<const Label> labels) const {
  Target next = 0;
  while (next < kReject) {
    const Test& test = tests_[next];
    next = holds(test, find_label(labels, test.label)) ? test.on_true : test.on_false;
  }
  return next == kAccept;
}

bool Program::holds(const Test& test, const Label* label) const {
  switch (test.kind) {
    case NodeKind::kHas: return label != nullptr;
    case NodeKind::kEqual: return label != nullptr && label->value == test.value;
    case NodeKind::kNotEqual: return label == nullptr || label->value != test.value;
    case NodeKind::kIn: return label != nullptr && in_set(test, label->value);
    case NodeKind::kNotIn: return label == nullptr || !in_set(test, label->value);
    case NodeKind::kContains:
      return label != nullptr && label->value.view().find(test.value.view()) != std::string_view::npos;
    case NodeKind::kStartsWith: return label != nullptr && label->value.view().starts_with(test.value.view());
    case NodeKind::kEndsWith: return label != nullptr && label->value.view().ends_with(test.value.view());
    case NodeKind::kAll:
    case NodeKind::kGlobal: return true;
    case NodeKind::kNot:
    case NodeKind::kAnd:
    case NodeKind::kOr: break;  // compiled away
  }
  return false;
}

bool Program::in_set(const Test& test, Symbol value) const {
  constexpr std::uint32_t kLongestScan = 16;
  const auto set = std::span(set_values_ + test.set_first, test.set_count);
  if (set.size() <= kLongestScan) return std::find(set.begin(), set.end(), value) != set.end();
  return std::binary_search(set.begin(), set.end(), value, [](Symbol a, Symbol b) { return a.id() < b.id(); });
}

}  // namespace model::selector
