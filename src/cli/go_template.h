// go_template.h: templates in the language of Go's text/template, for `get -o go-template` (spec cli §4). Pure.
//
//   auto made = GoTemplate::parse("{{range .}}{{.ObjectMeta.Name}}{{\"\\n\"}}{{end}}");
//   auto text = made->run(TemplateValue(results), functions);
//
// Known: text, comments, trimming, pipelines, variables, if, range, with, break, continue, define, template, block, and
// Go's functions but `call`. Not known: methods of values, iteration over numbers.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/template_value.h"

namespace cli {

struct TemplateFunctions {
  std::string default_as_number;  // config "asnumber"
};

class GoTemplate {
 public:
  // Errors name the line.
  static base::Result<GoTemplate> parse(std::string_view text);
  // No newline is added. Fails at the first action that cannot be carried out.
  base::Result<std::string> run(const TemplateValue& data, const TemplateFunctions& functions) const;

  struct Pipeline;
  struct Operand {
    enum class Kind : std::uint8_t { kDot, kConstant, kVariable, kFunction, kParenthesis };
    Kind kind = Kind::kDot;
    TemplateValue constant;
    std::string name;                       // of kVariable, with "$", and kFunction
    std::shared_ptr<const Pipeline> inner;  // of kParenthesis
    std::vector<std::string> fields;        // looked up in it, one after the other
  };
  using Command = std::vector<Operand>;
  struct Pipeline {
    std::vector<std::string> variables;
    bool declares = false;  // ":=", not "="
    std::vector<Command> commands;
  };
  struct Node;
  using Block = std::vector<Node>;
  struct Node {
    enum class Kind : std::uint8_t { kText, kAction, kIf, kRange, kWith, kTemplate, kBreak, kContinue };
    Kind kind = Kind::kText;
    std::size_t line = 0;
    std::string text;  // of kText; the name of kTemplate
    Pipeline pipeline;
    Block body, otherwise;
  };
  using Definitions = std::map<std::string, Block, std::less<>>;

 private:
  explicit GoTemplate(Definitions blocks) : blocks_(std::move(blocks)) {}
  Definitions blocks_;  // the template itself under the empty name
};

// Go's functions and those of calicoctl, but `and` and `or`, which do not evaluate all their arguments.
bool is_template_function(std::string_view name);
base::Result<TemplateValue> call_template_function(std::string_view name, const std::vector<TemplateValue>& arguments,
                                                   const TemplateFunctions& functions);

}  // namespace cli
