// Parsing. The text is cut into pieces at "{{" and "}}", each action into words; blocks are then parsed by recursive
// descent over the pieces.
#include "cli/go_template.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <utility>

#include "base/strings.h"

namespace cli {
namespace {

using base::Error;
using base::ErrorKind;
using Node = GoTemplate::Node;
using Block = GoTemplate::Block;
using Pipeline = GoTemplate::Pipeline;
using Operand = GoTemplate::Operand;

constexpr int kMaxDepth = 100;  // of nested blocks and parentheses

Error at_line(std::size_t line, const std::string& what) {
  return Error(ErrorKind::kInvalid, "template: get:" + std::to_string(line) + ": " + what);
}

// ---- Words ----

struct Word {
  enum class Kind : std::uint8_t { kDot, kField, kVariable, kName, kConstant, kMark };
  Kind kind = Kind::kMark;
  std::string text;  // of kField without the dot
  TemplateValue value;
  bool after_space = true;
};
using Words = std::vector<Word>;

bool is_name_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  // Nothing: the action is not well formed; see problem().
  std::optional<Words> all() {
    Words words;
    bool space = true;
    while (!text_.empty()) {
      if (std::isspace(static_cast<unsigned char>(text_.front())) != 0) {
        text_.remove_prefix(1);
        space = true;
        continue;
      }
      std::optional<Word> word = next();
      if (!word) return std::nullopt;
      word->after_space = std::exchange(space, false);
      words.push_back(*std::move(word));
    }
    return words;
  }
  const std::string& problem() const { return problem_; }

 private:
  std::optional<Word> fail(std::string problem) {
    problem_ = std::move(problem);
    return std::nullopt;
  }
  std::string name_at(std::size_t start) const {
    std::size_t end = start;
    while (end < text_.size() && is_name_character(text_[end])) ++end;
    return std::string(text_.substr(start, end - start));
  }
  Word take(Word::Kind kind, std::size_t length, std::string text, TemplateValue value = {}) {
    text_.remove_prefix(length);
    return {kind, std::move(text), std::move(value), true};
  }

  std::optional<Word> next() {
    const char c = text_.front();
    const bool digit_follows = text_.size() > 1 && std::isdigit(static_cast<unsigned char>(text_[1])) != 0;
    if (c == '"' || c == '`' || c == '\'') return quoted();
    if (std::isdigit(static_cast<unsigned char>(c)) != 0 || ((c == '-' || c == '+' || c == '.') && digit_follows))
      return number();
    if (c == '.') {
      const std::string name = name_at(1);
      return name.empty() ? take(Word::Kind::kDot, 1, ".") : take(Word::Kind::kField, name.size() + 1, name);
    }
    if (c == '$') {
      const std::string name = "$" + name_at(1);
      return take(Word::Kind::kVariable, name.size(), name);
    }
    if (text_.starts_with(":=")) return take(Word::Kind::kMark, 2, ":=");
    if (std::string_view("()|,=").find(c) != std::string_view::npos) return take(Word::Kind::kMark, 1, {c});
    const std::string name = name_at(0);
    if (name.empty()) return fail("unexpected " + std::string(1, c) + " in command");
    if (name == "true" || name == "false")
      return take(Word::Kind::kConstant, name.size(), name, TemplateValue(name == "true"));
    if (name == "nil") return take(Word::Kind::kConstant, name.size(), name);
    return take(Word::Kind::kName, name.size(), name);
  }

  std::optional<Word> number() {
    std::size_t end = 1;
    while (end < text_.size() && (is_name_character(text_[end]) || text_[end] == '.' ||
                                  ((text_[end] == '+' || text_[end] == '-') && std::tolower(text_[end - 1]) == 'e')))
      ++end;
    const std::string text(text_.substr(0, end));
    const char* first = text.data() + (text.front() == '+' ? 1 : 0);
    const char* last = text.data() + text.size();
    std::int64_t integer = 0;
    const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    if (const auto read = std::from_chars(first + (hexadecimal ? 2 : 0), last, integer, hexadecimal ? 16 : 10);
        read.ec == std::errc() && read.ptr == last)
      return take(Word::Kind::kConstant, end, text, TemplateValue(integer));
    double real = 0;
    if (const auto read = std::from_chars(first, last, real); read.ec == std::errc() && read.ptr == last)
      return take(Word::Kind::kConstant, end, text, TemplateValue(real));
    return fail("bad number syntax: \"" + text + "\"");
  }

