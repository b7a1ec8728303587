// One turn of pump(): read if something must be read; else write what is dirty; else tell those who wait. Every
// program's end calls pump() again, so the loop of turns ends when nothing is left or when the rest has to wait for a
// retry timer.
//
// After a failed write we know little: with several tables in one input, those before the failing one are written. So
// everything is read back and tables are written alone until each has succeeded. A table that fails alone on a fresh
// picture fails because of what we write: the error's line number usually names the chain. Where it does not (legacy
// reports the COMMIT), the chains that may be closed are tried in halves, the others held back, until the refused ones
// stand alone.
#include "kernel/iptables_syncer.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/path_metric.h"

namespace kernel {
namespace {

using reconcile::TablePlan;
using render::iptables::kTables;
using render::iptables::PerTable;
using render::iptables::TableChanges;

// The number in "line 5: RULE_APPEND failed", "Error occurred at line: 5" or "line 5 failed"; 0 if there is none.
std::size_t error_line(std::string_view text) {
  for (std::size_t at = text.find("line"); at != text.npos; at = text.find("line", at + 1)) {
    std::string_view rest = text.substr(at + 4);
    rest.remove_prefix(std::min(rest.find_first_not_of(": "), rest.size()));
    std::size_t number = 0;
    if (std::from_chars(rest.data(), rest.data() + rest.size(), number).ec == std::errc() && number > 0) return number;
  }
  return 0;
}

base::Duration backoff(int failures) {
  return std::min(IptablesSyncer::kLastRetry, IptablesSyncer::kFirstRetry * (1 << std::min(failures - 1, 10)));
}

}  // namespace

IptablesMetrics iptables_metrics(base::MetricRegistry& registry, base::Family family) {
  const std::string version = family == base::Family::kIpv4 ? "4" : "6";
  IptablesMetrics metrics;
  metrics.restore_calls = registry.counter("felix_iptables_restore_calls", "Number of iptables-restore calls.");
  metrics.restore_errors = registry.counter("felix_iptables_restore_errors", "Number of iptables-restore errors.");
  metrics.save_calls = registry.counter("felix_iptables_save_calls", "Number of iptables-save calls.");
  metrics.save_errors = registry.counter("felix_iptables_save_errors", "Number of iptables-save errors.");
  metrics.start = base::path_summary(registry, "start");
  metrics.exec = registry.summary("felix_exec_time_micros", "Time to start iptables-restore.");
  for (const render::iptables::Table table : kTables) {
    const base::MetricLabels labels{{"ip_version", version}, {"table", std::string(to_string(table))}};
    metrics.chains[table] = registry.gauge("felix_iptables_chains", "Number of active iptables chains.", labels);
    metrics.rules[table] = registry.gauge("felix_iptables_rules", "Number of active iptables rules.", labels);
    metrics.lines[table] =
        registry.counter("felix_iptables_lines_executed", "Number of iptables rule updates executed.", labels);
  }
  return metrics;
}

std::size_t IptablesSyncer::Writing::lines() const {
  std::size_t count = 0;
  for (const auto& [table, plan] : plans) count += plan.line_count;
  return count;
}

IptablesSyncer::IptablesSyncer(base::Loop& loop, IptablesTool& tool, base::Log& log, IptablesSyncerOptions options,
                               const Hooks& hooks, IptablesMetrics metrics)
    : loop_(loop),
      tool_(tool),
      log_(log),
      options_(std::move(options)),
      metrics_(std::move(metrics)),
      alive_(std::make_shared<bool>(true)) {
  for (const Table table : kTables) {
    tables_.emplace_back(reconcile::IptablesPlanner(table, hooks[table], options_.planner));
  }
}

IptablesSyncer::~IptablesSyncer() {
  *alive_ = false;
  loop_.cancel(check_timer_);
  loop_.cancel(retry_timer_);
  loop_.cancel(trial_timer_);
}

void IptablesSyncer::update(const PerTable<TableChanges>& changes) {
  for (TableState& table : tables_) {
    const TableChanges& mine = changes[table.planner.table()];
    if (mine.empty()) continue;
    table.planner.update(mine);
    std::erase_if(table.refusals, [&](const auto& entry) {
      return mine.changed.contains(entry.first) || mine.removed.contains(entry.first);
    });
  }
}

void IptablesSyncer::apply(Done done) {
  started_ = true;
  waiting_.push_back(std::move(done));
  give_way();
  loop_.post([this, alive = alive_] {
    if (*alive) pump();
  });
}

void IptablesSyncer::request_read_back() {
  read_needed_ = true;
  looking_ = false;
  for (TableState& table : tables_) {
    (void)table.planner.retry_refused();
    for (auto& [chain, refusal] : table.refusals) refusal.on_trial = true;
  }
  loop_.post([this, alive = alive_] {
    if (*alive) pump();
  });
}

bool IptablesSyncer::dirty() const {
  if (!ever_read_) return true;  // what has never been read may be anything
  return std::any_of(tables_.begin(), tables_.end(), [](const TableState& table) { return table.planner.dirty(); });
}

void IptablesSyncer::pump() {
  if (busy_) return;
  if (read_needed_ && loop_.now() >= read_not_before_) return start_read();
  if (!read_needed_ && started_ && start_write()) return;
  settle();
}

// --- Reading
// -------------------------------------------------------------------------------------------------------------

// A save of a big host takes half a second, which a change must not wait for. What we believe is no worse for not being
// verified yet; but it must be verified at some time, however many changes come.
void IptablesSyncer::give_way() {
  if (!busy_ || !looking_ || !dirty()) return;
  const base::Duration refresh = options_.refresh_interval;
  if (refresh > base::Duration(0) && loop_.now() > last_read_ + 2 * refresh) return;
  tool_.cancel();
  busy_ = looking_ = read_needed_ = false;
}

void IptablesSyncer::start_read() {
  busy_ = true;
  ++counters_.saves;
  metrics_.save_calls.add();
  const auto generation = tool_.generation();
  tool_.save([this, alive = alive_, generation](ToolResult result) {
    if (*alive) finish_read(std::move(result), generation);
  });
}

void IptablesSyncer::finish_read(ToolResult result, std::optional<std::uint32_t> generation_before) {
  busy_ = looking_ = false;
  slowest_save_ = std::max(slowest_save_, result.run_time);
  if (!result.ok) return read_failed(result.description);
  auto parsed = reconcile::parse_save(result.output);
  if (!parsed) return read_failed(parsed.error().text());
  read_needed_ = false;
  ever_read_ = true;
  read_failures_ = 0;
  read_error_.reset();
  last_read_ = loop_.now();
  const auto generation = tool_.generation();
  verified_generation_ = generation == generation_before ? generation : std::nullopt;

  for (TableState& table : tables_) {
    const std::size_t surprises = table.planner.observe(std::move((*parsed)[table.planner.table()]));
    // After a failed write nobody knows what is there, so what is found then is no surprise.
    const bool expected = table.alone;
    if (!table.planner.dirty()) recovered(table);
    if (surprises == 0 || expected) continue;
    counters_.surprises += surprises;
    log_.warning("iptables.drift", "chains were changed by another program; they will be repaired",
                 {{"table", to_string(table.planner.table())},
                  {"ip_version", static_cast<int>(options_.family)},
                  {"chains", surprises}});
  }
  arm_check();
  pump();
}

void IptablesSyncer::read_failed(const std::string& why) {
  ++counters_.save_errors;
  metrics_.save_errors.add();
  ++read_failures_;
  read_not_before_ = loop_.now() + backoff(read_failures_);
  read_error_ = base::Error::unavailable("iptables-save: " + why);
  log_.warning("iptables.save_failed", "rules could not be read back; will retry",
               {{"ip_version", static_cast<int>(options_.family)}, {"error", why}});
  pump();
}

// --- Writing
// -------------------------------------------------------------------------------------------------------------

// All healthy tables together, else one failing table that may be tried again.
IptablesSyncer::Writing IptablesSyncer::choose() {
  Writing writing;
  for (TableState& table : tables_) {
    if (table.alone || !table.planner.dirty()) continue;
    TablePlan plan = table.planner.plan();
    if (!plan.empty()) writing.plans.emplace_back(&table, std::move(plan));
  }
  if (!writing.plans.empty()) return writing;
  for (TableState& table : tables_) {
    if (!table.alone || !table.planner.dirty() || loop_.now() < table.not_before) continue;
    TablePlan plan = table.planner.plan(held_back(table));
    // With everything held back there may be nothing to write, which cannot fail.
    while (plan.empty() && !table.suspects.empty()) {
      (void)continue_search(table, true);
      plan = table.planner.plan(held_back(table));
    }
    if (plan.empty()) continue;
    writing.plans.emplace_back(&table, std::move(plan));
    return writing;
  }
  return writing;
}

std::set<std::string> IptablesSyncer::held_back(const TableState& table) const {
  std::set<std::string> hold;
  if (table.suspects.empty()) return hold;
  for (auto group = table.suspects.begin(); group + 1 != table.suspects.end(); ++group) {
    hold.insert(group->begin(), group->end());
  }
  return hold;
}

bool IptablesSyncer::start_write() {
  Writing writing = choose();
  if (writing.plans.empty()) return false;
  std::string input;
  for (const auto& [table, plan] : writing.plans) {
    input += plan.text;
    metrics_.lines[table->planner.table()].add(plan.line_count);
  }
  counters_.lines += writing.lines();
  busy_ = true;
  ++counters_.restores;
  metrics_.restore_calls.add();
  verified_generation_.reset();
  std::move(waiting_.begin(), waiting_.end(), std::back_inserter(in_flight_));
  waiting_.clear();
  tool_.restore(std::move(input), [this, alive = alive_, written = std::move(writing)](ToolResult result) mutable {
    if (*alive) finish_write(std::move(written), std::move(result));
  });
  return true;
}

void IptablesSyncer::finish_write(Writing writing, ToolResult result) {
  busy_ = false;
  slowest_restore_ = std::max(slowest_restore_, result.run_time);
  metrics_.start.observe(std::chrono::duration<double>(result.start_time).count());
  metrics_.exec.observe(std::chrono::duration<double, std::micro>(result.start_time).count());
  last_write_ = loop_.now();
  check_interval_ = std::max<base::Duration>(options_.first_check, 2 * (slowest_save_ + slowest_restore_));
  if (!result.ok) return write_failed(std::move(writing), result);
  for (auto& [table, plan] : writing.plans) {
    table->planner.record(plan);
    if (!table->suspects.empty() && continue_search(*table, true)) continue;
    recovered(*table);
  }
  arm_check();
  // Changes may keep coming; whoever waits for these need not wait for those.
  const bool failing = std::any_of(tables_.begin(), tables_.end(), [](const TableState& table) { return table.alone; });
  if (!failing) complete(std::exchange(in_flight_, {}));
  pump();
}

void IptablesSyncer::write_failed(Writing writing, const ToolResult& result) {
  ++counters_.restore_errors;
  metrics_.restore_errors.add();
  read_needed_ = true;
  std::size_t line = error_line(result.errors.empty() ? result.description : result.errors);
  const bool together = writing.plans.size() > 1;
  for (auto& [table, plan] : writing.plans) {
    const bool here = line > 0 && line <= plan.line_count;
    const std::string chain(here ? plan.chain_at(line) : std::string_view());
    line = line > plan.line_count ? line - plan.line_count : 0;
    table->error = base::Error::unavailable("iptables-restore: " + result.description +
                                            (chain.empty() ? std::string() : " (chain " + chain + ")"));
    const bool alone_before = table->alone;
    table->alone = true;
    if (close_trials(*table, plan)) continue;
    // Somebody may have changed what we built on. Only the second time, alone and on a fresh picture, is it our own
    // text.
    if (together || !alone_before) continue;
    table_failed(*table, plan, chain);
  }
  log_.warning("iptables.restore_failed", "rules could not be written; will read back and retry",
               {{"ip_version", static_cast<int>(options_.family)},
                {"tables", writing.plans.size()},
                {"error", result.description},
                {"stderr", result.errors.substr(0, 400)}});
  pump();
}

void IptablesSyncer::table_failed(TableState& table, const TablePlan& plan, std::string_view chain) {
  if (!table.suspects.empty()) {
    // Mid-search: nothing was written, so what we know is still true.
    read_needed_ = false;
    if (continue_search(table, false)) return;
    read_needed_ = true;
  } else if (!chain.empty() && close_chain(table, std::string(chain))) {
    read_needed_ = false;  // a table is written as one: nothing of this was
    return;
  } else if (table.failures > 0) {
    std::vector<std::string> suspects = table.planner.suspects();
    std::erase_if(suspects, [&](const std::string& name) { return !plan.chains.contains(name); });
    if (!suspects.empty()) {
      // An empty last group: first see whether the table can be written with all suspects held back.
      table.suspects = {std::move(suspects), {}};
      return;
    }
  }
  ++table.failures;
  table.not_before = loop_.now() + backoff(table.failures);
}

// The last group was tried. Returns false when the search is over.
bool IptablesSyncer::continue_search(TableState& table, bool succeeded) {
  if (table.suspects.empty()) return false;
  std::vector<std::string> group = std::move(table.suspects.back());
  table.suspects.pop_back();
  if (succeeded) return !table.suspects.empty();
  if (group.empty()) {  // not even without them: none of the suspects is to blame
    table.suspects.clear();
    return false;
  }
  if (group.size() == 1) {
    (void)close_chain(table, group.front());
    return !table.suspects.empty();
  }
  const auto middle = group.begin() + static_cast<std::ptrdiff_t>(group.size() / 2);
  table.suspects.emplace_back(group.begin(), middle);
  table.suspects.emplace_back(middle, group.end());
  return true;
}

bool IptablesSyncer::close_chain(TableState& table, const std::string& chain) {
  if (!table.planner.set_aside(chain)) return false;
  Refusal& refusal = table.refusals[chain];
  const base::Duration wait = std::min(kLastTrial, kFirstTrial * (1 << std::min(refusal.times, 10)));
  ++refusal.times;
  refusal.next_trial = loop_.now() + wait;
  refusal.on_trial = false;
  log_.error("iptables.chain_refused",
             "the kernel refuses the rules of this chain; its packets are dropped until they change",
             {{"table", to_string(table.planner.table())},
              {"chain", chain},
              {"error", table.error->text()},
              {"next_trial_s", std::chrono::duration_cast<std::chrono::seconds>(wait).count()}});
  arm_trials();
  return true;
}

// A chain on trial is the first suspect: closing it at once spares the search.
bool IptablesSyncer::close_trials(TableState& table, const TablePlan& plan) {
  bool any = false;
  for (auto& [chain, refusal] : table.refusals) {
    if (refusal.on_trial && plan.chains.contains(chain)) any = close_chain(table, chain) || any;
  }
  return any;
}

void IptablesSyncer::arm_trials() {
  loop_.cancel(trial_timer_);
  base::Instant due = base::Instant::max();
  for (const TableState& table : tables_) {
    for (const auto& [chain, refusal] : table.refusals) {
      if (!refusal.on_trial) due = std::min(due, refusal.next_trial);
    }
  }
  if (due != base::Instant::max()) trial_timer_ = loop_.after(due - loop_.now(), [this] { trials_due(); });
}

void IptablesSyncer::trials_due() {
  for (TableState& table : tables_) {
    for (auto& [chain, refusal] : table.refusals) {
      if (refusal.on_trial || loop_.now() < refusal.next_trial) continue;
      refusal.on_trial = table.planner.retry_refused(chain);
      if (!refusal.on_trial) refusal.next_trial = loop_.now() + kLastTrial;
    }
  }
  arm_trials();
  pump();  // if a program is running, its end does it
}

void IptablesSyncer::recovered(TableState& table) {
  table.suspects.clear();
  std::erase_if(table.refusals, [](const auto& entry) { return entry.second.on_trial; });
  if (!table.alone) return;
  table.alone = false;
  table.failures = 0;
  table.error.reset();
  log_.info("iptables.table_recovered", "a table that could not be written is in order again",
            {{"table", to_string(table.planner.table())}, {"ip_version", static_cast<int>(options_.family)}});
}

// --- Results and timers
// ----------------------------------------------------------------------------------------------------

// Nothing can be done now: everything is in order, or the rest waits for its retry time.
void IptablesSyncer::settle() {
  base::Instant retry =
      read_needed_ && read_failures_ > 0 ? read_not_before_ : base::Instant::max();  // reading comes first
  for (TableState& table : tables_) {
    // Setting a chain aside may leave nothing to write.
    if (table.alone && !read_needed_ && !table.planner.dirty()) recovered(table);
    if (table.alone && !read_needed_ && table.planner.dirty())
      retry = std::min(retry, std::max(table.not_before, loop_.now()));
  }
  if (retry != base::Instant::max()) arm_retry(retry);
  publish();
  std::vector<Done> callbacks = std::exchange(in_flight_, {});
  std::move(waiting_.begin(), waiting_.end(), std::back_inserter(callbacks));
  waiting_.clear();
  complete(std::move(callbacks));
}

void IptablesSyncer::complete(std::vector<Done> callbacks) {
  if (callbacks.empty()) return;
  const ApplyReport outcome = report();
  for (Done& done : callbacks) {
    if (done) done(outcome);
  }
}

ApplyReport IptablesSyncer::report() const {
  ApplyReport out;
  const std::string version = options_.family == base::Family::kIpv4 ? "IPv4 " : "IPv6 ";
  if (read_error_) out.problems.push_back({version + "tables", *read_error_});
  out.unwritten = read_error_.has_value();
  for (const TableState& table : tables_) {
    const std::string name = version + std::string(to_string(table.planner.table()));
    if (table.error) out.problems.push_back({name + " table", *table.error});
    out.unwritten = out.unwritten || table.error.has_value();
    for (const std::string& chain : table.planner.refused()) {
      out.problems.push_back(
          {name + " chain " + chain, base::Error::unsupported("refused by the kernel, closed until it changes")});
    }
  }
  // We retry by ourselves; nobody has to call apply() again.
  return out;
}

void IptablesSyncer::arm_retry(base::Instant at) {
  loop_.cancel(retry_timer_);
  retry_timer_ = loop_.after(at - loop_.now(), [this] { pump(); });
}

void IptablesSyncer::arm_check() {
  loop_.cancel(check_timer_);
  base::Instant due = base::Instant::max();
  if (check_interval_ > base::Duration(0)) due = last_write_ + check_interval_;
  if (options_.refresh_interval.count() > 0)
    due = std::min(due, last_read_ + base::Duration(options_.refresh_interval));
  if (due == base::Instant::max()) return;
  check_timer_ = loop_.after(std::max(due - loop_.now(), base::Duration(0)), [this] { check_due(); });
}

void IptablesSyncer::check_due() {
  if (check_interval_ > base::Duration(0) && loop_.now() >= last_write_ + check_interval_) {
    check_interval_ *= kCheckGrowth;
    if (check_interval_ >= kLastCheck) check_interval_ = base::Duration(0);
  }
  const auto generation = tool_.generation();
  if (!busy_ && generation && generation == verified_generation_) {
    ++counters_.skipped_saves;
    last_read_ = loop_.now();  // as good as read
    return arm_check();
  }
  if (!busy_) looking_ = !read_needed_;
  read_needed_ = true;
  pump();  // if a program is running, its end does it
}

void IptablesSyncer::publish() {
  for (const TableState& table : tables_) {
    metrics_.chains[table.planner.table()].set(static_cast<double>(table.planner.chain_count()));
    metrics_.rules[table.planner.table()].set(static_cast<double>(table.planner.rule_count()));
  }
}

}  // namespace kernel
