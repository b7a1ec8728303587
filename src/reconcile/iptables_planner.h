// iptables_planner.h: from "what we want" and "what is there" to the input of iptables-restore --noflush, for one table
// of one family.
//
// Pure and deterministic. A changed chain of our own is declared again, which empties it, and all its rules follow:
// rule positions never matter, no save has to precede a write, and iptables commits the table as one. Rules in kernel
// chains are deleted by value and placed again, only where their order is not the wanted one (spec dataplane §13.3,
// §13.4).
//
// Order within a transaction: declare · fill · hooks · delete chains. A rule may not jump to a chain that does not
// exist, and the kernel refuses to delete a chain that is still jumped to.
//
// Nothing is planned before the first observe(): what is there must be known before anything is removed or hooked.
//
// What the kernel refuses is set aside (set_aside): the chain is written as a single drop, so its packets stay closed,
// until another text is wanted for it or retry_refused() is called. Only chains of policies and workloads can be: a
// drop in place of a chain that the host's own packets traverse would cut the host off. Cost: the dirty chains, never
// all chains.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "reconcile/iptables_save.h"
#include "render/iptables/chain_table.h"
#include "render/iptables/context.h"
#include "render/iptables/static_chains.h"
#include "render/settings.h"

namespace reconcile {

struct IptablesOptions {
  render::InsertMode insert_mode = render::InsertMode::kInsert;
  // iptables-nft-restore before 1.8.3 cannot delete a chain in the transaction that empties it.
  bool delete_in_second_transaction = true;
};

// One table's share of a restore. `chains` and `kernel_chains` say what holds once it is carried out.
struct TablePlan {
  std::string text;                                          // one or two transactions, or empty
  std::map<std::string, render::iptables::ChainPtr> chains;  // null: deleted
  std::set<std::string> kernel_chains;                       // whose hooks were put in order
  std::vector<std::pair<std::size_t, std::string>>
      lines;  // number of a chain's first rule in `text`, from 1; ascending
  std::size_t line_count = 0;
  bool empty() const { return text.empty(); }
  // The chain that line `number` of `text` fills, or empty.
  std::string_view chain_at(std::size_t number) const;
};

class IptablesPlanner {
 public:
  IptablesPlanner(render::iptables::Table table, std::map<std::string, render::iptables::Hooks> hooks,
                  IptablesOptions options);

  void update(const render::iptables::TableChanges& changes);
  // What is there now replaces what we believed, and marks what differs from what is wanted. REQUIRES that no write is
  // under way. Returns how many chains, own and kernel ones, are not as they were believed to be; 0 at the first call.
  std::size_t observe(TableState state);
  bool observed() const { return observed_; }
  bool dirty() const { return observed_ && (!dirty_.empty() || !dirty_kernel_.empty()); }

  // `hold`: chains whose change is not to be written yet; those that do not exist are written closed, so that others
  // may refer to them. For finding out which of many chains the kernel refuses.
  TablePlan plan(const std::set<std::string>& hold = {}) const;
  void record(const TablePlan& plan);

  // Chains of the next plan that could be set aside, in order.
  std::vector<std::string> suspects() const;
  // False if this chain cannot be, or already is.
  bool set_aside(const std::string& chain);
  // Everything refused is tried again. True if there is anything.
  bool retry_refused();
  // The same for one chain.
  bool retry_refused(const std::string& chain);
  std::vector<std::string> refused() const;

  render::iptables::Table table() const { return table_; }
  std::size_t chain_count() const { return desired_count_; }
  std::size_t rule_count() const { return desired_rules_; }

 private:
  struct Chain {
    render::iptables::ChainPtr desired;  // null: not wanted
    render::iptables::ChainPtr refused;  // equal to desired: written closed instead
    bool exists = false;
    ChainState actual;
  };

  // What is to be in the kernel for this chain, or null.
  render::iptables::ChainPtr effective(const Chain& chain) const;
  static render::iptables::ChainPtr closed_chain(const std::string& name);
  bool in_order(const Chain& chain) const;
  void check(const std::string& name);
  bool hooks_in_order(const std::string& kernel_chain) const;
  std::vector<PlacedRule> planned_layout(const std::string& kernel_chain) const;
  void plan_hooks(const std::string& kernel_chain, std::vector<std::string>& lines) const;

  render::iptables::Table table_;
  std::map<std::string, render::iptables::Hooks> hooks_;
  IptablesOptions options_;
  bool observed_ = false;
  std::unordered_map<std::string, Chain> chains_;
  std::set<std::string> dirty_;
  std::map<std::string, std::vector<PlacedRule>> placed_;  // by kernel chain, with foreign rules as blanks
  std::set<std::string> dirty_kernel_;
  std::size_t desired_count_ = 0;
  std::size_t desired_rules_ = 0;
};

}  // namespace reconcile
