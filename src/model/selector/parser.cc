// Recursive descent over the grammar of spec datamodel §5.2.
#include <algorithm>

#include "model/selector/lexer.h"
#include "model/selector/tree.h"

namespace model::selector {
namespace {

// A parsed operand and the height of its tree, which print and compile will descend.
struct Parsed {
  NodeIndex node = 0;
  int height = 1;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text) {}

  base::Result<Tree> parse() {
    if (auto first = advance(); !first) return base::fail(std::move(first).error());
    if (token_.kind == TokenKind::kEnd) return Tree{{Node{}}, 0};
    auto root = parse_or();
    if (!root) return base::fail(std::move(root).error());
    if (token_.kind != TokenKind::kEnd) return base::fail(unexpected("'&&', '||' or the end"));
    tree_.root = root->node;
    return std::move(tree_);
  }

 private:
  base::Result<Parsed> parse_or() { return parse_chain(TokenKind::kOr, NodeKind::kOr, &Parser::parse_and); }
  base::Result<Parsed> parse_and() { return parse_chain(TokenKind::kAnd, NodeKind::kAnd, &Parser::parse_unary); }

  // operand (separator operand)*; a single operand stands for itself.
  base::Result<Parsed> parse_chain(TokenKind separator, NodeKind kind, base::Result<Parsed> (Parser::*operand)()) {
    auto first = (this->*operand)();
    if (!first || token_.kind != separator) return first;
    Node node{kind, {}, {}, {first->node}};
    int height = first->height;
    while (token_.kind == separator) {
      if (auto next = advance(); !next) return base::fail(std::move(next).error());
      auto more = (this->*operand)();
      if (!more) return more;
      node.operands.push_back(more->node);
      height = std::max(height, more->height);
    }
    return add(std::move(node), height + 1);
  }

  // Consecutive marks cancel out in pairs; those on both sides of a parenthesis do not (spec §5.4).
  base::Result<Parsed> parse_unary() {
    bool negated = false;
    while (token_.kind == TokenKind::kNot) {
      negated = !negated;
      if (auto next = advance(); !next) return base::fail(std::move(next).error());
    }
    auto operand = parse_primary();
    if (!operand || !negated) return operand;
    return add(Node{NodeKind::kNot, {}, {}, {operand->node}}, operand->height + 1);
  }

  base::Result<Parsed> parse_primary() {
    switch (token_.kind) {
      case TokenKind::kOpenParenthesis: return parse_group();
      case TokenKind::kLabel: return parse_test();
      case TokenKind::kHas: return parse_word(NodeKind::kHas);
      case TokenKind::kAll: return parse_word(NodeKind::kAll);
      case TokenKind::kGlobal: return parse_word(NodeKind::kGlobal);
      case TokenKind::kEnd:
      case TokenKind::kCloseParenthesis:
      case TokenKind::kOpenBrace:
      case TokenKind::kCloseBrace:
      case TokenKind::kComma:
      case TokenKind::kEqual:
      case TokenKind::kNotEqual:
      case TokenKind::kNot:
      case TokenKind::kAnd:
      case TokenKind::kOr:
      case TokenKind::kString:
      case TokenKind::kContains:
      case TokenKind::kStartsWith:
      case TokenKind::kEndsWith:
      case TokenKind::kNotIn:
      case TokenKind::kIn: break;
    }
    return base::fail(unexpected("a label, has(), all() or '('"));
  }

  base::Result<Parsed> parse_group() {
    if (++open_parentheses_ > kMaxDepth) return base::fail(too_deep());
    if (auto next = advance(); !next) return base::fail(std::move(next).error());
    auto inner = parse_or();
    if (!inner) return inner;
    if (token_.kind != TokenKind::kCloseParenthesis) return base::fail(unexpected("'&&', '||' or ')'"));
    if (auto next = advance(); !next) return base::fail(std::move(next).error());
    --open_parentheses_;
    return inner;
  }

