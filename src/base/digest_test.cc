#include "base/digest.h"

#include <gtest/gtest.h>

namespace base {
namespace {

// Vectors of spec datamodel §5.5 and dataplane Appendix A.1.
TEST(Digest, SelectorIdVector) {
  EXPECT_EQ("s:" + base64url(sha224("s:all()")), "s:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug");
}

// Spec dataplane A.1: the MAC address of node compute-01's VXLAN device is 66 and five bytes of this.
TEST(Digest, Sha1) {
  const Sha1 digest = sha1("compute-01");
  EXPECT_EQ(digest[0], 0xfd);
  EXPECT_EQ(digest[4], 0x3f);
}

TEST(Digest, TwoPartsHashLikeOne) { EXPECT_EQ(sha224("ab", "cd"), sha224("abcd")); }

TEST(Digest, Base64HasNoPadding) {
  const std::uint8_t bytes[] = {0xFB, 0xFF, 0xFE};
  EXPECT_EQ(base64url(std::span(bytes, 3)), "-__-");
  EXPECT_EQ(base64url(std::span(bytes, 2)), "-_8");
  EXPECT_EQ(base64url(std::span(bytes, 1)), "-w");
  EXPECT_EQ(base64url({}), "");
}

}  // namespace
}  // namespace base
