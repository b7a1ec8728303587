#include "lab/command.h"

#include <charconv>
#include <cstdio>
#include <functional>
#include <map>
#include <optional>

#include <fmt/core.h>

#include "lab/convergence.h"
#include "lab/demo/demo.h"
#include "lab/holder.h"
#include "lab/lab.h"
#include "lab/matrix.h"
#include "lab/ready.h"
#include "lab/tunnel.h"
#include "lab/verdicts.h"

namespace lab {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kUsage =
    "usage: percalectl lab COMMAND [NAME]\n"
    "  up [NAME] [--topology reflector|mesh|reflectors|racks] [--hosts N] [--pool-mode MODE] [--patience FACTOR]\n"
    "     [--agent PATH|none] [--backend nft|legacy] [--env NAME=VALUE]\n"
    "                     three hosts, a router, etcd and six guests; --agent runs another Calico-compatible agent;\n"
    "                     MODE: none (default), direct, ipip, ipip-cross-subnet, vxlan, vxlan-cross-subnet\n"
    "  status [NAME]      hosts, agents, BGP sessions, guests\n"
    "  matrix [NAME]      real packets between all guests, compared with the policies; exit status 1 on any "
    "difference\n"
    "  tunnel [NAME]      sizes and strangers at the tunnel between two subnets; exit status 1 if one is wrong\n"
    "  pool MODE [NAME]   change the encapsulation of the guests' pools while everything runs\n"
    "  exec NAME NODE -- COMMAND...   run a program in a host or guest, or in \"router\" or \"etcd\"\n"
    "  down [NAME|--all]  take it away, also what a crash left\n"
    "  demo [NAME] [--keep] [--cut SECONDS]   the narrated run: nine steps, each checked, about a minute; takes up's "
    "options too\n"
    "  demo [NAME] --tunnel ipip|vxlan [--keep]   the narrated run of a tunnel, eight steps\n"
    "  convergence [--guests N] [--quick]   how fast routes come and go; a minute, or seven without --quick, which "
    "waits "
    "for the hold time\n"
    "NAME is \"lab\" unless given. All commands need root.\n";

constexpr auto kReadyLimit = 40s;

struct Options {
  std::string name = "lab";
  Topology topology;
  int patience = 1;
  std::optional<PoolMode> mode;         // of "pool"
  std::optional<Encapsulation> tunnel;  // of "demo"
  AgentOptions agent;
  bool all = false;
  bool keep = false;
  bool quick = false;
  int guests = ConvergenceOptions{}.guests;
  bool named = false;
  int cut_seconds = DemoOptions{}.cut_seconds;
  std::string problem;
};

// The value of an option; false if it is not understood.
using Taker = std::function<bool(Options&, const std::string&)>;

bool take_number(const std::string& text, int& number) {
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), number);
  return bad == std::errc() && end == text.data() + text.size() && number > 0;
}

template <typename T, typename U>
bool take(std::optional<T> value, U& target) {
  if (value) target = *value;
  return value.has_value();
}

std::optional<Encapsulation> parse_tunnel(std::string_view text) {
  if (text == "ipip") return Encapsulation::kIpip;
  if (text == "vxlan") return Encapsulation::kVxlan;
  return std::nullopt;
}

const std::map<std::string, Taker>& takers() {
  static const std::map<std::string, Taker> kTakers = {
      {"--agent", [](Options& o, const std::string& v) { return o.agent.program = v, true; }},
      {"--backend", [](Options& o, const std::string& v) { return o.agent.backend = v, true; }},
      {"--env", [](Options& o, const std::string& v) { return o.agent.environment.push_back(v), true; }},
      {"--cut", [](Options& o, const std::string& v) { return take_number(v, o.cut_seconds); }},
      {"--guests", [](Options& o, const std::string& v) { return take_number(v, o.guests); }},
      {"--hosts", [](Options& o, const std::string& v) { return take_number(v, o.topology.hosts); }},
      {"--patience", [](Options& o, const std::string& v) { return take_number(v, o.patience); }},
      {"--topology", [](Options& o, const std::string& v) { return take(parse_fabric(v), o.topology.fabric); }},
      {"--pool-mode", [](Options& o, const std::string& v) { return take(parse_pool_mode(v), o.topology.pool); }},
      {"--tunnel", [](Options& o, const std::string& v) { return take(parse_tunnel(v), o.tunnel); }}};
  return kTakers;
}

