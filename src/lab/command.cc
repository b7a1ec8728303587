#include "lab/command.h"

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>

#include <fmt/core.h>

#include "lab/demo/demo.h"
#include "lab/holder.h"
#include "lab/lab.h"
#include "lab/matrix.h"
#include "lab/ready.h"
#include "lab/verdicts.h"

namespace lab {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kUsage =
    "usage: percalectl lab COMMAND [NAME]\n"
    "  up [NAME] [--agent PATH|none] [--backend nft|legacy] [--env NAME=VALUE]\n"
    "                     three hosts, a router, etcd and six guests; --agent runs another Calico-compatible agent\n"
    "  status [NAME]      hosts, agents, BGP sessions, guests\n"
    "  matrix [NAME]      real packets between all guests, compared with the policies; exit status 1 on any "
    "difference\n"
    "  exec NAME NODE -- COMMAND...   run a program in a host or guest, or in \"router\" or \"etcd\"\n"
    "  down [NAME|--all]  take it away, also what a crash left\n"
    "  demo [NAME] [--keep] [--cut SECONDS]   the narrated run: nine steps, each checked, about a minute; takes up's "
    "options too\n"
    "NAME is \"lab\" unless given. All commands need root.\n";

constexpr auto kReadyLimit = 40s;

struct Options {
  std::string name = "lab";
  AgentOptions agent;
  bool all = false;
  bool keep = false;
  bool named = false;
  int cut_seconds = DemoOptions{}.cut_seconds;
  std::string problem;
};

Options parse(std::span<const std::string> arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    const bool takes_value = word == "--agent" || word == "--backend" || word == "--env" || word == "--cut";
    if (takes_value && i + 1 == arguments.size()) {
      options.problem = word + " needs a value";
    } else if (word == "--agent") {
      options.agent.program = arguments[++i];
    } else if (word == "--backend") {
      options.agent.backend = arguments[++i];
    } else if (word == "--env") {
      options.agent.environment.push_back(arguments[++i]);
    } else if (word == "--cut") {
      options.cut_seconds = std::atoi(arguments[++i].c_str());
    } else if (word == "--all") {
      options.all = true;
    } else if (word == "--keep") {
      options.keep = true;
    } else if (!options.named && is_lab_name(word)) {
      options.name = word;
      options.named = true;
    } else {
      options.problem = fmt::format("'{}' is not understood here", word);
    }
  }
  return options;
}

int complain(const base::Error& error) {
  fmt::print(stderr, "percalectl lab: {}\n", error.text());
  return 1;
}

int up(const Options& options) {
  auto lab = Lab::create({.lab = options.name}, options.agent);
  if (!lab) return complain(lab.error());
  const std::string problem = wait_until(kReadyLimit, [&] { return not_ready(**lab); });
  if (!problem.empty()) {
    fmt::print(stderr, "percalectl lab: up, but not ready: {}\n", problem);
    return 1;
  }
  fmt::print("lab {} is up: {} hosts, {} guests. Try: percalectl lab matrix {}\n", options.name,
             (*lab)->plan().hosts.size(), (*lab)->plan().guests.size(), options.name);
  return 0;
}

int status(const Options& options) {
  auto lab = Lab::open({.lab = options.name});
  if (!lab) return complain(lab.error());
  for (const Host& host : (*lab)->plan().hosts) {
    const auto pid = (*lab)->agent_pid(host);
    fmt::print("{:<8} {:<18} agent {:<18} etcd {}\n", host.name, base::to_string(host.v4),
               (*lab)->agent_options().is_none() ? "none"
               : pid ? fmt::format("{} ({})", (*lab)->agent_ready(host) ? "ready" : "not ready", *pid)
                     : "not running",
               (*lab)->etcd_url());
    auto bird = (*lab)->bird_status(host.name);
    if (!bird)
      fmt::print("         BIRD: {}\n", bird.error().text());
    else
      for (const auto& row : bird->sessions) fmt::print("         {:<28} {} {}\n", row.name, row.session, row.detail);
  }
  for (const Guest& guest : (*lab)->plan().guests) {
    fmt::print("{:<8} {:<18} {:<14} on {} at {}, role {}\n", guest.name, base::to_string(guest.v4),
               base::to_string(guest.v6), guest.host, guest.tap, guest.role);
  }
  const std::string problem = not_ready(**lab);
  fmt::print("{}\n", problem.empty() ? "ready" : problem);
  return problem.empty() ? 0 : 1;
}

int matrix(const Options& options) {
  auto lab = Lab::open({.lab = options.name});
  if (!lab) return complain(lab.error());
  auto verdicts = read_verdicts(**lab);
  if (!verdicts) return complain(verdicts.error());
  auto report = run_matrix(**lab, [&](const Flow& flow) { return verdicts->expect(flow); });
  if (!report) return complain(report.error());
  fmt::print("{}", to_text((*lab)->plan(), *report));
  return report->differences() == 0 ? 0 : 1;
}

int exec(std::span<const std::string> arguments) {
  if (arguments.size() < 4 || arguments[2] != "--") {
    fmt::print(stderr, "{}", kUsage);
    return 2;
  }
  auto lab = Lab::open({.lab = arguments[0]});
  if (!lab) return complain(lab.error());
  const Host* host = (*lab)->plan().host(arguments[1]);
  const Node* node = (*lab)->find_node(host != nullptr ? host->name : arguments[1]);
  if (node == nullptr)
    return complain(base::Error::not_found(fmt::format("lab {} has no {}", arguments[0], arguments[1])));
  auto result = run_interactive_in(
      *node, {.arguments = {arguments.begin() + 3, arguments.end()}, .environment = (*lab)->environment()});
  if (!result) return complain(result.error());
  return *result;
}

int down(const Options& options) {
  std::vector<std::string> names = {options.name};
  if (options.all) names = Lab::all(Paths{}.root);
  for (const std::string& name : names) {
    if (auto gone = Lab::destroy({.lab = name}); !gone) return complain(gone.error());
  }
  return 0;
}

int demo(const Options& options) {
  DemoOptions wanted;
  if (options.named) wanted.name = options.name;
  wanted.agent = options.agent;
  wanted.keep = options.keep;
  wanted.cut_seconds = options.cut_seconds;
  return run_demo(wanted);
}

}  // namespace

int run_command(std::span<const std::string> arguments) {
  const std::string command = arguments.empty() ? "" : arguments[0];
  const auto rest = arguments.empty() ? arguments : arguments.subspan(1);
  if (command == "__holder") run_holder(rest);
  if (command == "exec") return exec(rest);
  using Action = int (*)(const Options&);
  static const std::map<std::string, Action> kActions = {
      {"up", up}, {"status", status}, {"matrix", matrix}, {"down", down}, {"demo", demo}};
  const auto action = kActions.find(command);
  if (action == kActions.end()) {
    fmt::print(stderr, "{}", kUsage);
    return command == "help" || command == "--help" ? 0 : 2;
  }
  const Options options = parse(rest);
  if (!options.problem.empty()) {
    fmt::print(stderr, "percalectl lab {}: {}\n{}", command, options.problem, kUsage);
    return 2;
  }
  return action->second(options);
}

}  // namespace lab
