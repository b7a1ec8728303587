#include "reconcile/fdb_planner.h"

#include <gtest/gtest.h>

namespace reconcile {
namespace {

base::MacAddress mac(std::uint8_t last) { return {{0x66, 0, 0, 0, 0, last}}; }
base::IpAddress host(std::uint32_t last) { return base::IpAddress::v4(0xC0000200 + last); }

std::string plan(const FdbTable& wanted, std::vector<FdbEntry> actual) {
  std::string text;
  for (const FdbEdit& edit : plan_fdb(wanted, 7, actual)) {
    text += (edit.kind == FdbEdit::Kind::kRemove ? "remove " : "replace ") + to_string(edit.entry) + "\n";
  }
  return text;
}

TEST(FdbPlanner, AddsChangesAndRemoves) {
  EXPECT_EQ(plan({{mac(1), host(1)}, {mac(2), host(2)}}, {{7, mac(2), host(9)}, {7, mac(3), host(3)}}),
            "replace 66:00:00:00:00:01 dst 192.0.2.1 dev 7\n"
            "replace 66:00:00:00:00:02 dst 192.0.2.2 dev 7\n"
            "remove 66:00:00:00:00:03 dst 192.0.2.3 dev 7\n");
}

TEST(FdbPlanner, LeavesAloneWhatIsRightAndOtherDevices) {
  EXPECT_EQ(plan({{mac(1), host(1)}}, {{7, mac(1), host(1)}, {8, mac(3), host(3)}}), "");
}

// The kernel holds several destinations for one MAC when somebody appended one: packets would go to both.
TEST(FdbPlanner, ASecondDestinationGoes) {
  EXPECT_EQ(plan({{mac(1), host(1)}}, {{7, mac(1), host(1)}, {7, mac(1), host(4)}}),
            "remove 66:00:00:00:00:01 dst 192.0.2.4 dev 7\n");
}

}  // namespace
}  // namespace reconcile
