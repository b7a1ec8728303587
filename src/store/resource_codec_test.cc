#include "store/resource_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace store {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr const char* kPolicy = R"(apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: web}
spec:
  selector: role == 'web'
  ingress:
  - action: Allow
    protocol: TCP
    destination: {ports: [80, "8000:8080"]}
)";

DecodedFile decode(std::string_view text) {
  return decode_resource_file(text, base::WallTime(std::chrono::seconds(1'700'000'000)));
}

TEST(ResourceCodec, PolicyBecomesWhatEtcdWouldHold) {
  const auto file = decode(kPolicy);
  ASSERT_EQ(file.problem, "");
  ASSERT_THAT(file.documents, SizeIs(1));
  const auto& document = file.documents[0];
  EXPECT_EQ(document.key, "/calico/resources/v3/projectcalico.org/globalnetworkpolicies/web");
  EXPECT_THAT(document.value, HasSubstr(R"("creationTimestamp":"2023-11-14T22:13:20Z")"));
  EXPECT_THAT(document.value, HasSubstr(R"("projectcalico.org/metadata":"{\"name\":\"web\"}")"));
  EXPECT_THAT(document.value, HasSubstr(R"("ports":[80,"8000:8080"])"));
}

TEST(ResourceCodec, StoredValueSurvivesTheFile) {
  const auto document = decode(kPolicy).documents.at(0);
  const auto text = encode_resource_document(document.key, document.value);
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, Not(HasSubstr("projectcalico.org/metadata")));
  const auto again = decode(*text);
  ASSERT_THAT(again.documents, SizeIs(1));
  EXPECT_EQ(again.documents[0].key, document.key);
  EXPECT_EQ(again.documents[0].value, document.value);
}

TEST(ResourceCodec, WhatWouldNotSurviveIsNotADocument) {
  EXPECT_FALSE(encode_resource_document("/calico/felix/v1/host/a", "{}"));
  const auto document = decode(kPolicy).documents.at(0);
  EXPECT_FALSE(encode_resource_document(document.key, "no JSON"));
  EXPECT_FALSE(encode_resource_document(document.key, R"({"spec": {"unknown": 1}})"));
  EXPECT_FALSE(encode_resource_document(document.key + "-other", document.value));
}

TEST(ResourceCodec, ProblemsNameTheLineOfTheFile) {
  const std::string good(kPolicy);
  const auto broken = decode(good + "---\n# comment\nkind: [\n");
  EXPECT_NE(broken.problem, "");
  EXPECT_GE(broken.line, 12);
  EXPECT_LE(broken.line, 14);
  const auto twice = decode(good + "---\n" + good);
  EXPECT_THAT(twice.problem, HasSubstr("twice"));
  EXPECT_EQ(twice.line, 11);
  EXPECT_NE(decode("kind: Nonsense\napiVersion: projectcalico.org/v3\n").problem, "");
  EXPECT_NE(decode("just text").problem, "");
}

TEST(ResourceCodec, ListsAreTakenApart) {
  const auto file = decode(R"({"kind":"GlobalNetworkSetList","apiVersion":"projectcalico.org/v3","items":[
    {"metadata":{"name":"a"},"spec":{"nets":["10.0.0.0/8"]}},
    {"metadata":{"name":"b"},"spec":{"nets":["11.0.0.0/8"]}}]})");
  ASSERT_EQ(file.problem, "");
  EXPECT_THAT(file.documents, SizeIs(2));
  EXPECT_THAT(decode("# nothing\n---\n").documents, SizeIs(0));
}

TEST(ResourceCodec, FileNames) {
  EXPECT_EQ(resource_file_name("/calico/resources/v3/projectcalico.org/tiers/default"), "tiers/default.yaml");
  EXPECT_EQ(resource_file_name("/calico/resources/v3/projectcalico.org/networksets/ns/a"), "networksets/ns/a.yaml");
  EXPECT_FALSE(resource_file_name("/calico/resources/v3/projectcalico.org/tiers/.."));
  EXPECT_FALSE(resource_file_name("/calico/resources/v3/projectcalico.org/unknowns/a"));
}

}  // namespace
}  // namespace store
