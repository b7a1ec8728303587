// iptables_syncer.h: keeps all iptables tables of one family as wanted. Desired chains come in through update(), hooks
// are fixed at construction; the kernel is written by one asynchronous iptables-restore at a time, and read back by
// iptables-save at the start, some time after writes, on the refresh timer, and after errors. Nothing blocks the loop.
//
//   IptablesSyncer syncer(loop, *tool, log, options, hooks);
//   syncer.update(changes.tables);                    // from Renderer; any time, also while a restore runs
//   syncer.apply([](ApplyReport report) { … });       // after IP sets exist; `done` once this state is written or has
//   failed
//
// Promises:
//  * nothing is written before the first apply() and the first read-back, and nothing at all if the kernel already
//  holds what is wanted;
//  * changes that arrive while a restore runs are merged and written right after it;
//  * a table that fails does not stop the others: after a failure everything is read back, tables are written one by
//  one, chains
//    the kernel refuses are found (from the error's line, else by halving) and closed, and the rest is retried with
//    back-off; a refused chain is tried again ever more rarely, and at once when its text changes;
//  * a read-back that only looks for drift gives way to a change, and is made up for later;
//  * drift is repaired when seen. When it is looked for: kFirstCheck after the last write, then ever less often, and at
//  least every
//    refresh interval. With the nft flavour a look costs one netlink request, because the generation counter says
//    whether anybody wrote since the last read-back; with legacy it costs a save (70 ms for 27,000 rules).
//
// With no hooks and no chains it removes whatever this agent ever left in these tables (spec §13.7).
// Thread rules: everything on the loop's thread; `tool` and `log` outlive the syncer.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "kernel/apply_report.h"
#include "kernel/iptables_tool.h"
#include "reconcile/iptables_planner.h"
#include "render/iptables/renderer.h"