  std::optional<Word> quoted() {
    const char quote = text_.front();
    std::string out;
    std::size_t i = 1;
    for (; i < text_.size() && text_[i] != quote; ++i) {
      if (text_[i] != '\\' || quote == '`') {
        out += text_[i];
        continue;
      }
      if (++i == text_.size()) break;
      constexpr std::string_view kLetters = "ntr\\\"'", kMeanings = "\n\t\r\\\"'";
      const auto known = kLetters.find(text_[i]);
      if (known == std::string_view::npos) return fail("unknown escape in quoted string");
      out += kMeanings[known];
    }
    if (i >= text_.size()) return fail("unterminated quoted string");
    if (quote != '\'') return take(Word::Kind::kConstant, i + 1, out, TemplateValue(out));
    if (out.size() != 1) return fail("malformed character constant");
    return take(Word::Kind::kConstant, i + 1, out, TemplateValue(std::int64_t{out.front()}));
  }

  std::string_view text_;
  std::string problem_;
};

// ---- Pieces ----

struct Piece {
  bool action = false;
  std::size_t line = 1;
  std::string text;
  Words words;
};

// Where the action that begins `text` ends, not looking into quoted strings.
std::size_t end_of_action(std::string_view text) {
  char quote = 0;
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    if (quote != 0) {
      if (text[i] == '\\' && quote != '`')
        ++i;
      else if (text[i] == quote)
        quote = 0;
    } else if (text[i] == '"' || text[i] == '`' || text[i] == '\'') {
      quote = text[i];
    } else if (text[i] == '}' && text[i + 1] == '}') {
      return i;
    }
  }
  return text.npos;
}

std::string_view without_leading_space(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  return first == text.npos ? std::string_view() : text.substr(first);
}

base::Result<std::vector<Piece>> cut(std::string_view text) {
  std::vector<Piece> pieces;
  std::size_t line = 1;
  bool trim = false;  // the blanks at the beginning of what follows
  const auto add_text = [&](std::string_view part, bool trim_end) {
    const auto lines = static_cast<std::size_t>(std::ranges::count(part, '\n'));
    if (trim) part = without_leading_space(part);
    if (trim_end) part = part.substr(0, part.find_last_not_of(" \t\r\n") + 1);
    if (!part.empty()) pieces.push_back({false, line, std::string(part), {}});
    line += lines;
  };
  while (true) {
    const auto open = text.find("{{");
    if (open == text.npos) break;
    std::string_view action = text.substr(open + 2);
    const bool trim_before = action.starts_with("- ") || action.starts_with("-\n") || action.starts_with("-\t");
    add_text(text.substr(0, open), trim_before);
    if (trim_before) action.remove_prefix(2);
    const bool comment = action.starts_with("/*");
    const auto comment_end = comment ? action.find("*/") : 0;
    if (comment_end == action.npos) return base::fail(at_line(line, "unclosed comment"));
    const auto close = comment ? action.find("}}", comment_end) : end_of_action(action);
    if (close == action.npos) return base::fail(at_line(line, "unclosed action"));
    std::string_view inside = action.substr(0, close);
    trim = inside.ends_with(" -") || inside.ends_with("\n-") || inside.ends_with("\t-");
    if (trim) inside.remove_suffix(2);
    if (!comment) {
      Lexer lexer(inside);
      auto words = lexer.all();
      if (!words) return base::fail(at_line(line, lexer.problem()));
      pieces.push_back({true, line, std::string(base::trim(inside)), *std::move(words)});
    }
    line += static_cast<std::size_t>(std::ranges::count(action.substr(0, close), '\n'));
    text = action.substr(close + 2);
  }
  add_text(text, false);
  return pieces;
}

// ---- Blocks ----

class Parser {
 public:
  explicit Parser(std::vector<Piece> pieces) : pieces_(std::move(pieces)) {}

  base::Result<GoTemplate::Definitions> all() {
    auto block = parse_block(0);
    if (!block) return base::fail(block.error());
    if (next_ < pieces_.size())
      return base::fail(at_line(pieces_[next_].line, "unexpected {{" + pieces_[next_].text + "}}"));
    defined_[""] = *std::move(block);
    return std::move(defined_);
  }

