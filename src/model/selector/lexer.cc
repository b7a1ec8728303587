#include "model/selector/lexer.h"

#include <string>

namespace model::selector {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }

bool is_identifier(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
         c == '/' || c == '-';
}

std::size_t blanks_at(std::string_view text, std::size_t at) {
  const std::size_t first = at;
  while (at < text.size() && is_blank(text[at])) ++at;
  return at - first;
}

std::size_t identifier_at(std::string_view text, std::size_t at) {
  const std::size_t first = at;
  while (at < text.size() && is_identifier(text[at])) ++at;
  return at - first;
}

base::Error error_at(std::size_t position, std::string_view what) {
  return base::Error::invalid("position " + std::to_string(position) + ": " + std::string(what));
}

struct Punctuation {
  std::string_view text;
  TokenKind kind;
};
// "!=" stands before "!".
constexpr Punctuation kPunctuation[] = {
    {"(", TokenKind::kOpenParenthesis},
    {")", TokenKind::kCloseParenthesis},
    {"{", TokenKind::kOpenBrace},
    {"}", TokenKind::kCloseBrace},
    {",", TokenKind::kComma},
    {"==", TokenKind::kEqual},
    {"!=", TokenKind::kNotEqual},
    {"!", TokenKind::kNot},
    {"&&", TokenKind::kAnd},
    {"||", TokenKind::kOr},
};

struct OperatorWord {
  std::string_view first;
  std::string_view second;  // may follow with or without blanks between
  TokenKind kind;
};
constexpr OperatorWord kOperatorWords[] = {
    {"contains", "", TokenKind::kContains},
    {"starts", "with", TokenKind::kStartsWith},
    {"ends", "with", TokenKind::kEndsWith},
    {"not", "in", TokenKind::kNotIn},
    {"in", "", TokenKind::kIn},
};

// Length of the operator at the start of `text`, 0 if it is not there.
std::size_t operator_length(std::string_view text, const OperatorWord& word) {
  if (!text.starts_with(word.first)) return 0;
  std::size_t length = word.first.size();
  if (!word.second.empty()) {
    length += blanks_at(text, length);
    if (!text.substr(length).starts_with(word.second)) return 0;
    length += word.second.size();
  }
  return identifier_at(text, length) == 0 ? length : 0;
}

}  // namespace

base::Result<Token> Lexer::next() {
  skip_blanks();
  const bool after_label = after_label_;
  after_label_ = false;
  Token token{TokenKind::kEnd, {}, at_};
  if (at_ == text_.size() || take_punctuation(token)) return token;
  if (after_label) {
    if (take_operator_word(token)) return token;
    return base::fail(error_at(at_, "expected an operator after the label"));
  }
  if (text_[at_] == '"' || text_[at_] == '\'') return take_string();
  if (take_call(token)) return token;
  return take_label();
}

void Lexer::skip_blanks() { at_ += blanks_at(text_, at_); }

Token Lexer::take(TokenKind kind, std::size_t length) {
  Token token{kind, text_.substr(at_, length), at_};
  at_ += length;
  return token;
}

bool Lexer::take_punctuation(Token& token) {
  for (const Punctuation& p : kPunctuation) {
    if (text_.substr(at_).starts_with(p.text)) {
      token = take(p.kind, p.text.size());
      return true;
    }
  }
  return false;
}

base::Result<Token> Lexer::take_string() {
  const std::size_t end = text_.find(text_[at_], at_ + 1);
  if (end == std::string_view::npos) return base::fail(error_at(at_, "the string has no closing quote"));
  Token token = take(TokenKind::kString, end + 1 - at_);
  token.text = token.text.substr(1, token.text.size() - 2);
  return token;
}

bool Lexer::take_operator_word(Token& token) {
  for (const OperatorWord& word : kOperatorWords) {
    if (const std::size_t length = operator_length(text_.substr(at_), word)) {
      token = take(word.kind, length);
      return true;
    }
  }
  return false;
}

// has(label), all() and global(): the parenthesis follows the word at once, blanks are allowed inside.
bool Lexer::take_call(Token& token) {
  const std::string_view rest = text_.substr(at_);
  for (const auto& [word, kind] : {std::pair{std::string_view("has("), TokenKind::kHas},
                                   {std::string_view("all("), TokenKind::kAll},
                                   {std::string_view("global("), TokenKind::kGlobal}}) {
    if (!rest.starts_with(word)) continue;
    std::size_t length = word.size() + blanks_at(rest, word.size());
    const std::size_t name_length = kind == TokenKind::kHas ? identifier_at(rest, length) : 0;
    if (kind == TokenKind::kHas && (name_length == 0 || name_length > kMaxLabelLength)) return false;
    const std::string_view name = rest.substr(length, name_length);
    length += name_length;
    length += blanks_at(rest, length);
    if (!rest.substr(length).starts_with(")")) return false;
    token = take(kind, length + 1);
    token.text = name;
    return true;
  }
  return false;
}

base::Result<Token> Lexer::take_label() {
  const std::size_t length = identifier_at(text_, at_);
  if (length == 0) return base::fail(error_at(at_, "unexpected character"));
  if (length > kMaxLabelLength) return base::fail(error_at(at_, "the label name is longer than 512 characters"));
  after_label_ = true;
  return take(TokenKind::kLabel, length);
}

std::string_view describe(TokenKind kind) {
  switch (kind) {
    case TokenKind::kEnd: return "the end";
    case TokenKind::kOpenParenthesis: return "'('";
    case TokenKind::kCloseParenthesis: return "')'";
    case TokenKind::kOpenBrace: return "'{'";
    case TokenKind::kCloseBrace: return "'}'";
    case TokenKind::kComma: return "','";
    case TokenKind::kEqual: return "'=='";
    case TokenKind::kNotEqual: return "'!='";
    case TokenKind::kNot: return "'!'";
    case TokenKind::kAnd: return "'&&'";
    case TokenKind::kOr: return "'||'";
    case TokenKind::kString: return "a string";
    case TokenKind::kLabel: return "a label";
    case TokenKind::kContains: return "'contains'";
    case TokenKind::kStartsWith: return "'starts with'";
    case TokenKind::kEndsWith: return "'ends with'";
    case TokenKind::kNotIn: return "'not in'";
    case TokenKind::kIn: return "'in'";
    case TokenKind::kHas: return "'has(...)'";
    case TokenKind::kAll: return "'all()'";
    case TokenKind::kGlobal: return "'global()'";
  }
  return "a token";
}

}  // namespace model::selector
