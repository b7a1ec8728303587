#include "model/resource_checks.h"

#include <gtest/gtest.h>

namespace model {
namespace {

TEST(ResourceChecks, AcceptAndRefuse) {
  struct Case {
    Check check;
    std::string_view text;
    bool passes;
  };
  const Case kCases[] = {
      {Check::kName, "a-b.c", true},
      {Check::kName, "-a", false},
      {Check::kName, "", false},
      {Check::kInterface, "*", true},
      {Check::kInterface, "eth0:1", false},
      {Check::kInterface, "a23456789012345", true},
      {Check::kNet, "10.0.0.0/8", true},
      {Check::kNet, "10.0.0.1/8", false},
      {Check::kNet, "10.0.0.1", true},
      {Check::kNetV4, "fd00::/8", false},
      {Check::kCidr, "10.0.0.1/8", true},
      {Check::kCidrV6, "fd00::1/64", true},
      {Check::kIpPort, "1.2.3.4:80", true},
      {Check::kIpPort, "fd00::1", true},
      {Check::kIpPort, "[fd00::1]:80", true},
      {Check::kIpPort, "1.2.3.4:0", false},
      {Check::kIpPort, "fd00::1:80x", false},
      {Check::kPortName, "http-alt", true},
      {Check::kPortName, "80", false},
      {Check::kPortName, "a--b", false},
      {Check::kMac, "fa:16:3e:00:11:22", true},
      {Check::kMac, "fa:16:3e", false},
      {Check::kSelector, "has(a)", true},
      {Check::kSelector, "a ==", false},
      {Check::kKeyValueList, "a=b, c=", true},
      {Check::kKeyValueList, "a", false},
      {Check::kRegexp, "^(eth|en).*", true},
      {Check::kRegexp, "(", false},
      {Check::kLogLevel, "Info", true},
      {Check::kLogLevel, "info", false},
      {Check::kWireguardPublicKey, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", true},
      {Check::kWireguardPublicKey, "AAAA", false},
  };
  for (const Case& c : kCases) EXPECT_EQ(passes(c.check, c.text), c.passes) << tag(c.check) << " " << c.text;
}

TEST(ResourceChecks, Durations) {
  struct Case {
    std::string_view text, canonical;
  };
  const Case kCases[] = {
      {"90s", "1m30s"}, {"2h45m10s", "2h45m10s"}, {"0s", "0s"},     {"0", "0s"},           {"1500ms", "1.5s"},
      {"1.5s", "1.5s"}, {"50ms", "50ms"},         {"1h", "1h0m0s"}, {"5us", "5\xC2\xB5s"}, {"7ns", "7ns"},
      {"-1m", "-1m0s"}, {"1m0.5s", "1m0.5s"},     {"", "bad"},      {"5", "bad"},          {"5x", "bad"},
      {"s", "bad"},     {"99999999999h", "bad"}};
  for (const Case& c : kCases) {
    const auto duration = parse_go_duration(c.text);
    EXPECT_EQ(duration ? format_go_duration(*duration) : "bad", c.canonical) << c.text;
  }
}

TEST(ResourceChecks, AsNumbers) {
  EXPECT_EQ(parse_as_number("64512"), 64512u);
  EXPECT_EQ(parse_as_number("1.10"), 65546u);
  EXPECT_EQ(parse_as_number("4294967295"), 4294967295u);
  for (const std::string_view bad : {"", "x", "1.", "1.65536", "4294967296", "1.2.3", "-1"}) {
    EXPECT_FALSE(parse_as_number(bad)) << bad;
  }
}

TEST(ResourceChecks, Floats) {
  struct Case {
    double value;
    std::string_view json, table;
  };
  const Case kCases[] = {{10, "10", "10"},
                         {1.5, "1.5", "1.5"},
                         {100000, "100000", "100000"},
                         {123456, "123456", "123456"},
                         {1e6, "1000000", "1e+06"},
                         {1234567, "1234567", "1.234567e+06"},
                         {1e7, "10000000", "1e+07"},
                         {0.0001, "0.0001", "0.0001"},
                         {0.00001, "0.00001", "1e-05"},
                         {1e21, "1e+21", "1e+21"},
                         {1e-7, "1e-07", "1e-07"},
                         {-2.5, "-2.5", "-2.5"},
                         {0, "0", "0"}};
  for (const Case& c : kCases) {
    EXPECT_EQ(format_float(c.value), c.json);
    EXPECT_EQ(format_float_for_table(c.value), c.table);
  }
}

}  // namespace
}  // namespace model