 private:
  // Up to {{else …}}, {{end}} or the end of the text, which next_ then names.
  base::Result<Block> parse_block(int depth) {
    if (depth > kMaxDepth) return base::fail(at_line(line(), "nested too deeply"));
    Block block;
    for (; next_ < pieces_.size(); ++next_) {
      const Piece& piece = pieces_[next_];
      if (!piece.action) {
        block.push_back({Node::Kind::kText, piece.line, piece.text, {}, {}, {}});
        continue;
      }
      if (piece.words.empty()) return base::fail(at_line(piece.line, "missing value for command"));
      const std::string keyword = piece.words.front().kind == Word::Kind::kName ? piece.words.front().text : "";
      if (keyword == "end" || keyword == "else") return block;
      auto node = parse_node(piece, keyword, depth);
      if (!node) return base::fail(node.error());
      if (*node) block.push_back(**std::move(node));
    }
    return block;
  }

  base::Result<std::optional<Node>> parse_node(const Piece& piece, const std::string& keyword, int depth) {
    Node node;
    node.line = piece.line;
    if (keyword == "break" || keyword == "continue") {
      node.kind = keyword == "break" ? Node::Kind::kBreak : Node::Kind::kContinue;
      return std::optional(std::move(node));
    }
    const Words rest(piece.words.begin() + 1, piece.words.end());
    if (keyword == "define" || keyword == "block" || keyword == "template")
      return parse_named(piece, keyword, rest, depth);
    const bool opens = keyword == "if" || keyword == "range" || keyword == "with";
    auto pipeline = parse_pipeline(opens ? rest : piece.words, piece.line, keyword == "range");
    if (!pipeline) return base::fail(pipeline.error());
    node.pipeline = *std::move(pipeline);
    node.kind = keyword == "if"      ? Node::Kind::kIf
                : keyword == "range" ? Node::Kind::kRange
                : keyword == "with"  ? Node::Kind::kWith
                                     : Node::Kind::kAction;
    if (!opens) return std::optional(std::move(node));
    if (auto done = parse_bodies(node, keyword, depth); !done) return base::fail(done.error());
    return std::optional(std::move(node));
  }

  // {{define "x"}}…{{end}}, {{block "x" pipeline}}…{{end}}, {{template "x" pipeline}}
  base::Result<std::optional<Node>> parse_named(const Piece& piece, const std::string& keyword, const Words& rest,
                                                int depth) {
    if (rest.empty() || rest.front().value.text() == nullptr)
      return base::fail(at_line(piece.line, "missing name in {{" + piece.text + "}}"));
    Node node{Node::Kind::kTemplate, piece.line, rest.front().text, {}, {}, {}};
    if (rest.size() > 1) {
      auto pipeline = parse_pipeline({rest.begin() + 1, rest.end()}, piece.line, false);
      if (!pipeline) return base::fail(pipeline.error());
      node.pipeline = *std::move(pipeline);
    }
    if (keyword == "template") return std::optional(std::move(node));
    const std::size_t opened = next_++;
    auto body = parse_block(depth + 1);
    if (!body) return base::fail(body.error());
    if (!at_keyword("end")) return base::fail(at_line(pieces_[opened].line, "no {{end}} for {{" + piece.text + "}}"));
    defined_[node.text] = *std::move(body);
    if (keyword == "define") return std::optional<Node>();
    return std::optional(std::move(node));
  }

  // What follows {{if}}, {{range}} or {{with}} up to its {{end}}; {{else if …}} is an {{if}} within {{else}}.
  base::Result<void> parse_bodies(Node& node, const std::string& keyword, int depth) {
    const Piece opened = pieces_[next_++];
    auto body = parse_block(depth + 1);
    if (!body) return base::fail(body.error());
    node.body = *std::move(body);
    if (at_keyword("else")) {
      const Piece piece = pieces_[next_];
      if (piece.words.size() > 1) {
        if (piece.words[1].text != keyword || keyword == "range")
          return base::fail(at_line(piece.line, "unexpected {{" + piece.text + "}}"));
        Node inner{keyword == "if" ? Node::Kind::kIf : Node::Kind::kWith, piece.line, {}, {}, {}, {}};
        auto pipeline = parse_pipeline({piece.words.begin() + 2, piece.words.end()}, piece.line, false);
        if (!pipeline) return base::fail(pipeline.error());
        inner.pipeline = *std::move(pipeline);
        if (auto done = parse_bodies(inner, keyword, depth + 1); !done) return done;
        node.otherwise.push_back(std::move(inner));
        return {};
      }
      ++next_;
      auto otherwise = parse_block(depth + 1);
      if (!otherwise) return base::fail(otherwise.error());
      node.otherwise = *std::move(otherwise);
    }
    if (!at_keyword("end")) return base::fail(at_line(opened.line, "no {{end}} for {{" + opened.text + "}}"));
    return {};
  }

