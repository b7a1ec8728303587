#include "calc/output.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "calc/print.h"
#include "testing/rng.h"

namespace calc {
namespace {

SetMember member(std::uint32_t n) { return {.prefix = base::Prefix::host(base::IpAddress::v4(n))}; }

Changes created(const SetId& id, std::vector<SetMember> members) {
  Changes changes;
  changes.sets_created[id] = {SetType::kNet, std::move(members)};
  return changes;
}
Changes changed(const SetId& id, std::vector<SetMember> added, std::vector<SetMember> removed) {
  Changes changes;
  changes.sets_changed[id] = {std::move(added), std::move(removed)};
  return changes;
}
Changes removed(const SetId& id) {
  Changes changes;
  changes.sets_removed = {id};
  return changes;
}

TEST(Fold, DeltaOnCreatedSetBecomesPartOfIt) {
  Changes pending = created("s:a", {member(1), member(2)});
  fold(pending, changed("s:a", {member(3)}, {member(1)}));
  EXPECT_EQ(pending.sets_created.at("s:a").members, (std::vector{member(2), member(3)}));
  EXPECT_TRUE(pending.sets_changed.empty());
}

TEST(Fold, OppositeDeltasCancel) {
  Changes pending = changed("s:a", {member(1)}, {member(2)});
  fold(pending, changed("s:a", {member(2)}, {member(1)}));
  EXPECT_TRUE(pending.empty());
}

TEST(Fold, RemovedAndCreatedAgainIsCreated) {
  Changes pending = removed("s:a");
  fold(pending, created("s:a", {member(7)}));
  EXPECT_TRUE(pending.sets_removed.empty());
  State state;
  state.sets["s:a"] = {SetType::kNet, {member(1)}};
  apply(state, pending);
  EXPECT_EQ(state.sets.at("s:a").members, std::vector{member(7)});
}

TEST(Fold, RemovalForgetsTheDelta) {
  Changes pending = changed("s:a", {member(1)}, {});
  fold(pending, removed("s:a"));
  EXPECT_TRUE(pending.sets_changed.empty());
  EXPECT_TRUE(pending.sets_removed.contains("s:a"));
}

TEST(Fold, DeltaIntoSnapshotStaysASnapshot) {
  Output pending = Snapshot{created("s:a", {member(1)})};
  fold(pending, Delta{removed("s:a")});
  const auto* snapshot = std::get_if<Snapshot>(&pending);
  ASSERT_NE(snapshot, nullptr);
  EXPECT_TRUE(snapshot->all.empty()) << "a snapshot removes nothing: it is all there is";
}

TEST(Fold, SnapshotReplacesWhatWaits) {
  Output pending = Delta{removed("s:a")};
  fold(pending, Snapshot{created("s:b", {})});
  const auto* snapshot = std::get_if<Snapshot>(&pending);
  ASSERT_NE(snapshot, nullptr);
  EXPECT_TRUE(snapshot->all.sets_removed.empty());
}

TEST(ApplyDeathTest, DeltaForUnknownSetAborts) {
  State state;
  EXPECT_DEATH(apply(state, changed("s:a", {member(1)}, {})), "");
}

// A random change that fits `state`, and a few values of every kind.
Changes random_changes(testing::Rng& rng, const State& state, base::Interner& names) {
  Changes changes;
  for (int i = 0; i < 3; ++i) {
    const SetId id = "s:" + std::to_string(rng.below(4));
    const auto known = state.sets.find(id);
    if (changes.sets_created.contains(id) || changes.sets_changed.contains(id) || changes.sets_removed.contains(id))
      continue;
    if (known == state.sets.end() || rng.one_in(4)) {
      std::set<SetMember> members;
      for (int n = 0; n < 3; ++n) members.insert(member(static_cast<std::uint32_t>(rng.below(6))));
      changes.sets_created[id] = {SetType::kNet, {members.begin(), members.end()}};
    } else if (rng.one_in(3)) {
      changes.sets_removed.insert(id);
    } else {
      IpSetDelta delta;
      for (std::uint32_t n = 0; n < 6; ++n) {
        if (!rng.one_in(2)) continue;
        const bool is_member = std::ranges::find(known->second.members, member(n)) != known->second.members.end();
        (is_member ? delta.removed : delta.added).push_back(member(n));
      }
      if (!delta.added.empty() || !delta.removed.empty()) changes.sets_changed[id] = delta;
    }
  }
  for (int i = 0; i < 2; ++i) {
    const base::Symbol name = names.intern("profile-" + std::to_string(rng.below(3)));
    if (rng.one_in(3)) {
      changes.profiles.erase(name);
      changes.profiles_removed.insert(name);
    } else if (!changes.profiles_removed.contains(name)) {
      ActiveProfile profile;
      profile.ingress.resize(rng.below(3));
      changes.profiles[name] = std::make_shared<const ActiveProfile>(profile);
    }
  }
  return changes;
}

TEST(Fold, IsApplyingInTurn) {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    testing::Rng rng(seed);
    base::Interner names;
    State in_turn, at_once;
    for (int round = 0; round < 5; ++round) {
      std::optional<Changes> pending;
      for (std::uint64_t n = 1 + rng.below(4); n > 0; --n) {
        Changes next = random_changes(rng, in_turn, names);
        apply(in_turn, next);
        if (pending) {
          fold(*pending, std::move(next));
        } else {
          pending = std::move(next);
        }
      }
      apply(at_once, *pending);
      ASSERT_TRUE(equal(in_turn, at_once)) << "seed " << seed << "\n"
                                           << to_text(in_turn) << "---\n"
                                           << to_text(at_once);
    }
  }
}

}  // namespace
}  // namespace calc
