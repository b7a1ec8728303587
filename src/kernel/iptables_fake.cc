#include "kernel/iptables_fake.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"

namespace kernel {
namespace {

const std::map<std::string, std::vector<std::string>> kKernelChains{
    {"raw", {"PREROUTING", "OUTPUT"}},
    {"mangle", {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}},
    {"nat", {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}},
    {"filter", {"INPUT", "FORWARD", "OUTPUT"}}};

bool is_kernel_chain(std::string_view name) { return !name.empty() && name.front() >= 'A' && name.front() <= 'Z'; }

std::string_view target_of(std::string_view rule) {
  for (const std::string_view flag : {"--jump ", "--goto "}) {
    const std::size_t at = rule.find(flag);
    if (at == rule.npos) continue;
    const std::string_view target = rule.substr(at + flag.size());
    return target.substr(0, target.find(' '));
  }
  return {};
}

bool is_target(std::string_view name) {
  constexpr std::string_view kTargets[] = {"ACCEPT", "DROP", "RETURN", "REJECT", "MARK",      "NOTRACK",
                                           "LOG",    "DNAT", "SNAT",   "DSCP",   "MASQUERADE"};
  return std::find(std::begin(kTargets), std::end(kTargets), name) != std::end(kTargets);
}

// The first word, which is cut off `text`.
std::string_view word(std::string_view& text) {
  const std::size_t end = std::min(text.find(' '), text.size());
  const std::string_view first = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return first;
}

}  // namespace

FakeIptables::FakeIptables(base::Loop& loop, bool nft) : loop_(loop), nft_(nft) {
  for (const auto& [table, chains] : kKernelChains) {
    for (const std::string& chain : chains) tables_[table][chain];
  }
}

void FakeIptables::save(Done done) {
  ++saves;
  if (fail_saves > 0) {
    --fail_saves;
    running_ = loop_.after(std::chrono::milliseconds(1), [done] { done({false, {}, "no", "exit status 1: no", {}}); });
    return;
  }
  std::string text;
  for (const auto& [table, chains] : tables_) {
    text += "*" + table + "\n";
    for (const auto& [name, rules] : chains)
      text += ":" + name + (is_kernel_chain(name) ? " ACCEPT" : " -") + " [0:0]\n";
    for (const auto& [name, rules] : chains) {
      for (const std::string& rule : rules) text += "-A " + name + " " + rule + "\n";
    }
    text += "COMMIT\n";
  }
  running_ =
      loop_.after(save_time, [done, text = std::move(text), time = save_time] { done({true, text, {}, {}, time}); });
}

void FakeIptables::restore(std::string input, Done done) {
  inputs.push_back(input);
  ToolResult result{true, {}, {}, {}, restore_time, {}};
  if (fail_restores > 0) {
    --fail_restores;
    result = {false, {}, "lock held", "exit status 4: lock held", restore_time};
  } else if (auto error = execute(input)) {
    result = {false, {}, *error, "exit status 1: " + *error, restore_time};
  }
  loop_.after(restore_time, [done = std::move(done), result = std::move(result)] { done(result); });
}

std::optional<std::uint32_t> FakeIptables::generation() {
  if (!nft_) return std::nullopt;
  return generation_;
}

std::optional<std::string> FakeIptables::execute(std::string_view input) {
  std::string table;
  Chains chains;
  std::size_t number = 0;
  std::string pending;  // the first refusal, if it shows only at the COMMIT
  for (const std::string_view text : base::split(input, '\n')) {
    ++number;
    if (text.empty()) continue;
    const std::string here = "line " + std::to_string(number) + " failed";
    if (text.front() == '*') {
      table = text.substr(1);
      chains = tables_[table];
      pending.clear();
    } else if (text == "COMMIT") {
      if (pending.empty()) pending = dangling(chains).value_or("");
      if (!pending.empty()) return here + ": " + pending;
      tables_[table] = chains;
      ++generation_;
    } else if (auto error = line(chains, text)) {
      if (refusal_names_line) return here + ": " + *error;
      if (pending.empty()) pending = *error;
    }
  }
  return std::nullopt;
}

std::optional<std::string> FakeIptables::line(Chains& chains, std::string_view text) const {
  if (text.front() == ':') {
    text.remove_prefix(1);
    chains[std::string(word(text))].clear();
    return std::nullopt;
  }
  const std::string_view operation = word(text);
  const auto chain = chains.find(std::string(word(text)));
  if (chain == chains.end()) return "no such chain";
  const std::string rule(text);
  if (operation == "--delete-chain") {
    if (!chain->second.empty()) return "chain not empty";
    chains.erase(chain);
  } else if (operation == "-D") {
    const auto found = std::find(chain->second.begin(), chain->second.end(), rule);
    if (found == chain->second.end()) return "no such rule";
    chain->second.erase(found);
  } else if (refuses && refuses(rule)) {
    return "refused";
  } else if (operation == "-I") {
    chain->second.insert(chain->second.begin(), rule);
  } else {
    chain->second.push_back(rule);
  }
  return std::nullopt;
}

std::optional<std::string> FakeIptables::dangling(const Chains& chains) {
  for (const auto& [name, rules] : chains) {
    for (const std::string& rule : rules) {
      const std::string_view target = target_of(rule);
      if (!target.empty() && !is_target(target) && !chains.contains(std::string(target))) {
        return "jump from " + name + " to missing " + std::string(target);
      }
    }
  }
  return std::nullopt;
}

}  // namespace kernel