Options parse(std::string_view command, std::span<const std::string> arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    const auto taker = takers().find(word);
    if (taker != takers().end() && i + 1 == arguments.size()) {
      options.problem = word + " needs a value";
    } else if (taker != takers().end()) {
      if (!taker->second(options, arguments[++i])) {
        options.problem = fmt::format("{} does not take '{}'", word, arguments[i]);
      }
    } else if (word == "--all") {
      options.all = true;
    } else if (word == "--quick") {
      options.quick = true;
    } else if (word == "--keep") {
      options.keep = true;
    } else if (command == "pool" && !options.mode && parse_pool_mode(word)) {
      options.mode = parse_pool_mode(word);
    } else if (!options.named && is_lab_name(word)) {
      options.name = word;
      options.named = true;
    } else {
      options.problem = fmt::format("'{}' is not understood here", word);
    }
  }
  if (options.problem.empty()) options.problem = problem_of(options.topology);
  return options;
}

int complain(const base::Error& error) {
  fmt::print(stderr, "percalectl lab: {}\n", error.text());
  return 1;
}

int up(const Options& options) {
  auto lab = Lab::create({.lab = options.name},
                         {.topology = options.topology, .agent = options.agent, .patience = options.patience});
  if (!lab) return complain(lab.error());
  const std::string problem = wait_until(kReadyLimit * options.patience, [&] { return not_ready(**lab); });
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
  fmt::print("topology {}, pool {}\n", to_string((*lab)->plan().topology.fabric),
             to_string((*lab)->plan().topology.pool));
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

int tunnel(const Options& options) {
  auto lab = Lab::open({.lab = options.name});
  if (!lab) return complain(lab.error());
  auto findings = check_tunnel(**lab);
  if (!findings) return complain(findings.error());
  bool good = true;
  for (const Finding& finding : *findings) {
    fmt::print("{}: {}; seen: {}\n", finding.good ? "good" : "WRONG", finding.what, finding.seen);
    good = good && finding.good;
  }
  return good ? 0 : 1;
}

int pool(const Options& options) {
  auto lab = Lab::open({.lab = options.name});
  if (!lab) return complain(lab.error());
  if (!options.mode || (*lab)->plan().topology.pool == PoolMode::kNone || *options.mode == PoolMode::kNone) {
    return complain(base::Error::invalid("pool needs a mode other than none, and a lab that was started with one"));
  }
  auto changed = (*lab)->set_pool_mode(*options.mode);
  return changed ? 0 : complain(changed.error());
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
  wanted.patience = options.patience;
  wanted.keep = options.keep;
  wanted.cut_seconds = options.cut_seconds;
  return options.tunnel ? run_tunnel_demo(wanted, *options.tunnel) : run_demo(wanted);
}

int convergence(const Options& options) {
  ConvergenceOptions wanted;
  if (options.named) wanted.name = options.name;
  wanted.agent = options.agent;
  wanted.patience = options.patience;
  wanted.guests = options.guests;
  wanted.wait_for_hold_time = !options.quick;
  return measure_convergence(wanted);
}

}  // namespace

int run_command(std::span<const std::string> arguments) {
  const std::string command = arguments.empty() ? "" : arguments[0];
  const auto rest = arguments.empty() ? arguments : arguments.subspan(1);
  if (command == "__holder") run_holder(rest);
  if (command == "exec") return exec(rest);
  using Action = int (*)(const Options&);
  static const std::map<std::string, Action> kActions = {
      {"up", up},     {"status", status}, {"matrix", matrix}, {"tunnel", tunnel},
      {"pool", pool}, {"down", down},     {"demo", demo},     {"convergence", convergence}};
  const auto action = kActions.find(command);
  if (action == kActions.end()) {
    fmt::print(stderr, "{}", kUsage);
    return command == "help" || command == "--help" ? 0 : 2;
  }
  const Options options = parse(command, rest);
  if (!options.problem.empty()) {
    fmt::print(stderr, "percalectl lab {}: {}\n{}", command, options.problem, kUsage);
    return 2;
  }
  return action->second(options);
}

}  // namespace lab