  base::Result<Pipeline> parse_pipeline(const Words& words, std::size_t line, bool range) {
    Pipeline pipeline;
    std::size_t start = 0;
    for (std::size_t i = 0; i < words.size() && i < 4; ++i) {
      if (words[i].kind != Word::Kind::kMark || (words[i].text != ":=" && words[i].text != "=")) continue;
      pipeline.declares = words[i].text == ":=";
      for (std::size_t v = 0; v < i; v += 2) pipeline.variables.push_back(words[v].text);
      const bool fits = pipeline.variables.size() == 1 || (range && pipeline.variables.size() == 2);
      const bool names =
          std::ranges::all_of(pipeline.variables, [](const std::string& v) { return v.starts_with("$"); });
      if (!fits || !names) return base::fail(at_line(line, "unexpected " + words[i].text));
      start = i + 1;
    }
    std::size_t next = start;
    if (auto done = parse_commands(words, next, line, pipeline, 0); !done) return base::fail(done.error());
    if (next < words.size()) return base::fail(at_line(line, "unexpected " + words[next].text));
    return pipeline;
  }

  base::Result<void> parse_commands(const Words& words, std::size_t& next, std::size_t line, Pipeline& pipeline,
                                    int depth) {
    if (depth > kMaxDepth) return base::fail(at_line(line, "nested too deeply"));
    while (true) {
      GoTemplate::Command command;
      while (next < words.size() && (words[next].kind != Word::Kind::kMark || words[next].text == "(")) {
        auto operand = parse_operand(words, next, line, depth);
        if (!operand) return base::fail(operand.error());
        command.push_back(*std::move(operand));
      }
      if (command.empty()) return base::fail(at_line(line, "missing value for command"));
      pipeline.commands.push_back(std::move(command));
      if (next >= words.size() || words[next].text != "|" || words[next].kind != Word::Kind::kMark) return {};
      ++next;
    }
  }

  base::Result<Operand> parse_operand(const Words& words, std::size_t& next, std::size_t line, int depth) {
    const Word& word = words[next++];
    Operand operand;
    switch (word.kind) {
      case Word::Kind::kDot: break;
      case Word::Kind::kField: operand.fields.push_back(word.text); break;
      case Word::Kind::kVariable:
        operand.kind = Operand::Kind::kVariable;
        operand.name = word.text;
        break;
      case Word::Kind::kConstant:
        operand.kind = Operand::Kind::kConstant;
        operand.constant = word.value;
        return operand;
      case Word::Kind::kName:
        if (!is_template_function(word.text) && word.text != "and" && word.text != "or")
          return base::fail(at_line(line, "function \"" + word.text + "\" not defined"));
        operand.kind = Operand::Kind::kFunction;
        operand.name = word.text;
        return operand;
      case Word::Kind::kMark: {
        auto inner = std::make_shared<Pipeline>();
        if (auto done = parse_commands(words, next, line, *inner, depth + 1); !done) return base::fail(done.error());
        if (next >= words.size() || words[next].text != ")") return base::fail(at_line(line, "unclosed left paren"));
        ++next;
        operand.kind = Operand::Kind::kParenthesis;
        operand.inner = std::move(inner);
        break;
      }
    }
    while (next < words.size() && words[next].kind == Word::Kind::kField && !words[next].after_space)
      operand.fields.push_back(words[next++].text);
    return operand;
  }

  bool at_keyword(std::string_view keyword) const {
    return next_ < pieces_.size() && pieces_[next_].action && pieces_[next_].words.front().text == keyword;
  }
  std::size_t line() const { return pieces_.empty() ? 1 : pieces_[std::min(next_, pieces_.size() - 1)].line; }

  std::vector<Piece> pieces_;
  std::size_t next_ = 0;
  GoTemplate::Definitions defined_;
};

}  // namespace

base::Result<GoTemplate> GoTemplate::parse(std::string_view text) {
  auto pieces = cut(text);
  if (!pieces) return base::fail(pieces.error());
  auto blocks = Parser(*std::move(pieces)).all();
  if (!blocks) return base::fail(blocks.error());
  return GoTemplate(*std::move(blocks));
}

}  // namespace cli
