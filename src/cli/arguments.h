// arguments.h: the words of one command, in upstream's grammar (spec cli §1.2): options and positionals in any order,
// unambiguous beginnings of long options, an option given twice is an error, and the exact texts for each mistake.
//
// Not CLI11, because scripts depend on that grammar and on those texts, and none of its parts would be used beyond
// splitting.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cli {

struct Option {
  std::string_view name;              // without dashes
  char letter = 0;                    // 0: no short form
  std::string_view placeholder = {};  // empty: takes no value
  std::string_view help = {};
  bool required = false;
  bool repeatable = false;
};

struct CommandHelp {
  std::string_view name;         // "apply", "ipam show"
  std::string_view positionals;  // as in the usage line
  std::string_view summary;
  std::vector<Option> options;
  std::size_t min_positionals = 0;
  std::size_t max_positionals = 0;  // kAnyNumber
  std::string_view details = {};    // after the options in the help
};
inline constexpr std::size_t kAnyNumber = 1'000'000;

class Arguments {
 public:
  bool has(std::string_view option) const { return values_.contains(option); }
  std::string value(std::string_view option, std::string_view otherwise = {}) const;
  // Of a repeatable option.
  std::vector<std::string> values(std::string_view option) const;
  const std::vector<std::string>& positionals() const { return positionals_; }

 private:
  friend struct ArgumentParser;
  std::map<std::string, std::string, std::less<>> values_;  // repeated ones separated by a zero byte
  std::vector<std::string> positionals_;
};

struct ParseOutcome {
  std::optional<Arguments> arguments;  // absent: a mistake
  bool help = false;                   // -h or --help was given
  std::string mistake;                 // one line to print before the usage, may be empty
};
ParseOutcome parse_arguments(const CommandHelp& command, std::span<const std::string> words);

std::string usage_text(std::string_view program, const CommandHelp& command);  // "Usage:" section
std::string help_text(std::string_view program, const CommandHelp& command);

}  // namespace cli
