// ip_set_planner.h: which edits bring the kernel's IP sets of one family to what is wanted (spec dataplane §14.3).
//
// Pure: no I/O; the caller reads the kernel (observe_…), carries out the edits and says how each went (record). Equal
// inputs in equal order give equal edits in equal order. Not thread-safe.
//
// One turn, driven by kernel::IpSetSyncer:
//   1. after a resync request: observe_all() with the headers of all sets, then the contents of every set in unread(),
//   and of
//      those in unchecked() at leisure: they are as wanted as far as is known, and are only read again to make sure;
//   2. plan_updates(): missing sets are created and filled; a set of the wrong shape is built anew under a temporary
//   name;
//      all others get their changed members, deletions first, so that a full set has room;
//   3. plan_swaps(): the sets built anew take their names. A separate step, because a swap must not run when filling
//   failed:
//      half a set of denied addresses is a hole;
//   4. after the rules have been written: plan_deletions().
//
// Cost of a turn: the dirty members, never all members. Building anew costs the set.
//
// Whatever the kernel refuses is set aside until it changes or until the next resync, and the rest goes on.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "reconcile/ip_set_types.h"

namespace reconcile {

enum class IpSetFailure : std::uint8_t {
  kNone,
  kMissing,       // no set of that name
  kExists,        // already a set of that name
  kReferenced,    // a rule still uses the set
  kTypeMismatch,  // swap of sets of different types
  kRefused,       // the kernel cannot do it; trying again cannot help
  kUnknown,       // the conversation broke; the set's state must be read again
};

struct IpSetOutcome {
  IpSetFailure failure = IpSetFailure::kNone;
  std::string text = {};                          // why, for people
  std::vector<std::size_t> refused_members = {};  // kAdd, kDelete: indexes of those refused; the others were done
};

class IpSetPlanner {
 public:
  explicit IpSetPlanner(base::Family family) : family_(family) {}

  // ---- Wanted ---- (members of the other family and duplicates are ignored)
  void want(std::string_view name, const IpSetShape& shape, std::span<const IpSetMember> members);
  void unwant(std::string_view name);
  // REQUIRES wanted(name). A member in both lists ends up present.
  void change_members(std::string_view name, std::span<const IpSetMember> added, std::span<const IpSetMember> removed);
  bool wanted(std::string_view name) const;
  std::size_t wanted_count() const { return wanted_count_; }
  // Wanted names in order; members of one in order. For display and tests.
  std::vector<std::string> wanted_names() const;
  std::vector<IpSetMember> wanted_members(std::string_view name) const;

  // ---- Observed ----
  void observe_all(std::span<const IpSetHeader> headers);
  void observe(const IpSetContents& contents);
  void observe_missing(std::string_view name);
  // Exists, but its contents cannot be had: it will be built anew.
  void observe_unreadable(std::string_view name);
  // Wanted sets whose contents must be read before they can be planned, in order.
  std::vector<std::string> unread() const;

  // Some of the sets that a resync has yet to look at: as many as hold about `members` members, at least one.
  std::vector<std::string> unchecked(std::size_t members) const;
  bool checks_left() const { return !unchecked_.empty(); }

  // ---- Plans ----
  // Sets until about `members` members are to be written; the rest stays for the next call. Empty when nothing is left
  // that can be planned without reading.
  std::vector<IpSetEdit> plan_updates(std::size_t members = SIZE_MAX);
  std::vector<IpSetEdit> plan_swaps();
  // Sets that are unwanted from here on are younger than the mark returned.
  std::uint64_t mark() { return ++age_; }
  // At most `limit` sets, temporary ones first, and only sets unwanted before `mark` was given: rules that are still
  // to be written may name younger ones. Sets that could not be deleted kDeletionAttempts times wait for a resync.
  std::vector<IpSetEdit> plan_deletions(std::size_t limit, std::uint64_t mark = UINT64_MAX) const;
  void record(const IpSetEdit& edit, const IpSetOutcome& outcome);

  bool updates_left() const { return !dirty_.empty() || !rebuilds_.empty(); }
  bool deletions_left(std::uint64_t mark = UINT64_MAX) const { return !plan_deletions(1, mark).empty(); }

  static constexpr int kDeletionAttempts = 20;

 private:
  using MemberStates = boost::unordered_flat_map<IpSetMember, std::uint8_t, IpSetMemberHash>;
  struct Set {
    bool wanted = false;
    IpSetShape wanted_shape;
    bool exists = false;
    bool readable = true;  // false: to be built anew
    bool known = false;    // contents and shape are those of the kernel
    bool aside = false;    // refused; wait for a change or a resync
    IpSetShape actual_shape;
    MemberStates members;
    std::vector<IpSetMember> queued;  // members that may differ
  };
  enum class RebuildState : std::uint8_t { kFilling, kFilled, kReplacing, kFailed };
  struct Leftover {
    int attempts = 0;  // failed deletions
    std::uint64_t age = 0;
  };
  struct Rebuild {
    std::string main;
    RebuildState state = RebuildState::kFilling;
  };

  Set& touch(std::string_view name);
  void mark_dirty(std::string_view name);
  static void queue(Set& set, const IpSetMember& member, std::uint8_t& state);
  static void want_member(Set& set, const IpSetMember& member);
  static void unwant_member(Set& set, const IpSetMember& member);
  static void forget_actual_members(Set& set);
  static std::vector<IpSetMember> all_wanted(const Set& set);
  bool accepts(const IpSetMember& member) const { return member.prefix.family() == family_; }

  void plan_set(const std::string& name, Set& set, std::vector<IpSetEdit>& edits);
  static void plan_create(const std::string& name, Set& set, std::vector<IpSetEdit>& edits);
  void plan_rebuild(const std::string& name, Set& set, std::vector<IpSetEdit>& edits);
  static void plan_members(const std::string& name, Set& set, std::vector<IpSetEdit>& edits);
  std::string next_temporary_name();

  void record_rebuild(const IpSetEdit& edit, Rebuild& rebuild, const IpSetOutcome& outcome);
  void record_create(const IpSetEdit& edit, const IpSetOutcome& outcome);
  void record_members(const IpSetEdit& edit, const IpSetOutcome& outcome);
  void record_swap(const IpSetEdit& edit, const IpSetOutcome& outcome);
  void record_rename(const IpSetEdit& edit, const IpSetOutcome& outcome);
  void record_destroy(const IpSetEdit& edit, const IpSetOutcome& outcome);
  void give_up_rebuild(const std::string& temporary, bool exists);
  void finish_rebuild(const std::string& main);
  void gone(const std::string& name);

  base::Family family_;
  std::map<std::string, Set, std::less<>> sets_;
  std::size_t wanted_count_ = 0;
  std::set<std::string, std::less<>> dirty_;  // wanted sets that may differ
  std::set<std::string, std::less<>> unchecked_;
  std::map<std::string, Rebuild, std::less<>> rebuilds_;    // by temporary name
  std::map<std::string, Leftover, std::less<>> leftovers_;  // existing, not wanted
  std::uint64_t age_ = 0;
  std::uint64_t next_temporary_ = 0;
};

}  // namespace reconcile
