// tree.h: a selector's parse tree, in one array. It lives only while a selector is being built: the canonical text, the
// restrictions and the evaluator's program are made from it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace model::selector {

// Deepest nesting of parentheses, and of operators, that is accepted. Everything below walks the tree recursively, so
// this bounds the stack; selectors written by people and by Neutron nest less than ten deep.
inline constexpr int kMaxDepth = 256;

enum class NodeKind : std::uint8_t {
  kAll,
  kGlobal,
  kHas,
  kEqual,
  kNotEqual,
  kContains,
  kStartsWith,
  kEndsWith,
  kIn,
  kNotIn,
  kNot,
  kAnd,
  kOr,
};

using NodeIndex = std::uint32_t;

struct Node {
  NodeKind kind = NodeKind::kAll;
  std::string_view label;                // of tests; a view into the parsed text
  std::vector<std::string_view> values;  // of tests: one literal, or the sorted distinct members of a set
  std::vector<NodeIndex> operands;       // of kNot (one), kAnd and kOr (two or more)
};

struct Tree {
  std::vector<Node> nodes;
  NodeIndex root = 0;
  const Node& operator[](NodeIndex index) const { return nodes[index]; }
};

// The tree refers to `text`, which must outlive it. Empty or blank text is all().
base::Result<Tree> parse_tree(std::string_view text);

// Spec datamodel §5.4; `label_prefix` is put before every label name.
std::string print_tree(const Tree& tree, std::string_view label_prefix = {});

}  // namespace model::selector
