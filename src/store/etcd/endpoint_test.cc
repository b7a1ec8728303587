#include "store/etcd/endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace store {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ExplainConnectFailure, SaysWhatIsTrueOfTheScheme) {
  // What gRPC says when a firewall drops the packets of a connection that was open, or something silent listens.
  const char* const silent =
      "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.1:2379: "
      "Handshake read failed / chttp2 handshake shutdown";
  EXPECT_THAT(explain_connect_failure(silent, false), Not(HasSubstr("TLS")));
  EXPECT_THAT(explain_connect_failure(silent, false), HasSubstr("no answer"));
  EXPECT_THAT(explain_connect_failure(silent, true), HasSubstr("TLS handshake failed"));
  EXPECT_THAT(explain_connect_failure("Handshake deadline exceeded", false), HasSubstr("no answer"));
  EXPECT_THAT(explain_connect_failure("Ssl handshake failed: CERTIFICATE_VERIFY_FAILED", true), HasSubstr("CA"));
  EXPECT_THAT(explain_connect_failure("Socket closed", false), HasSubstr("https://"));
  EXPECT_EQ(explain_connect_failure("Connection refused", true), "connection refused (is etcd running there?)");
}

}  // namespace
}  // namespace store
