#include "cli/arguments.h"

#include <algorithm>

#include "base/strings.h"

namespace cli {

std::string Arguments::value(std::string_view option, std::string_view otherwise) const {
  const auto found = values_.find(option);
  return found == values_.end() ? std::string(otherwise) : found->second;
}

std::vector<std::string> Arguments::values(std::string_view option) const {
  std::vector<std::string> all;
  if (!has(option)) return all;
  const std::string joined = value(option);
  for (const std::string_view one : base::split(joined, '\0')) all.emplace_back(one);
  return all;
}

struct ArgumentParser {
  const CommandHelp& command;
  std::span<const std::string> words;
  std::size_t next = 0;
  Arguments result;
  ParseOutcome outcome;

  const Option* by_letter(char letter) const {
    const auto found = std::ranges::find(command.options, letter, &Option::letter);
    return found == command.options.end() ? nullptr : &*found;
  }

  // False ends parsing; outcome.mistake says why.
  bool take(const Option& option, std::optional<std::string> value) {
    if (option.name == "help") return outcome.help = true;
    if (option.placeholder.empty() && value) {
      outcome.mistake = "--" + std::string(option.name) + " must not have an argument";
      return false;
    }
    if (!option.placeholder.empty() && !value) {
      if (next == words.size()) {
        outcome.mistake = "--" + std::string(option.name) + " requires argument";
        return false;
      }
      value = words[next++];
    }
    if (option.repeatable && result.has(option.name)) {
      result.values_.find(option.name)->second += '\0' + *value;
      return true;
    }
    return result.values_.emplace(option.name, value.value_or("")).second;
  }

  bool take_long(std::string_view word) {
    const auto equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    std::optional<std::string> value;
    if (equals != word.npos) value = word.substr(equals + 1);
    std::vector<const Option*> matches;
    for (const Option& option : command.options) {
      if (option.name == name) return take(option, value);
      if (option.name.starts_with(name)) matches.push_back(&option);
    }
    if (matches.empty()) return false;
    if (matches.size() == 1) return take(*matches.front(), value);
    std::vector<std::string> names;
    for (const Option* option : matches) names.push_back("--" + std::string(option->name));
    outcome.mistake = "--" + std::string(name) + " is not a unique prefix: " + base::join(names, ", ") + "?";
    return false;
  }

  bool take_short(std::string_view letters) {
    while (!letters.empty()) {
      const Option* option = by_letter(letters.front());
      if (option == nullptr) return false;
      letters.remove_prefix(1);
      if (option->placeholder.empty()) {
        if (!take(*option, {})) return false;
        continue;
      }
      return take(*option, letters.empty() ? std::nullopt : std::optional<std::string>(letters));
    }
    return true;
  }

  bool take_word(const std::string& word) {
    if (word.size() > 2 && word.starts_with("--")) return take_long(std::string_view(word).substr(2));
    if (word.size() > 1 && word.front() == '-') return take_short(std::string_view(word).substr(1));
    result.positionals_.push_back(word);
    return true;
  }

  bool parse() {
    while (next < words.size() && !outcome.help) {
      const std::string& word = words[next++];
      if (word == "--") {
        result.positionals_.insert(result.positionals_.end(), words.begin() + static_cast<std::ptrdiff_t>(next),
                                   words.end());
        break;
      }
      if (!take_word(word)) return false;
    }
    if (outcome.help) return true;
    const std::size_t count = result.positionals_.size();
    const bool all_required = std::ranges::all_of(
        command.options, [&](const Option& option) { return !option.required || result.has(option.name); });
    return all_required && count >= command.min_positionals && count <= command.max_positionals;
  }
};

ParseOutcome parse_arguments(const CommandHelp& command, std::span<const std::string> words) {
  ArgumentParser parser{command, words, 0, {}, {}};
  if (parser.parse()) parser.outcome.arguments = std::move(parser.result);
  return std::move(parser.outcome);
}

std::string usage_text(std::string_view program, const CommandHelp& command) {
  std::string text = "Usage:\n  " + std::string(program) + " " + std::string(command.name);
  if (!command.positionals.empty()) text += " " + std::string(command.positionals);
  for (const Option& option : command.options) {
    if (option.name == "help") continue;
    std::string word = "--" + std::string(option.name);
    if (!option.placeholder.empty()) word += "=<" + std::string(option.placeholder) + ">";
    text += option.required ? " " + word : " [" + word + "]";
  }
  return text + "\n";
}

std::string help_text(std::string_view program, const CommandHelp& command) {
  std::string text = usage_text(program, command) + "\n" + std::string(command.summary) + "\n\nOptions:\n";
  for (const Option& option : command.options) {
    std::string left = option.letter != 0 ? std::string("  -") + option.letter + " --" : "     --";
    left += option.name;
    if (!option.placeholder.empty()) left += "=<" + std::string(option.placeholder) + ">";
    if (left.size() < 32) left.resize(32, ' ');
    text += left + " " + std::string(option.help) + "\n";
  }
  if (!command.details.empty()) text += "\n" + std::string(command.details);
  return text;
}

}  // namespace cli
