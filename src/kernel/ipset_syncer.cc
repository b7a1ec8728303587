#include "kernel/ipset_syncer.h"

#include <algorithm>
#include <utility>

namespace kernel {
namespace {

using base::Error;
using base::ErrorKind;
using reconcile::IpSetEdit;
using reconcile::IpSetFailure;
using reconcile::IpSetOutcome;

constexpr base::Duration kDeletionDelay = std::chrono::milliseconds(100);
constexpr std::size_t kMembersPerSlice = 20'000;
constexpr base::Duration kCheckDelay = std::chrono::milliseconds(20);

Problem problem_of(const IpSetEdit& edit, const IpSetOutcome& outcome) {
  std::string text = outcome.text;
  if (!outcome.refused_members.empty()) {
    text += " (" + std::to_string(outcome.refused_members.size()) + " members refused)";
  }
  return Problem{.object = "IP set " + edit.set,
                 .error = Error(ErrorKind::kSystem, reconcile::to_string(edit) + ": " + text)};
}

}  // namespace

bool IpSetSyncer::resync(ApplyReport& report) {
  ++counters_.dumps;
  auto headers = kernel_.list_headers();
  if (!headers) {
    ++counters_.errors;
    report.problems.push_back({.object = "IP sets", .error = std::move(headers).error()});
    report.retry = true;
    return false;
  }
  total_sets_ = headers->size();
  planner_.observe_all(*headers);
  resync_ = false;
  return true;
}

bool IpSetSyncer::read(const std::vector<std::string>& names, ApplyReport& report) {
  for (const std::string& name : names) {
    ++counters_.dumps;
    auto contents = kernel_.list(name);
    if (contents) {
      planner_.observe(*contents);
    } else if (contents.error().kind() == ErrorKind::kNotFound) {
      planner_.observe_missing(name);
    } else if (contents.error().kind() == ErrorKind::kUnavailable) {
      ++counters_.errors;
      report.problems.push_back({.object = "IP set " + name, .error = std::move(contents).error()});
      report.retry = true;
      return false;
    } else {
      ++counters_.errors;
      planner_.observe_unreadable(name);
    }
  }
  return true;
}

bool IpSetSyncer::carry_out(const std::vector<IpSetEdit>& edits, std::vector<Problem>& problems) {
  if (edits.empty()) return true;
  counters_.writes += edits.size();
  ++counters_.batches;
  for (const IpSetEdit& edit : edits) counters_.operations += std::max<std::size_t>(edit.members.size(), 1);
  auto outcomes = kernel_.apply(edits);
  if (!outcomes) {
    ++counters_.errors;
    problems.push_back({.object = "IP sets", .error = std::move(outcomes).error()});
    const IpSetOutcome unknown{.failure = IpSetFailure::kUnknown};
    for (const IpSetEdit& edit : edits) planner_.record(edit, unknown);
    resync_ = true;
    return false;
  }
  for (std::size_t i = 0; i < edits.size(); ++i) {
    const IpSetOutcome& outcome = (*outcomes)[i];
    planner_.record(edits[i], outcome);
    if (outcome.failure == IpSetFailure::kNone && outcome.refused_members.empty()) continue;
    if (outcome.failure == IpSetFailure::kTypeMismatch) continue;  // the next step replaces the set, or reports
    ++counters_.errors;
    problems.push_back(problem_of(edits[i], outcome));
  }
  return true;
}

// In slices, because a plan and its messages take several times the memory of what is kept.
bool IpSetSyncer::carry_out_updates(std::vector<Problem>& problems) {
  for (;;) {
    const std::vector<IpSetEdit> edits = planner_.plan_updates(kMembersPerSlice);
    if (edits.empty()) return true;
    if (!carry_out(edits, problems)) return false;
  }
}

ApplyReport IpSetSyncer::apply_updates() {
  ApplyReport report;
  // What a later attempt repairs is no problem, so only the last attempt's are reported.
  bool check = true;
  const auto work_left = [&] { return resync_ || planner_.updates_left() || (check && planner_.checks_left()); };
  for (int attempt = 0; attempt < kAttempts && work_left(); ++attempt) {
    report = {};
    if (resync_ && !resync(report)) return report;
    if (!read(planner_.unread(), report)) return report;
    if (std::exchange(check, false) && !read(planner_.unchecked(kMembersCheckedPerApply), report)) return report;
    if (!carry_out_updates(report.problems)) continue;
    // Twice, because sets of another type are replaced in a second step.
    for (int step = 0; step < 2; ++step) {
      if (!carry_out(planner_.plan_swaps(), report.problems)) break;
    }
  }
  if (resync_ || planner_.updates_left()) report.retry = true;
  if (planner_.checks_left()) report.retry_after = kCheckDelay;
  return report;
}

ApplyReport IpSetSyncer::apply_deletions(std::uint64_t mark) {
  ApplyReport report;
  // A set may still be busy for a moment after its last rule went (the nft flavour frees rules later), so being refused
  // is reported only when the planner has given up.
  std::vector<Problem> refused;
  if (!carry_out(planner_.plan_deletions(kDeletionsPerApply, mark), refused)) report.problems = std::move(refused);
  if (planner_.deletions_left(mark)) {
    report.retry = true;
    report.retry_after = kDeletionDelay;
  }
  return report;
}

}  // namespace kernel
