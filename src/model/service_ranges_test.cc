#include "model/service_ranges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace model {
namespace {

DocumentChange configuration(std::string_view name, std::string_view text) {
  return {{DocumentKind::kBgpConfiguration, std::string(name)},
          std::make_shared<const boost::json::object>(boost::json::parse(text).as_object())};
}

TEST(ServiceRanges, OfAllThreeLists) {
  const auto ranges = service_ranges(configuration("default", R"({"spec": {
      "serviceClusterIPs": [{"cidr": "10.96.0.0/12"}, {}, {"cidr": "fd00:96::/112"}],
      "serviceExternalIPs": [{"cidr": "198.51.100.7/32"}, {"cidr": "10.96.1.0/12"}, {"cidr": "10.96.0.1"}],
      "serviceLoadBalancerIPs": [{"cidr": 7}, "203.0.113.0/24", {"cidr": "203.0.113.9/24"}]}})"));
  ASSERT_TRUE(ranges);
  std::vector<std::string> texts;
  for (const base::Prefix& range : *ranges) texts.push_back(base::to_string(range));
  EXPECT_THAT(texts, testing::ElementsAre("10.96.0.0/12", "198.51.100.7/32", "203.0.113.0/24", "fd00:96::/112"));
}

TEST(ServiceRanges, NoneWithoutTheDocumentAndNothingOfOthers) {
  for (const char* text : {"{}", R"({"spec": null})", R"({"spec": {"serviceClusterIPs": {}}})"}) {
    EXPECT_THAT(service_ranges(configuration("default", text)), testing::Optional(testing::IsEmpty())) << text;
  }
  EXPECT_THAT(service_ranges({{DocumentKind::kBgpConfiguration, "default"}, std::nullopt}),
              testing::Optional(testing::IsEmpty()));
  EXPECT_FALSE(service_ranges(configuration("node.a", "{}")));
  EXPECT_FALSE(service_ranges({{DocumentKind::kFelixConfiguration, "default"}, std::nullopt}));
}

}  // namespace
}  // namespace model
