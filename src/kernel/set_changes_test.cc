#include "kernel/set_changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel/ipset_fake.h"

namespace kernel {
namespace {

using ::testing::ElementsAre;

calc::SetMember host(unsigned last) { return {.prefix = base::Prefix::host(base::IpAddress::v4(0x0A000000u + last))}; }

TEST(SetChanges, ASnapshotReplacesAndADeltaAdds) {
  FakeIpSets kernel;
  IpSetSyncer syncer(kernel, base::Family::kIpv4);
  render::SetChanges first;
  first.complete = true;
  first.created["cali40s:a"] = {.kind = render::SetKind::kNet, .members = {host(1)}};
  first.created["cali40n:b"] = {.kind = render::SetKind::kIpPort, .members = {}};
  take_set_changes(syncer, first, 1000);
  EXPECT_THAT(syncer.wanted_names(), ElementsAre("cali40n:b", "cali40s:a"));

  render::SetChanges later;
  later.changed["cali40s:a"].added = {host(2)};
  later.changed["cali40s:a"].removed = {host(1)};
  later.changed["cali40s:gone"].added = {host(2)};
  later.removed.insert("cali40n:b");
  take_set_changes(syncer, later, 1000);
  EXPECT_TRUE(syncer.apply_updates().clean());
  EXPECT_THAT(syncer.wanted_names(), ElementsAre("cali40s:a"));
  EXPECT_EQ(kernel.sets.at("cali40s:a").members.size(), 1u);
  EXPECT_EQ(kernel.sets.at("cali40s:a").shape.max_elements, 1000u);

  render::SetChanges empty;
  empty.complete = true;
  take_set_changes(syncer, empty, 1000);
  EXPECT_EQ(syncer.wanted_count(), 0u);
}

}  // namespace
}  // namespace kernel
