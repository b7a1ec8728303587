#include "reconcile/iptables_planner.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <ranges>

#include "base/check.h"

namespace reconcile {
namespace {

using render::iptables::ChainPtr;
using render::iptables::HookRule;
using render::iptables::Hooks;
using render::iptables::Table;

bool can_be_closed(std::string_view chain) {
  constexpr std::array<std::string_view, 8> kPrefixes{"cali-pi-", "cali-po-", "cali-pri-", "cali-pro-",
                                                      "cali-gi-", "cali-go-", "cali-tw-",  "cali-fw-"};
  return std::ranges::any_of(kPrefixes, [&](std::string_view prefix) { return chain.starts_with(prefix); });
}

// Writes lines and counts them, so that an error message's line number leads to the chain.
class Text {
 public:
  void line(std::string_view a, std::string_view b = {}, std::string_view c = {}) {
    out_.append(a).append(b).append(c).append("\n");
    ++count_;
  }
  void block(const std::string& lines, std::size_t count) {
    out_ += lines;
    count_ += count;
  }
  std::size_t count() const { return count_; }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
  std::size_t count_ = 0;
};

PlacedRule ours(const std::string& kernel_chain, const HookRule& hook) {
  return {PlacedRule::Owner::kOurs, hook.id,
          "-A " + kernel_chain + render::iptables::hash_comment(hook.id) + hook.body};
}

bool same_rule(const PlacedRule& a, const PlacedRule& b) { return a.owner == b.owner && a.id == b.id; }

}  // namespace

std::string_view TablePlan::chain_at(std::size_t number) const {
  const auto after = std::ranges::upper_bound(lines, number, {}, [](const auto& entry) { return entry.first; });
  return after == lines.begin() ? std::string_view() : std::string_view(std::prev(after)->second);
}

IptablesPlanner::IptablesPlanner(Table table, std::map<std::string, Hooks> hooks, IptablesOptions options)
    : table_(table), hooks_(std::move(hooks)), options_(options) {}

ChainPtr IptablesPlanner::closed_chain(const std::string& name) {
  using namespace render::iptables;
  return render_chain({name, {{{}, Drop{}, {"Closed because the kernel refused the rules of this chain"}}}});
}

ChainPtr IptablesPlanner::effective(const Chain& chain) const {
  if (!chain.desired || chain.desired != chain.refused) return chain.desired;
  return closed_chain(chain.desired->name);
}

bool IptablesPlanner::in_order(const Chain& chain) const {
  const ChainPtr wanted = effective(chain);
  return wanted ? chain.exists && chain.actual == state_of(*wanted) : !chain.exists;
}

void IptablesPlanner::check(const std::string& name) {
  const auto found = chains_.find(name);
  CHECK(found != chains_.end());
  if (!in_order(found->second)) {
    dirty_.insert(name);
    return;
  }
  dirty_.erase(name);
  if (!found->second.desired && !found->second.exists) chains_.erase(found);
}

void IptablesPlanner::update(const render::iptables::TableChanges& changes) {
  for (const auto& [name, chain] : changes.changed) {
    Chain& entry = chains_[name];
    if (entry.desired) desired_rules_ -= entry.desired->rule_count;
    desired_count_ += entry.desired ? 0 : 1;
    desired_rules_ += chain->rule_count;
    entry.desired = chain;
    entry.refused = nullptr;
    check(name);
  }
  for (const std::string& name : changes.removed) {
    const auto found = chains_.find(name);
    if (found == chains_.end()) continue;
    if (found->second.desired) {
      desired_rules_ -= found->second.desired->rule_count;
      --desired_count_;
    }
    found->second.desired = nullptr;
    found->second.refused = nullptr;
    check(name);
  }
}

std::size_t IptablesPlanner::observe(TableState state) {
  std::size_t surprises = 0;
  for (const auto& [name, actual] : state.owned) chains_.try_emplace(name);
  std::vector<std::string> names;
  for (auto& [name, chain] : chains_) {
    const auto seen = state.owned.find(name);
    const bool exists = seen != state.owned.end();
    const ChainState actual = exists ? seen->second : ChainState{};
    if (exists != chain.exists || actual != chain.actual) ++surprises;
    chain.exists = exists;
    chain.actual = actual;
    names.push_back(name);
  }
  for (const std::string& name : names) check(name);

  // Kernel chains that are to carry hooks, and chains of others that carry rules of ours although they should not.
  std::map<std::string, std::vector<PlacedRule>> placed = std::move(state.placed);
  for (const auto& [kernel_chain, hooks] : hooks_) {
    if (placed.contains(kernel_chain)) continue;
    const auto foreign = state.foreign_only.find(kernel_chain);
    placed[kernel_chain].resize(foreign == state.foreign_only.end() ? 0 : foreign->second);
  }
  placed_.swap(placed);
  dirty_kernel_.clear();
  for (const auto& [kernel_chain, rules] : placed_) {
    if (hooks_in_order(kernel_chain)) continue;
    dirty_kernel_.insert(kernel_chain);
    ++surprises;
  }
  const bool first = !observed_;
  observed_ = true;
  return first ? 0 : surprises;
}

std::vector<PlacedRule> IptablesPlanner::planned_layout(const std::string& kernel_chain) const {
  const auto& now = placed_.at(kernel_chain);
  std::vector<PlacedRule> foreign;
  std::ranges::copy_if(now, std::back_inserter(foreign),
                       [](const PlacedRule& rule) { return rule.owner == PlacedRule::Owner::kForeign; });
  const auto hooks = hooks_.find(kernel_chain);
  if (hooks == hooks_.end()) return foreign;

  std::vector<PlacedRule> layout;
  const auto add_inserted = [&] {
    for (const HookRule& hook : hooks->second.inserted) layout.push_back(ours(kernel_chain, hook));
  };
  if (options_.insert_mode == render::InsertMode::kInsert) add_inserted();
  layout.insert(layout.end(), foreign.begin(), foreign.end());
  if (options_.insert_mode == render::InsertMode::kAppend) add_inserted();
  for (const HookRule& hook : hooks->second.appended) layout.push_back(ours(kernel_chain, hook));
  return layout;
}

bool IptablesPlanner::hooks_in_order(const std::string& kernel_chain) const {
  const std::vector<PlacedRule> wanted = planned_layout(kernel_chain);
  return std::ranges::equal(wanted, placed_.at(kernel_chain), same_rule);
}

void IptablesPlanner::plan_hooks(const std::string& kernel_chain, std::vector<std::string>& lines) const {
  for (const PlacedRule& rule : placed_.at(kernel_chain)) {
    if (rule.owner != PlacedRule::Owner::kForeign) lines.push_back("-D" + rule.line.substr(2));
  }
  const auto hooks = hooks_.find(kernel_chain);
  if (hooks == hooks_.end()) return;
  const auto place = [&](const char* operation, const HookRule& hook) {
    lines.push_back(operation + kernel_chain + render::iptables::hash_comment(hook.id) + hook.body);
  };
  if (options_.insert_mode == render::InsertMode::kInsert) {
    // Each goes to the head, so the last one first.
    for (const HookRule& hook : std::views::reverse(hooks->second.inserted)) place("-I ", hook);
  } else {
    for (const HookRule& hook : hooks->second.inserted) place("-A ", hook);
  }
  for (const HookRule& hook : hooks->second.appended) place("-A ", hook);
}

TablePlan IptablesPlanner::plan(const std::set<std::string>& hold) const {
  TablePlan plan;
  if (!dirty()) return plan;
  std::vector<std::string> deleted;
  for (const std::string& name : dirty_) {
    const Chain& chain = chains_.at(name);
    if (!hold.contains(name)) {
      plan.chains.emplace(name, effective(chain));
      if (!chain.desired) deleted.push_back(name);
    } else if (!chain.exists) {
      plan.chains.emplace(name, closed_chain(name));
    }
  }
  std::vector<std::string> hook_lines;
  for (const std::string& kernel_chain : dirty_kernel_) {
    plan.kernel_chains.insert(kernel_chain);
    plan_hooks(kernel_chain, hook_lines);
  }
  if (plan.chains.empty() && hook_lines.empty()) return plan;

  Text text;
  const std::string open = "*" + std::string(render::iptables::to_string(table_));
  text.line(open);
  // Declaring a chain creates or empties it; emptying those to be deleted cuts what they refer to.
  for (const auto& [name, chain] : plan.chains) text.line(":", name, " - -");
  for (const auto& [name, chain] : plan.chains) {
    if (!chain || chain->rule_count == 0) continue;
    plan.lines.emplace_back(text.count() + 1, name);
    text.block(chain->lines, chain->rule_count);
  }
  if (!hook_lines.empty()) plan.lines.emplace_back(text.count() + 1, "");
  for (const std::string& line : hook_lines) text.line(line);
  if (!deleted.empty()) {
    if (options_.delete_in_second_transaction) {
      text.line("COMMIT");
      text.line(open);
      for (const std::string& name : deleted) text.line(":", name, " - -");
    }
    plan.lines.emplace_back(text.count() + 1, "");
    for (const std::string& name : deleted) text.line("--delete-chain ", name);
  }
  plan.lines.emplace_back(text.count() + 1, "");
  text.line("COMMIT");
  plan.line_count = text.count();
  plan.text = text.take();
  return plan;
}

void IptablesPlanner::record(const TablePlan& plan) {
  for (const auto& [name, written] : plan.chains) {
    Chain& chain = chains_[name];
    chain.exists = written != nullptr;
    chain.actual = written ? state_of(*written) : ChainState{};
    check(name);
  }
  for (const std::string& kernel_chain : plan.kernel_chains) {
    placed_[kernel_chain] = planned_layout(kernel_chain);
    dirty_kernel_.erase(kernel_chain);
    if (!hooks_.contains(kernel_chain)) placed_.erase(kernel_chain);
  }
}

std::vector<std::string> IptablesPlanner::suspects() const {
  std::vector<std::string> names;
  std::ranges::copy_if(dirty_, std::back_inserter(names), [&](const std::string& name) {
    const Chain& chain = chains_.at(name);
    return can_be_closed(name) && chain.desired && chain.desired != chain.refused;
  });
  return names;
}

bool IptablesPlanner::set_aside(const std::string& name) {
  const auto found = chains_.find(name);
  if (found == chains_.end() || !can_be_closed(name)) return false;
  Chain& chain = found->second;
  if (!chain.desired || chain.desired == chain.refused) return false;
  chain.refused = chain.desired;
  check(name);
  return true;
}

bool IptablesPlanner::retry_refused() {
  const std::vector<std::string> names = refused();
  for (const std::string& name : names) (void)retry_refused(name);
  return !names.empty();
}

bool IptablesPlanner::retry_refused(const std::string& name) {
  const auto found = chains_.find(name);
  if (found == chains_.end() || !found->second.refused) return false;
  found->second.refused = nullptr;
  check(name);
  return true;
}

std::vector<std::string> IptablesPlanner::refused() const {
  std::vector<std::string> names;
  for (const auto& [name, chain] : chains_) {
    if (chain.refused) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace reconcile
