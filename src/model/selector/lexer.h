// lexer.h: selector text into tokens (spec datamodel §5.1). Tokens are views into the text. Any bytes are allowed as
// input.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace model::selector {

// Longest label name accepted, as upstream.
inline constexpr std::size_t kMaxLabelLength = 512;

enum class TokenKind : std::uint8_t {
  kEnd,
  kOpenParenthesis,
  kCloseParenthesis,
  kOpenBrace,
  kCloseBrace,
  kComma,
  kEqual,
  kNotEqual,
  kNot,
  kAnd,
  kOr,
  kString,    // text: what is between the quotes
  kLabel,     // text: the name
  kContains,  // this and the next four appear only directly after a label
  kStartsWith,
  kEndsWith,
  kNotIn,
  kIn,
  kHas,  // text: the name inside has(…)
  kAll,
  kGlobal,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string_view text;
  std::size_t position = 0;  // byte offset of the token's first character
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  // After kEnd it gives kEnd again.
  base::Result<Token> next();

 private:
  void skip_blanks();
  Token take(TokenKind kind, std::size_t length);
  bool take_punctuation(Token& token);
  base::Result<Token> take_string();
  bool take_operator_word(Token& token);
  bool take_call(Token& token);
  base::Result<Token> take_label();

  std::string_view text_;
  std::size_t at_ = 0;
  bool after_label_ = false;
};

// What error messages call a token.
std::string_view describe(TokenKind kind);

}  // namespace model::selector
