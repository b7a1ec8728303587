// Carrying a parsed template out.

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "cli/go_template.h"

namespace cli {
namespace {

using base::Error;
using base::ErrorKind;
using Node = GoTemplate::Node;
using Operand = GoTemplate::Operand;
using Pipeline = GoTemplate::Pipeline;

constexpr int kMaxDepth = 100;  // of templates that use templates

enum class Flow : std::uint8_t { kNext, kBreak, kContinue };
using Value = base::Result<TemplateValue>;

class Run {
 public:
  Run(const GoTemplate::Definitions& blocks, const TemplateFunctions& functions)
      : blocks_(blocks), functions_(functions) {}

  base::Result<void> block_named(std::string_view name, const TemplateValue& data) {
    const auto found = blocks_.find(name);
    if (found == blocks_.end()) return base::fail(error("template \"" + std::string(name) + "\" not defined"));
    if (++depth_ > kMaxDepth) return base::fail(error("templates use each other without end"));
    const auto outer = std::exchange(variables_, {{"$", data}});
    auto done = block(found->second, data);
    variables_ = outer;
    --depth_;
    if (!done) return base::fail(done.error());
    return {};
  }

  std::string take() { return std::move(out_); }

 private:
  Error error(const std::string& what) const {
    return Error(ErrorKind::kInvalid, "template: get:" + std::to_string(line_) + ": executing \"get\": " + what);
  }

  // Variables declared inside are forgotten at its end.
  base::Result<Flow> block(const GoTemplate::Block& nodes, const TemplateValue& dot) {
    const std::size_t known = variables_.size();
    base::Result<Flow> flow = Flow::kNext;
    for (const Node& node : nodes) {
      line_ = node.line;
      flow = one(node, dot);
      if (!flow || *flow != Flow::kNext) break;
    }
    variables_.resize(std::min(known, variables_.size()));
    return flow;
  }

  base::Result<Flow> one(const Node& node, const TemplateValue& dot) {
    switch (node.kind) {
      case Node::Kind::kText: out_ += node.text; return Flow::kNext;
      case Node::Kind::kBreak: return Flow::kBreak;
      case Node::Kind::kContinue: return Flow::kContinue;
      case Node::Kind::kAction: {
        const auto value = pipeline(node.pipeline, dot);
        if (!value) return base::fail(value.error());
        if (node.pipeline.variables.empty()) out_ += value->printed();
        return Flow::kNext;
      }
      case Node::Kind::kIf:
      case Node::Kind::kWith: return condition(node, dot);
      case Node::Kind::kRange: return range(node, dot);
      case Node::Kind::kTemplate: {
        Value data{TemplateValue()};
        if (!node.pipeline.commands.empty()) data = pipeline(node.pipeline, dot);
        if (!data) return base::fail(data.error());
        if (auto done = block_named(node.text, *data); !done) return base::fail(done.error());
        return Flow::kNext;
      }
    }
    return Flow::kNext;
  }

  base::Result<Flow> condition(const Node& node, const TemplateValue& dot) {
    const std::size_t known = variables_.size();
    const auto value = pipeline(node.pipeline, dot);
    if (!value) return base::fail(value.error());
    auto flow =
        value->truth() ? block(node.body, node.kind == Node::Kind::kWith ? *value : dot) : block(node.otherwise, dot);
    variables_.resize(std::min(known, variables_.size()));
    return flow;
  }

  base::Result<Flow> range(const Node& node, const TemplateValue& dot) {
    Pipeline source = node.pipeline;
    source.variables.clear();
    const auto value = pipeline(source, dot);
    if (!value) return base::fail(value.error());
    if (value->list() == nullptr && value->map() == nullptr && !value->is_nil() && !value->is_missing())
      return base::fail(error("range can't iterate over " + value->printed()));
    bool any = false;
    const auto step = [&](TemplateValue key, const TemplateValue& element) -> base::Result<Flow> {
      any = true;
      const std::size_t known = variables_.size();
      const auto& names = node.pipeline.variables;
      if (names.size() == 2 && !bind(node.pipeline, names[0], std::move(key)))
        return base::fail(error("undefined variable: " + names[0]));
      if (!names.empty() && !bind(node.pipeline, names.back(), element))
        return base::fail(error("undefined variable: " + names.back()));
      auto flow = block(node.body, element);
      variables_.resize(std::min(known, variables_.size()));
      return flow;
    };
    if (const TemplateValue::List* list = value->list()) {
      for (std::size_t i = 0; i < list->size(); ++i) {
        const auto flow = step(TemplateValue(static_cast<std::int64_t>(i)), (*list)[i]);
        if (!flow) return flow;
        if (*flow == Flow::kBreak) break;
      }
    } else if (const TemplateValue::Map* map = value->map()) {
      for (const auto& [key, element] : *map) {
        const auto flow = step(TemplateValue(key), element);
        if (!flow) return flow;
        if (*flow == Flow::kBreak) break;
      }
    }
    return any ? base::Result<Flow>(Flow::kNext) : block(node.otherwise, dot);
  }

