#include "base/ip.h"

#include <gtest/gtest.h>

namespace base {
namespace {

TEST(Ip, AddressesPrintAsTheyShould) {
  for (const char* text : {"0.0.0.0", "10.65.0.7", "255.255.255.255", "::", "::1", "fd00:65::", "2001:db8::1:0:0:1"}) {
    auto address = parse_address(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(to_string(*address), text);
  }
}

TEST(Ip, BadAddressesAreRefused) {
  for (const char* text :
       {"", "10.0.0", "10.0.0.256", "10.0.0.01", "1.2.3.4 ", "fe80::1%eth0", "::g", "1:2:3:4:5:6:7:8:9"}) {
    EXPECT_FALSE(parse_address(text)) << text;
  }
}

TEST(Ip, EmptyViewsAndNulsAreRefused) {
  EXPECT_FALSE(parse_address(std::string_view("10.0.0.1\0x", 10)));
  EXPECT_FALSE(parse_cidr(std::string_view("10.0.0.1\0x/8", 12)));
  EXPECT_FALSE(parse_address(std::string_view()));
  EXPECT_FALSE(parse_cidr_or_address(std::string_view()));
}

TEST(Ip, CidrsAreMasked) {
  struct Case {
    const char* input;
    const char* printed;
  };
  for (const Case& c : {Case{"10.1.2.3/8", "10.0.0.0/8"},
                        {"10.1.2.3/32", "10.1.2.3/32"},
                        {"10.1.2.3/0", "0.0.0.0/0"},
                        {"10.1.2.255/25", "10.1.2.128/25"},
                        {"fd00::ffff/120", "fd00::ff00/120"},
                        {"fd00::1/0", "::/0"}}) {
    auto prefix = parse_cidr(c.input);
    ASSERT_TRUE(prefix) << c.input;
    EXPECT_EQ(to_string(*prefix), c.printed);
  }
  for (const char* text : {"10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/", "::/129", "/8"}) {
    EXPECT_FALSE(parse_cidr(text)) << text;
  }
}

TEST(Ip, ContainmentStaysInsideOneFamily) {
  const Prefix ten = *parse_cidr("10.0.0.0/8");
  EXPECT_TRUE(ten.contains(*parse_address("10.255.0.1")));
  EXPECT_FALSE(ten.contains(*parse_address("11.0.0.1")));
  EXPECT_FALSE(parse_cidr("0.0.0.0/0")->contains(*parse_address("::1")));
  EXPECT_TRUE(ten.overlaps(*parse_cidr("10.1.0.0/16")));
  EXPECT_TRUE(parse_cidr("10.1.0.0/16")->overlaps(ten));
  EXPECT_FALSE(parse_cidr("10.1.0.0/16")->overlaps(*parse_cidr("10.2.0.0/16")));
}

TEST(Ip, FamiliesSortApart) {
  EXPECT_LT(*parse_address("255.0.0.0"), *parse_address("::"));
  EXPECT_LT(*parse_address("9.0.0.0"), *parse_address("10.0.0.0"));
}

TEST(Ip, Macs) {
  EXPECT_EQ(to_string(*parse_mac("FA:16:3e:00:11:22")), "fa:16:3e:00:11:22");
  EXPECT_EQ(to_string(*parse_mac("FA16.3e00.1122")), "fa:16:3e:00:11:22");
  for (const char* text : {"", "fa:16:3e:00:11", "fa:16:3e:00:11:2g", "fa16.3e00.112g", "fa16:3e00:1122",
                           "fa163e001122", "fa:16:3e:00:11:22:33"}) {
    EXPECT_FALSE(parse_mac(text)) << text;
  }
}

}  // namespace
}  // namespace base
