// ipset_syncer.h: keeps the kernel's IP sets of one family as wanted (spec dataplane §1.3 steps 6 and 11, §14).
//
// Owned by the kernel thread. Changes of what is wanted only mark; apply_updates() writes. A resync (start, refresh
// timer, after trouble) reads all owned sets and corrects what differs; otherwise a turn costs the changed members
// only, and a turn in which nothing changed makes no system call. Sets that were as wanted when last seen are read
// again a few in a turn, so that a refresh of 200,000 members does not hold up a change for a tenth of a second;
// `retry_after` asks for the next such turn.
//
//   IpSetSyncer sets(kernel, base::Family::kIpv4);
//   sets.want(name, shape, members);                // or change_members(name, added, removed)
//   ApplyReport report = sets.apply_updates();      // before the rules
//   mark = sets.mark();
//   report = sets.apply_deletions(mark);            // after the rules of the time of the mark
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/apply_report.h"
#include "kernel/ipset.h"

namespace kernel {

struct IpSetCounters : SyncCounters {
  std::uint64_t batches = 0;     // conversations in which something was to be changed
  std::uint64_t operations = 0;  // sets made, renamed and destroyed, members added and removed
};

class IpSetSyncer {
 public:
  IpSetSyncer(IpSetKernel& kernel, base::Family family) : kernel_(kernel), planner_(family) {}

  void want(std::string_view name, const reconcile::IpSetShape& shape,
            std::span<const reconcile::IpSetMember> members) {
    planner_.want(name, shape, members);
  }
  void unwant(std::string_view name) { planner_.unwant(name); }
  // REQUIRES wanted(name).
  void change_members(std::string_view name, std::span<const reconcile::IpSetMember> added,
                      std::span<const reconcile::IpSetMember> removed) {
    planner_.change_members(name, added, removed);
  }
  bool wanted(std::string_view name) const { return planner_.wanted(name); }
  std::vector<std::string> wanted_names() const { return planner_.wanted_names(); }
  std::size_t wanted_count() const { return planner_.wanted_count(); }  // felix_ipsets_calico

  // The next apply_updates() starts to read everything back. A new syncer starts with one requested.
  void request_resync() { resync_ = true; }

  // Creates and fills. After it returns without problems every wanted set exists with its wanted members.
  ApplyReport apply_updates();
  // Separates the sets that are unwanted already from those that will be later.
  std::uint64_t mark() { return planner_.mark(); }
  // Destroys at most kDeletionsPerApply sets that were not wanted when `mark` was given, and are not now; asks for
  // another turn while some are left.
  ApplyReport apply_deletions(std::uint64_t mark = UINT64_MAX);

  const IpSetCounters& counters() const { return counters_; }
  std::size_t total_sets() const { return total_sets_; }  // of all owners, as of the last resync: felix_ipsets_total

  // Bounds one turn; a destroy takes the kernel some 20 µs.
  static constexpr std::size_t kDeletionsPerApply = 64;
  static constexpr int kAttempts = 4;
  static constexpr std::size_t kMembersCheckedPerApply = 10'000;  // about 5 ms

 private:
  bool resync(ApplyReport& report);
  bool read(const std::vector<std::string>& names, ApplyReport& report);
  // False when the conversation broke.
  bool carry_out_updates(std::vector<Problem>& problems);
  bool carry_out(const std::vector<reconcile::IpSetEdit>& edits, std::vector<Problem>& problems);

  IpSetKernel& kernel_;
  reconcile::IpSetPlanner planner_;
  bool resync_ = true;
  std::size_t total_sets_ = 0;
  IpSetCounters counters_;
};

}  // namespace kernel
