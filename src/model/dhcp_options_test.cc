#include "model/dhcp_options.h"

#include <gtest/gtest.h>

namespace model {
namespace {

TEST(DhcpOptions, NamesAndNumbersOfDnsmasqAreServed) {
  const DhcpOption good[] = {{4, "bootfile-name", "pxelinux.0"},
                             {4, "Router", ""},
                             {4, "67", "http://192.0.2.1/boot.ipxe"},
                             {4, "tag:ipxe,67", "a,b"},
                             {4, "tag:!ipxe,bootfile-name", "undionly.kpxe"},
                             {4, "server-ip-address", "192.0.2.1"},
                             {4, "254", "x"},
                             {4, "mtu", "1400"},
                             {6, "dns-server", "2001:db8::1"},
                             {6, "65535", "00:01"}};
  for (const DhcpOption& option : good) EXPECT_EQ(dhcp_option_problem(option), "") << option.name;
}

TEST(DhcpOptions, WhatIsUnknownOrWouldSayMoreIsNot) {
  const DhcpOption bad[] = {{5, "mtu", "1"},
                            {4, "", "x"},
                            {4, "no-such-option", "x"},
                            {4, "0", "x"},
                            {4, "07", "x"},
                            {4, "255", "x"},
                            {6, "router", "x"},
                            {6, "tag:ipxe,59", "x"},
                            {6, "65536", "x"},
                            {4, "tag:subnet-1,67", "x"},
                            {4, "67,option:router", "x"},
                            {4, "mtu\n", "1"},
                            {4, "67", "a\ntag:port-other,option:router,192.0.2.9"},
                            {4, "67", "\"a"},
                            {4, "67", "a\\"},
                            {4, "67", "a # b"},
                            {4, "67", " a"},
                            {4, "67", "\x7f"},
                            {4, "67", std::string(256, 'a')}};
  for (const DhcpOption& option : bad) EXPECT_NE(dhcp_option_problem(option), "") << option.name << "|" << option.value;
}

TEST(DhcpOptions, TheAnnotationIsReadAsItWasWritten) {
  const std::vector<DhcpOption> options{{4, "67", "pxelinux.0"}, {6, "dns-server", "2001:db8::1,2001:db8::2"}};
  const std::string text = print_dhcp_options(options);
  EXPECT_EQ(text, R"([{"name":"67","value":"pxelinux.0","ip_version":4},)"
                  R"({"name":"dns-server","value":"2001:db8::1,2001:db8::2","ip_version":6}])");
  const auto read = parse_dhcp_options(text);
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(*read, options);
}

TEST(DhcpOptions, OtherTextIsRefused) {
  for (const char* text : {"", "{}", "[1]", R"([{"name":"67","value":"x"}])", R"([{"value":"x","ip_version":4}])",
                           R"([{"name":"67","value":"x\ny","ip_version":4}])"}) {
    EXPECT_FALSE(parse_dhcp_options(text)) << text;
  }
  EXPECT_FALSE(parse_dhcp_options(print_dhcp_options(std::vector<DhcpOption>(65, {4, "67", "x"}))));
}

}  // namespace
}  // namespace model