  base::Result<Parsed> parse_word(NodeKind kind) {
    Node node{kind, token_.text, {}, {}};
    if (auto next = advance(); !next) return base::fail(std::move(next).error());
    return add(std::move(node), 1);
  }

  base::Result<Parsed> parse_test() {
    Node node{NodeKind::kEqual, token_.text, {}, {}};
    if (auto next = advance(); !next) return base::fail(std::move(next).error());
    switch (token_.kind) {
      case TokenKind::kEqual: node.kind = NodeKind::kEqual; break;
      case TokenKind::kNotEqual: node.kind = NodeKind::kNotEqual; break;
      case TokenKind::kContains: node.kind = NodeKind::kContains; break;
      case TokenKind::kStartsWith: node.kind = NodeKind::kStartsWith; break;
      case TokenKind::kEndsWith: node.kind = NodeKind::kEndsWith; break;
      case TokenKind::kNotIn: node.kind = NodeKind::kNotIn; break;
      case TokenKind::kIn: node.kind = NodeKind::kIn; break;
      case TokenKind::kEnd:
      case TokenKind::kOpenParenthesis:
      case TokenKind::kCloseParenthesis:
      case TokenKind::kOpenBrace:
      case TokenKind::kCloseBrace:
      case TokenKind::kComma:
      case TokenKind::kNot:
      case TokenKind::kAnd:
      case TokenKind::kOr:
      case TokenKind::kString:
      case TokenKind::kLabel:
      case TokenKind::kHas:
      case TokenKind::kAll:
      case TokenKind::kGlobal: return base::fail(unexpected("an operator after the label"));
    }
    if (auto next = advance(); !next) return base::fail(std::move(next).error());
    const bool is_set = node.kind == NodeKind::kIn || node.kind == NodeKind::kNotIn;
    if (auto done = is_set ? parse_set(node.values) : parse_literal(node.values); !done) {
      return base::fail(std::move(done).error());
    }
    return add(std::move(node), 1);
  }

  base::Result<> parse_literal(std::vector<std::string_view>& values) {
    if (token_.kind != TokenKind::kString) return base::fail(unexpected("a string in quotes"));
    values.push_back(token_.text);
    return advance();
  }

  // '{' (string (',' string)* ','?)? '}'
  base::Result<> parse_set(std::vector<std::string_view>& values) {
    if (token_.kind != TokenKind::kOpenBrace) return base::fail(unexpected("'{'"));
    if (auto next = advance(); !next) return next;
    while (token_.kind == TokenKind::kString) {
      if (auto literal = parse_literal(values); !literal) return literal;
      if (token_.kind != TokenKind::kComma) break;
      if (auto next = advance(); !next) return next;
    }
    if (token_.kind != TokenKind::kCloseBrace) return base::fail(unexpected("a string, ',' or '}'"));
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    return advance();
  }

  base::Result<Parsed> add(Node node, int height) {
    if (height > kMaxDepth) return base::fail(too_deep());
    tree_.nodes.push_back(std::move(node));
    return Parsed{static_cast<NodeIndex>(tree_.nodes.size() - 1), height};
  }

  base::Result<> advance() {
    auto token = lexer_.next();
    if (!token) return base::fail(std::move(token).error());
    token_ = *token;
    return {};
  }

  base::Error unexpected(std::string_view wanted) const {
    return base::Error::invalid("position " + std::to_string(token_.position) + ": expected " + std::string(wanted) +
                                ", found " + std::string(describe(token_.kind)));
  }
  base::Error too_deep() const {
    return base::Error::invalid("position " + std::to_string(token_.position) + ": nested deeper than " +
                                std::to_string(kMaxDepth) + " levels");
  }

  Lexer lexer_;
  Token token_;
  Tree tree_;
  int open_parentheses_ = 0;
};

}  // namespace

base::Result<Tree> parse_tree(std::string_view text) { return Parser(text).parse(); }

}  // namespace model::selector
