// The table of commands and the words before a command (spec cli §1.2–§1.4).

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "cli/commands.h"
#include "model/kinds/kinds.h"

namespace cli {
namespace {

constexpr Option kHelp = {"help", 'h', {}, "Show this text."};
constexpr Option kConfig = {"config", 'c', "CONFIG",
                            "File with the connection settings. [default: /etc/calico/calicoctl.cfg]"};
constexpr Option kNamespace = {"namespace", 'n', "NS", "Namespace of the resources. [default: default]"};
constexpr Option kAllNamespaces = {"all-namespaces", 'A', {}, "Resources of all namespaces."};
constexpr Option kContext = {"context", 0, "CONTEXT", "Accepted for compatibility; has no effect."};
constexpr Option kMismatch = {"allow-version-mismatch", 0, {}, "Work on a cluster of another version."};
constexpr Option kRecursive = {"recursive", 'R', {}, "Descend into sub-directories of the directory given by -f."};
constexpr Option kSkipEmpty = {"skip-empty", 0, {}, "Files without resources are no error."};
constexpr Option kDryRun = {"dry-run", 0, {}, "Do everything except the writes."};
constexpr Option kFile = {"filename", 'f', "FILENAME", "File, directory, or - for standard input."};
constexpr Option kRequiredFile = {"filename", 'f', "FILENAME", "File, directory, or - for standard input.", true};

std::string kind_list() {
  std::vector<std::string> lines;
  for (const model::Kind* kind : model::all_kinds()) lines.push_back("    - " + base::to_lower(kind->name) + "\n");
  std::ranges::sort(lines);
  return "Resource types:\n\n" + base::join(lines, "");
}

const std::string& kinds_text() {
  static const std::string kText = kind_list();
  return kText;
}

// Commands of several words; a group of groups stands before its members.
struct Group {
  std::string_view name;
  std::string_view summary;
};
constexpr Group kGroups[] = {{"datastore", "Manage the datastore."},
                             {"datastore migrate", "Stop and resume the agents for work on the whole datastore."},
                             {"ipam", "Show, check and repair the assignment of addresses."},
                             {"node", "Set up this host as a node, show its state, check its system."}};

std::vector<Command> make_commands() {
  const std::vector<Option> write_options = {kRequiredFile, kRecursive, kSkipEmpty, kDryRun, kConfig,
                                             kNamespace,    kContext,   kMismatch,  kHelp};
  const auto with = [](std::vector<Option> options, std::initializer_list<Option> more) {
    options.insert(options.begin() + 1, more);
    return options;
  };
  const std::string_view kinds = kinds_text();
  std::vector<Command> commands = {
      {{"create", "", "Create resources that do not exist yet.",
        with(write_options, {{"skip-exists", 0, {}, "A resource that exists is no error and stays as it is."}}), 0, 0,
        kinds},
       run_create},
      {{"replace", "", "Replace resources that exist.", write_options, 0, 0, kinds}, run_replace},
      {{"apply", "", "Create resources, or replace them if they exist.", write_options, 0, 0, kinds}, run_apply},
      {{"patch",
        "<KIND> <NAME>",
        "Change parts of a resource.",
        {{"patch", 'p', "PATCH", "The change, as JSON or YAML.", true},
         {"type", 't', "TYPE", "strategic, merge or json. [default: strategic]"},
         kDryRun,
         kConfig,
         kNamespace,
         kContext,
         kMismatch,
         kHelp},
        2,
        2,
        kinds},
       run_patch},
      {{"delete",
        "[<KIND> [<NAME>...]]",
        "Delete resources.",
        {kFile,
         kRecursive,
         kSkipEmpty,
         {"skip-not-exists", 's', {}, "A resource that does not exist is no error."},
         kDryRun,
         kConfig,
         kNamespace,
         kContext,
         kMismatch,
         kHelp},
        0,
        kAnyNumber,
        kinds},
       run_delete},
      {{"get",
        "[<KIND> [<NAME>...]]",
        "Show resources.",
        {kFile,
         kRecursive,
         kSkipEmpty,
         {"output", 'o', "OUTPUT",
          "ps, wide, yaml, json, custom-columns=A,B, go-template=TEXT or go-template-file=FILE. [default: ps]"},
         kConfig,
         kNamespace,
         kAllNamespaces,
         {"export", 0, {}, "Leave out what belongs to this cluster; only with names."},
         kContext,
         kMismatch,
         kHelp},
        0,
        kAnyNumber,
        kinds},
       run_get},
      {{"label",
        "<KIND> <NAME> (<KEY>=<VALUE> | <KEY> --remove)",
        "Set or remove a label of a resource.",
        {{"overwrite", 0, {}, "Replace the value of a label that is there."},
         {"remove", 0, {}, "Remove the label."},
         kConfig,
         kNamespace,
         kContext,
         kMismatch,
         kHelp},
        3,
        3,
        kinds},
       run_label},
      {{"validate",
        "",
        "Check resources without a datastore.",
        {kRequiredFile, kRecursive, kSkipEmpty, kMismatch, kHelp},
        0,
        0,
        kinds},
       run_validate},
      {{"explain", "[<KIND>[.<FIELD>...]]", "Describe a kind of resources or one of its fields.", {kHelp}, 0, 1, kinds},
       run_explain},
      {{"trace",
        "<FROM> <TO> <PROTOCOL>[/<PORT>]",
        "Say whether a packet would arrive, and which rules decide.",
        {{"output", 'o', "OUTPUT", "text or json. [default: text]"},
         {"ip-version", 0, "VERSION", "4 or 6, if both ends have addresses of both."},
         {"source-port", 0, "PORT", "Source port of the packet. [default: 40000]"},
         kConfig,
         kMismatch,
         kHelp},
        3,
        3,
        "FROM and TO are addresses, or endpoints by the name of the resource, the workload, the port or the\n"
        "interface, with the namespace in front if need be: openstack/NAME.\n"},
       run_trace},
      {{"plan",
        "",
        "Show what the agent of a node would program, without touching a kernel.",
        {{"node", 0, "NAME", "The node.", true},
         {"output", 'o', "OUTPUT", "text or json. [default: text]"},
         kConfig,
         kMismatch,
         kHelp},
        0,
        0,
        "Settings come from the datastore; what the node's own file and environment add is not known here.\n"},
       run_plan},
      {{"version",
        "",
        "Show the versions of this program and of the cluster.",
        {{"client", 0, {}, "Only this program's."},
         {"poll", 0, "DURATION", "Look again after so long, for ever, and print what has changed. [default: 0s]"},
         kConfig,
         kMismatch,
         kHelp},
        0,
        0},
       run_version},
  };
  for (std::vector<Command> (*more)() : {ipam_commands, node_commands, datastore_commands}) {
    for (Command& command : more()) commands.push_back(std::move(command));
  }
  return commands;
}

std::string group_usage(std::string_view program, std::string_view group) {
  return "Usage:\n  " + std::string(program) + " " + std::string(group) + " <command> [<args>...]\n";
}

std::string group_help(std::string_view program, const Group& group) {
  std::string text = group_usage(program, group.name) + "\n" + std::string(group.summary) + "\n\n";
  const std::string start = std::string(group.name) + " ";
  const auto line = [&](std::string_view full, std::string_view summary) {
    if (!full.starts_with(start) || full.find(' ', start.size()) != full.npos) return;
    std::string name(full.substr(start.size()));
    name.resize(std::max<std::size_t>(name.size() + 1, 14), ' ');
    text += "    " + name + std::string(summary) + "\n";
  };
  for (const Group& inner : kGroups) line(inner.name, inner.summary);
  for (const Command& command : all_commands()) line(command.help.name, command.help.summary);
  return text + "\nSee '" + std::string(program) + " " + start +
         "<command> --help' to read about a specific subcommand.\n";
}

// Joins the words of a grouped command into `name`; the exit status if there is none to run.
std::optional<int> take_group(std::string_view program, std::string& name, std::vector<std::string>& words,
                              Environment& environment) {
  const auto group = std::ranges::find(kGroups, name, [](const Group& g) { return std::string(g.name); });
  if (group == std::end(kGroups)) return std::nullopt;
  if (words.empty()) {
    environment.print_error(group_usage(program, name));
    return 1;
  }
  const bool help = words.front() == "-h" || words.front() == "--help";
  const std::string full = name + " " + words.front();
  const bool command = std::ranges::any_of(all_commands(), [&](const Command& c) { return c.help.name == full; });
  const bool known = command || std::ranges::any_of(kGroups, [&](const Group& inner) { return inner.name == full; });
  if (help || !known) {
    environment.print(group_help(program, *group));
    return help ? 0 : 1;
  }
  name = full;
  words.erase(words.begin());
  return command ? std::nullopt : take_group(program, name, words, environment);
}

constexpr std::pair<std::string_view, LogLevel> kLevels[] = {{"panic", LogLevel::kPanic}, {"fatal", LogLevel::kFatal},
                                                             {"error", LogLevel::kError}, {"warn", LogLevel::kWarn},
                                                             {"info", LogLevel::kInfo},   {"debug", LogLevel::kDebug}};

// Options that may stand anywhere; they are taken out before a command sees its words.
const CommandHelp& global_options() {
  static const CommandHelp kGlobals = {
      "",
      "<command> [<args>...]",
      "Manages the resources of a Percale or Calico cluster.",
      {kHelp,
       {"log-level", 'l', "LEVEL", "panic, fatal, error, warn, info or debug. [default: panic]"},
       {"datastore", 0, "LOCATION", "dir:PATH, or URLs of etcd separated by commas; in place of file and environment."},
       {"request-timeout", 0, "SECONDS", "How long the datastore may take to answer. [default: 10]"},
       kContext,
       kMismatch,
       {"version", 0, {}, "Say how to see the version."}},
      0,
      kAnyNumber};
  return kGlobals;
}

std::string overview(std::string_view program, std::span<const ForeignCommand> foreign) {
  std::string text = "Usage:\n  " + std::string(program) + " [options] <command> [<args>...]\n\n";
  const auto line = [&](std::string_view name, std::string_view summary) {
    std::string padded(name);
    padded.resize(std::max<std::size_t>(padded.size() + 1, 14), ' ');
    text += "    " + padded + std::string(summary) + "\n";
  };
  for (const Command& command : all_commands()) {
    if (command.help.name.find(' ') == std::string_view::npos) line(command.help.name, command.help.summary);
  }
  for (const Group& group : kGroups) {
    if (group.name.find(' ') == std::string_view::npos) line(group.name, group.summary);
  }
  for (const ForeignCommand& command : foreign) line(command.name, command.summary);
  text += "\nOptions:\n";
  const std::string help = help_text(program, global_options());
  text += help.substr(help.find("Options:\n") + 9);
  return text + "\nSee '" + std::string(program) + " <command> --help' to read about a specific subcommand.\n";
}

struct TopLevel {
  GlobalOptions globals;
  std::vector<std::string> rest;  // the command and its words
  std::optional<int> finished;    // the exit status, if nothing is left to do
};

// Words of a command that are its own business even if they look like global options end at "--".
bool take_global(std::span<const std::string> words, std::size_t& next, TopLevel& top, std::string& bad_level) {
  struct Taken {
    std::string_view name;
    char letter;
  };
  constexpr Taken kTaken[] = {{"log-level", 'l'}, {"datastore", 0}, {"request-timeout", 0}};
  for (const Taken& option : kTaken) {
    const std::string name = "--" + std::string(option.name);
    const std::string letter = std::string("-") + option.letter;
    const std::string& word = words[next];
    std::string value;
    if (word.starts_with(name + "=")) {
      value = word.substr(name.size() + 1);
    } else if (option.letter != 0 && word.size() > 2 && word.starts_with(letter)) {
      value = word.substr(2);
    } else if ((word == name || (option.letter != 0 && word == letter)) && next + 1 < words.size()) {
      value = words[++next];
    } else {
      continue;
    }
    ++next;
    if (option.name == "datastore") top.globals.datastore = value;
    if (option.name == "log-level") {
      const auto level = std::ranges::find(kLevels, value, [](const auto& entry) { return std::string(entry.first); });
      if (level == std::end(kLevels))
        bad_level = value;
      else
        top.globals.log_level = level->second;
    }
    if (option.name == "request-timeout") {
      int seconds = 0;
      std::from_chars(value.data(), value.data() + value.size(), seconds);
      top.globals.request_timeout = std::chrono::seconds(std::max(seconds, 1));
    }
    return true;
  }
  return false;
}

TopLevel read_top_level(std::string_view program, std::span<const std::string> words, Environment& environment,
                        std::span<const ForeignCommand> foreign) {
  TopLevel top;
  top.globals.program = program;
  std::string bad_level;
  const auto is_foreign = [&] {
    return !top.rest.empty() &&
           std::ranges::any_of(foreign, [&](const ForeignCommand& c) { return c.name == top.rest.front(); });
  };
  for (std::size_t next = 0; next < words.size();) {
    if (is_foreign() || words[next] == "--") {
      top.rest.insert(top.rest.end(), words.begin() + static_cast<std::ptrdiff_t>(next), words.end());
      break;
    }
    if (take_global(words, next, top, bad_level)) continue;
    const std::string& word = words[next++];
    if (!top.rest.empty() || !word.starts_with("-")) {
      top.rest.push_back(word);
      continue;
    }
    if (word == "-h" || word == "--help") {
      environment.print(overview(program, foreign));
      top.finished = 0;
      return top;
    }
    if (word == "--version") {
      environment.print("Run '" + std::string(program) + " version' to see version information.\n");
      top.finished = 0;
      return top;
    }
    if (word == "--allow-version-mismatch")
      top.globals.allow_version_mismatch = true;
    else if (word == "--context" && next < words.size())
      ++next;
    else if (!word.starts_with("--context=")) {
      top.finished = 1;
      break;
    }
  }
  if (!bad_level.empty()) {
    environment.print("Unknown log level: " + bad_level +
                      ", expected one of: \npanic, fatal, error, warn, info, debug.\n");
    top.finished = 1;
  } else if (top.finished || top.rest.empty()) {
    environment.print("Invalid option: '" + base::join(std::vector<std::string>(words.begin(), words.end()), " ") +
                      "'. Use flag '--help' to read about a specific subcommand.\n");
    environment.print_error("Usage:\n  " + std::string(program) + " [options] <command> [<args>...]\n");
    top.finished = 1;
  }
  return top;
}

// What the option table cannot say: these two want either files or KIND.
bool has_target(std::string_view command, const Arguments& arguments) {
  if (command != "get" && command != "delete") return true;
  return arguments.has("filename") != !arguments.positionals().empty();
}

}  // namespace

std::span<const Command> all_commands() {
  static const std::vector<Command> kCommands = make_commands();
  return kCommands;
}

int run(std::string_view program, std::span<const std::string> arguments, Environment& environment,
        std::span<const ForeignCommand> foreign) {
  TopLevel top = read_top_level(program, arguments, environment, foreign);
  if (top.finished) return *top.finished;
  std::string name = top.rest.front();
  std::vector<std::string> words(top.rest.begin() + 1, top.rest.end());
  for (const ForeignCommand& command : foreign) {
    if (command.name == name) return command.run(words);
  }
  if (const auto finished = take_group(program, name, words, environment)) return *finished;
  const auto command =
      std::ranges::find(all_commands(), name, [](const Command& c) { return std::string(c.help.name); });
  if (command == all_commands().end()) {
    if (name == "help") {
      environment.print(overview(program, foreign));
      return 0;
    }
    environment.print_error("unknown command: \"" + name + "\"\n" + overview(program, foreign));
    return 1;
  }
  if (name == "get") std::ranges::replace(words, std::string("-a"), std::string("-A"));
  const ParseOutcome parsed = parse_arguments(command->help, words);
  if (parsed.help) {
    environment.print(help_text(program, command->help));
    return 0;
  }
  if (!parsed.arguments || !has_target(name, *parsed.arguments)) {
    if (!parsed.mistake.empty()) environment.print_error(parsed.mistake + "\n");
    environment.print_error(usage_text(program, command->help));
    return 1;
  }
  Session session(environment, std::move(top.globals));
  return command->run(session, *parsed.arguments);
}

}  // namespace cli
