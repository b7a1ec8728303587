#include <string_view>

#include "model/selector/tree.h"

namespace model::selector {
namespace {

class Printer {
 public:
  Printer(const Tree& tree, std::string_view label_prefix) : tree_(tree), prefix_(label_prefix) {}

  std::string print() {
    node(tree_[tree_.root]);
    return std::move(out_);
  }

 private:
  void node(const Node& n) {
    switch (n.kind) {
      case NodeKind::kAll: out_ += "all()"; return;
      case NodeKind::kGlobal: out_ += "global()"; return;
      case NodeKind::kHas:
        out_ += "has(";
        label(n);
        out_ += ')';
        return;
      case NodeKind::kEqual: return comparison(n, " == ");
      case NodeKind::kNotEqual: return comparison(n, " != ");
      case NodeKind::kContains: return comparison(n, " contains ");
      case NodeKind::kStartsWith: return comparison(n, " starts with ");
      case NodeKind::kEndsWith: return comparison(n, " ends with ");
      case NodeKind::kIn: return membership(n, " in {");
      case NodeKind::kNotIn: return membership(n, " not in {");
      case NodeKind::kNot: out_ += '!'; return node(tree_[n.operands.front()]);
      case NodeKind::kAnd: return chain(n, " && ");
      case NodeKind::kOr: return chain(n, " || ");
    }
  }

  void label(const Node& n) {
    out_ += prefix_;
    out_ += n.label;
  }

  // A literal cannot hold the quote it was written in, so one of the two always fits.
  void literal(std::string_view value) {
    const char quote = value.find('"') == std::string_view::npos ? '"' : '\'';
    out_ += quote;
    out_ += value;
    out_ += quote;
  }

  void comparison(const Node& n, std::string_view symbol) {
    label(n);
    out_ += symbol;
    literal(n.values.front());
  }

  void membership(const Node& n, std::string_view opening) {
    label(n);
    out_ += opening;
    std::string_view separator;
    for (const std::string_view value : n.values) {
      out_ += separator;
      literal(value);
      separator = ", ";
    }
    out_ += '}';
  }

  void chain(const Node& n, std::string_view separator) {
    out_ += '(';
    std::string_view before;
    for (const NodeIndex operand : n.operands) {
      out_ += before;
      node(tree_[operand]);
      before = separator;
    }
    out_ += ')';
  }

  const Tree& tree_;
  std::string_view prefix_;
  std::string out_;
};

}  // namespace

std::string print_tree(const Tree& tree, std::string_view label_prefix) { return Printer(tree, label_prefix).print(); }

}  // namespace model::selector