  // False if an assignment names no variable.
  bool bind(const Pipeline& pipeline, const std::string& name, TemplateValue value) {
    if (pipeline.declares) {
      variables_.emplace_back(name, std::move(value));
      return true;
    }
    const auto found =
        std::find_if(variables_.rbegin(), variables_.rend(), [&](const auto& v) { return v.first == name; });
    if (found == variables_.rend()) return false;
    found->second = std::move(value);
    return true;
  }

  Value pipeline(const Pipeline& pipeline, const TemplateValue& dot) {
    std::optional<TemplateValue> last;
    for (const GoTemplate::Command& command : pipeline.commands) {
      auto value = this->command(command, dot, last);
      if (!value) return value;
      last = *std::move(value);
    }
    const TemplateValue result = last.value_or(TemplateValue());
    for (const std::string& name : pipeline.variables) {
      if (!bind(pipeline, name, result)) return base::fail(error("undefined variable: " + name));
    }
    return result;
  }

  // `piped` is the result of the command before, which becomes the last argument.
  Value command(const GoTemplate::Command& command, const TemplateValue& dot,
                const std::optional<TemplateValue>& piped) {
    const Operand& first = command.front();
    if (first.kind != Operand::Kind::kFunction) {
      if (command.size() > 1 || piped) return base::fail(error("can't give argument to non-function"));
      return operand(first, dot);
    }
    if (first.name == "and" || first.name == "or") return either(command, dot, piped);
    std::vector<TemplateValue> arguments;
    for (auto word = command.begin() + 1; word != command.end(); ++word) {
      auto value = operand(*word, dot);
      if (!value) return value;
      arguments.push_back(*std::move(value));
    }
    if (piped) arguments.push_back(*piped);
    auto result = call_template_function(first.name, arguments, functions_);
    if (!result) return base::fail(error("error calling " + first.name + ": " + result.error().text()));
    return result;
  }

  // The first argument that decides, else the last one; what follows it is not evaluated.
  Value either(const GoTemplate::Command& command, const TemplateValue& dot,
               const std::optional<TemplateValue>& piped) {
    const bool wanted = command.front().name == "or";
    TemplateValue last;
    for (auto word = command.begin() + 1; word != command.end(); ++word) {
      auto value = operand(*word, dot);
      if (!value) return value;
      last = *std::move(value);
      if (last.truth() == wanted) return last;
    }
    if (piped) return *piped;
    if (command.size() == 1) return base::fail(error("wrong number of args for " + command.front().name));
    return last;
  }

  Value operand(const Operand& operand, const TemplateValue& dot) {
    TemplateValue value = dot;
    if (operand.kind == Operand::Kind::kConstant) return operand.constant;
    if (operand.kind == Operand::Kind::kFunction) return command({operand}, dot, {});
    if (operand.kind == Operand::Kind::kVariable) {
      const auto found =
          std::find_if(variables_.rbegin(), variables_.rend(), [&](const auto& v) { return v.first == operand.name; });
      if (found == variables_.rend()) return base::fail(error("undefined variable: " + operand.name));
      value = found->second;
    } else if (operand.kind == Operand::Kind::kParenthesis) {
      auto inner = pipeline(*operand.inner, dot);
      if (!inner) return inner;
      value = *std::move(inner);
    }
    for (const std::string& field : operand.fields) {
      const TemplateValue* member = value.find(field);
      if (member == nullptr && value.is_nil()) return base::fail(error("nil pointer evaluating ." + field));
      if (member == nullptr) return base::fail(error("can't evaluate field " + field + " in type " + value.type()));
      TemplateValue next = *member;  // it may be part of `value`
      value = std::move(next);
    }
    return value;
  }

  const GoTemplate::Definitions& blocks_;
  const TemplateFunctions& functions_;
  std::vector<std::pair<std::string, TemplateValue>> variables_;
  std::string out_;
  std::size_t line_ = 1;
  int depth_ = 0;
};

}  // namespace

base::Result<std::string> GoTemplate::run(const TemplateValue& data, const TemplateFunctions& functions) const {
  Run run(blocks_, functions);
  if (auto done = run.block_named("", data); !done) return base::fail(done.error());
  return run.take();
}

}  // namespace cli
