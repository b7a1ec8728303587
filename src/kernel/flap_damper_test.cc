#include "kernel/flap_damper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kernel {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Recorder {
  std::vector<std::string> seen;
  base::Instant now{};
  FlapDamper damper{[this](const std::string& name, const LinkUpdate& update) {
    if (const auto* link = std::get_if<Link>(&update)) {
      seen.push_back(name + (link->running ? " up" : " down"));
    } else if (const auto* change = std::get_if<AddressChange>(&update)) {
      seen.push_back(name + (change->present ? " +" : " -") + base::to_string(change->address));
    } else {
      seen.push_back(name + " gone");
    }
  }};
  void up(const std::string& name) { damper.push(name, Link{.name = name, .running = true}, false, now); }
  void down(const std::string& name) { damper.push(name, Link{.name = name, .running = false}, true, now); }
  void gone(const std::string& name) { damper.push(name, LinkGone{}, true, now); }
  void address(const std::string& name, unsigned last, bool present) {
    damper.push(name, AddressChange{.address = base::IpAddress::v4(last), .present = present}, !present, now);
  }
  void advance(milliseconds span) {
    now += span;
    damper.release(now);
  }
};

TEST(FlapDamper, GoodNewsPassesAtOnceBadNewsWaits) {
  Recorder r;
  r.up("tap1");
  r.address("tap1", 1, true);
  EXPECT_THAT(r.seen, ElementsAre("tap1 up", "tap1 +0.0.0.1"));
  r.seen.clear();
  r.down("tap1");
  r.up("tap2");
  EXPECT_THAT(r.seen, ElementsAre("tap2 up"));
  EXPECT_EQ(r.damper.next_due(), r.now + FlapDamper::kDelay);
  r.advance(milliseconds(99));
  EXPECT_EQ(r.seen.size(), 1u);
  r.advance(milliseconds(1));
  EXPECT_THAT(r.seen, ElementsAre("tap2 up", "tap1 down"));
  EXPECT_FALSE(r.damper.next_due());
}

TEST(FlapDamper, AnAddressThatComesBackWasNeverAway) {
  Recorder r;
  r.address("tap1", 1, false);
  r.address("tap1", 2, false);
  r.advance(milliseconds(50));
  r.address("tap1", 1, true);
  r.advance(milliseconds(50));
  EXPECT_THAT(r.seen, ElementsAre("tap1 -0.0.0.2"));
  r.address("tap1", 3, false);
  r.address("tap1", 3, true);
  EXPECT_FALSE(r.damper.next_due());
}

TEST(FlapDamper, OrderPerInterfaceIsKept) {
  Recorder r;
  r.down("tap1");
  r.up("tap1");
  r.address("tap1", 1, true);
  r.gone("tap1");
  EXPECT_THAT(r.seen, IsEmpty());
  r.advance(milliseconds(100));
  EXPECT_THAT(r.seen, ElementsAre("tap1 down", "tap1 up", "tap1 +0.0.0.1", "tap1 gone"));
}

}  // namespace
}  // namespace kernel
