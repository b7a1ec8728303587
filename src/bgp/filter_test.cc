#include "bgp/filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace bgp {
namespace {

namespace json = boost::json;
using base::Family;

Filter parse(std::string_view spec, Diagnostics& out) {
  return parse_filter("f", json::parse(R"({"spec":)" + std::string(spec) + "}").as_object(), out);
}

std::string one_rule(std::string_view rule, Direction direction = Direction::kImport) {
  Diagnostics out;
  const std::string list = direction == Direction::kImport ? "importV4" : "exportV4";
  Filters filters;
  filters["f"] = parse(R"({")" + list + R"(":[)" + std::string(rule) + "]}", out);
  EXPECT_TRUE(out.empty()) << model::to_string(out.front());
  Text text;
  write_filters(filters, direction, Family::kIpv4, text, out);
  return text.take();
}

struct RuleCase {
  std::string_view name, rule, expected;
};
constexpr RuleCase kRules[] = {
    {"no condition", R"({"action":"Reject"})", "  reject;\n"},
    {"accept raises the preference first", R"({"action":"Accept"})", "  prio_in4(); accept;\n"},
    {"host bits are cleared", R"({"action":"Reject","cidr":"77.0.0.1/16","matchOperator":"In"})",
     "  if (net ~ 77.0.0.0/16) then { reject; }\n"},
    {"length never shorter than the prefix",
     R"({"action":"Reject","cidr":"10.0.0.0/8","matchOperator":"In","prefixLength":{"min":2,"max":9}})",
     "  if (net ~ [ 10.0.0.0/8{8,9} ]) then { reject; }\n"},
    {"impossible length", R"({"action":"Reject","cidr":"10.0.0.0/8","matchOperator":"In","prefixLength":{"max":7}})",
     "  if (false) then { reject; }\n"},
    {"impossible length, negated",
     R"({"action":"Reject","cidr":"10.0.0.0/8","matchOperator":"NotIn","prefixLength":{"max":7}})",
     "  if (true) then { reject; }\n"},
    {"conditions in upstream's order",
     R"({"action":"Reject","priority":512,"asPathPrefix":[1,"1.0"],"communities":{"values":["1:2:3"]},"interface":"e*",)"
     R"("source":"RemotePeers","cidr":"10.0.0.0/8","matchOperator":"NotEqual"})",
     "  if (net != 10.0.0.0/8) && (source = RTS_BGP) && (ifname ~ \"e*\") && ((1, 2, 3) ~ bgp_large_community) && "
     "(bgp_path ~ [= 1 65536 * =]) && (defined(bgp_local_pref) && bgp_local_pref = 2147483135) then { reject; }\n"},
    {"operations in order, path prepended backwards",
     R"({"action":"Accept","operations":[{"prependASPath":{"prefix":[1,2]}},{"addCommunity":{"value":"3:4"}},)"
     R"({"setPriority":{"value":512}}]})",
     "  bgp_path.prepend(2); bgp_path.prepend(1); bgp_community.add((3, 4)); bgp_local_pref = 2147483135; prio_in4(); "
     "accept;\n"},
};

TEST(Filter, RulesAsStatements) {
  for (const RuleCase& c : kRules)
    EXPECT_EQ(one_rule(c.rule), "function 'bgp_f_importFilterV4'()\n{\n" + std::string(c.expected) + "}\n") << c.name;
  EXPECT_THAT(one_rule(R"({"action":"Accept"})", Direction::kExport), testing::HasSubstr("{\n  accept;\n}"));
}

TEST(Filter, PeerTypeIsAnArgument) {
  Diagnostics out;
  Filters filters;
  filters["f"] = parse(R"({"importV4":[{"action":"Reject","peerType":"eBGP"}],"exportV4":[{"action":"Reject"}]})", out);
  const auto calls = [&](Direction d, bool same) {
    return filter_calls(filters, {"f", "gone"}, d, Family::kIpv4, same);
  };
  EXPECT_EQ(calls(Direction::kImport, true), "'bgp_f_importFilterV4'(true); ");
  EXPECT_EQ(calls(Direction::kImport, false), "'bgp_f_importFilterV4'(false); ");
  EXPECT_EQ(calls(Direction::kExport, true), "'bgp_f_exportFilterV4'(); ");
  EXPECT_EQ(filter_calls(filters, {"f"}, Direction::kImport, Family::kIpv6, true), "");
}

TEST(Filter, NamesFitSymbols) {
  EXPECT_EQ(filter_function(std::string(45, 'a'), Direction::kImport, Family::kIpv4).size(), 66u);  // with quotes
  EXPECT_EQ(filter_function(std::string(46, 'b'), Direction::kExport, Family::kIpv6),
            "'bgp_bbbbbbbbbbbbbbbbbbbbbbbbbbbb_6AFED5022F96DF06_exportFilterV6'");
  for (const char* bad : {"", "a'b", "a b", "a\nb", "\xC3\xA4", "a;b"}) EXPECT_FALSE(is_filter_name(bad)) << bad;
}

// A rule that cannot be read costs itself: its neighbours keep their order, and the function is still called.
TEST(Filter, BadRulesNeverMatchAndAreReported) {
  Diagnostics out;
  const Filter filter = parse(R"({"importV4":[{"action":"Accept"},{"action":"x"},7,{"action":"Reject"}]})", out);
  EXPECT_EQ(filter.import_v4.rules.size(), 2u);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(out[0].field, "spec.importV4[1]");
  EXPECT_EQ(out[1].field, "spec.importV4[2]");
  const Filter useless = parse(R"({"importV4":[7]})", out);
  EXPECT_TRUE(useless.import_v4.given);
  EXPECT_FALSE(useless.export_v4.given);
}

}  // namespace
}  // namespace bgp