namespace kernel {

struct IptablesMetrics {
  base::Counter restore_calls, restore_errors, save_calls, save_errors;  // felix_iptables_…
  render::iptables::PerTable<base::Gauge> chains, rules;
  render::iptables::PerTable<base::Counter> lines;
  base::Summary start;  // percale_path_seconds, docs/hot-path.md
  base::Summary exec;   // felix_exec_time_micros: the same in Calico's unit
};
IptablesMetrics iptables_metrics(base::MetricRegistry& registry, base::Family family);

struct IptablesSyncerOptions {
  base::Family family = base::Family::kIpv4;
  reconcile::IptablesOptions planner;
  std::chrono::milliseconds first_check{5'000};         // IptablesPostWriteCheckIntervalSecs
  std::chrono::milliseconds refresh_interval{180'000};  // IptablesRefreshInterval; zero or less: no refresh
};

struct IptablesCounters {
  std::uint64_t restores = 0, saves = 0, restore_errors = 0, save_errors = 0, lines = 0;
  std::uint64_t skipped_saves = 0;  // drift checks answered by the generation counter
  std::uint64_t surprises = 0;      // chains found changed by somebody else
};

class IptablesSyncer {
 public:
  using Done = std::function<void(ApplyReport)>;
  using Hooks = render::iptables::PerTable<std::map<std::string, render::iptables::Hooks>>;

  IptablesSyncer(base::Loop& loop, IptablesTool& tool, base::Log& log, IptablesSyncerOptions options,
                 const Hooks& hooks, IptablesMetrics metrics = {});
  ~IptablesSyncer();
  IptablesSyncer(const IptablesSyncer&) = delete;
  IptablesSyncer& operator=(const IptablesSyncer&) = delete;

  void update(const render::iptables::PerTable<render::iptables::TableChanges>& changes);
  // `done` is never called from inside apply() and must not destroy the syncer. A clean report means that everything
  // updated before is in the kernel.
  void apply(Done done);
  // Reads everything back before the next write, and tries refused chains again. May be called before the first
  // apply(), so that the kernel is read while the datastore is.
  void request_read_back();

  bool busy() const { return busy_; }  // a program is running
  bool dirty() const;                  // something is not in the kernel as wanted, or the kernel has not been read yet
  const IptablesCounters& counters() const { return counters_; }

  // Between retries of a failing table or read; doubles from the first to the last.
  static constexpr base::Duration kFirstRetry = std::chrono::milliseconds(10);
  static constexpr base::Duration kLastRetry = std::chrono::seconds(10);
  // Post-write checks get rarer by this factor and end beyond the limit; the refresh goes on.
  static constexpr int kCheckGrowth = 4;
  static constexpr base::Duration kLastCheck = std::chrono::hours(1);
  // Between trials of a refused chain; doubles from the first to the last. Somebody may have loaded a kernel module.
  static constexpr base::Duration kFirstTrial = std::chrono::seconds(30);
  static constexpr base::Duration kLastTrial = std::chrono::minutes(30);

 private:
  using Table = render::iptables::Table;
  // Finding out which chains of a table the kernel refuses: groups still to be tried; those in none are held back.
  using Suspects = std::vector<std::vector<std::string>>;
  struct Refusal {
    int times = 0;  // in a row, with the same text
    base::Instant next_trial{};
    bool on_trial = false;  // not closed for the moment
  };
  struct TableState {
    explicit TableState(reconcile::IptablesPlanner p) : planner(std::move(p)) {}
    reconcile::IptablesPlanner planner;
    bool alone = false;          // failed, perhaps together with others: written by itself until it succeeds
    int failures = 0;            // in a row, by itself
    base::Instant not_before{};  // for the next attempt
    Suspects suspects;           // not empty: the search is on
    std::optional<base::Error> error;
    std::map<std::string, Refusal> refusals;  // by chain
  };
  struct Writing {
    std::vector<std::pair<TableState*, reconcile::TablePlan>> plans;
    std::size_t lines() const;
  };

  void pump();
  void start_read();
  void finish_read(ToolResult result, std::optional<std::uint32_t> generation_before);
  void read_failed(const std::string& why);
  void give_way();
  bool start_write();
  Writing choose();
  std::set<std::string> held_back(const TableState& table) const;
  void finish_write(Writing writing, ToolResult result);
  void write_failed(Writing writing, const ToolResult& result);
  void table_failed(TableState& table, const reconcile::TablePlan& plan, std::string_view chain);
  bool continue_search(TableState& table, bool succeeded);
  bool close_chain(TableState& table, const std::string& chain);
  bool close_trials(TableState& table, const reconcile::TablePlan& plan);
  void arm_trials();
  void trials_due();
  void recovered(TableState& table);
  void settle();
  void complete(std::vector<Done> callbacks);
  ApplyReport report() const;
  void arm_check();
  void check_due();
  void arm_retry(base::Instant at);
  void publish();

  base::Loop& loop_;
  IptablesTool& tool_;
  base::Log& log_;
  IptablesSyncerOptions options_;
  IptablesMetrics metrics_;
  IptablesCounters counters_;
  std::vector<TableState> tables_;  // in kTables' order, which is the order of writing

  bool started_ = false;  // apply() was called
  bool busy_ = false;
  bool read_needed_ = true;
  bool ever_read_ = false;
  bool looking_ = false;  // the read under way only looks for drift
  int read_failures_ = 0;
  base::Instant read_not_before_{};
  std::optional<base::Error> read_error_;
  std::vector<Done> waiting_;    // for the next write
  std::vector<Done> in_flight_;  // for the one under way

  std::optional<std::uint32_t> verified_generation_;  // nobody wrote between this and our last read-back
  base::Instant last_write_{};
  base::Instant last_read_{};
  base::Duration check_interval_{};  // zero: no post-write check pending
  base::Duration slowest_save_{};
  base::Duration slowest_restore_{};
  base::TimerId check_timer_{};
  base::TimerId retry_timer_{};
  base::TimerId trial_timer_{};
  std::shared_ptr<bool> alive_;
};

}  // namespace kernel
