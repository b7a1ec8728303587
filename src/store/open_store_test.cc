#include "store/open_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#ifdef PERCALE_HAVE_ETCD
#include "store/etcd/endpoint.h"
#endif

namespace store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ParseLocation, DirectoryAndEndpoints) {
  const auto directory = parse_location("dir:/etc/percale/resources");
  ASSERT_TRUE(directory);
  EXPECT_EQ(directory->type, StoreType::kDirectory);
  EXPECT_EQ(directory->directory, "/etc/percale/resources");
  const auto etcd = parse_location("http://a:1, https://b:2,");
  ASSERT_TRUE(etcd);
  EXPECT_EQ(etcd->type, StoreType::kEtcd);
  EXPECT_THAT(etcd->endpoints, ElementsAre("http://a:1", "https://b:2"));
  EXPECT_FALSE(parse_location("dir:"));
  EXPECT_FALSE(parse_location(" "));
}

#ifdef PERCALE_HAVE_ETCD

struct EndpointCase {
  std::string_view url, target, canonical;
  bool tls;
};
const EndpointCase kEndpoints[] = {
    {"http://10.0.0.1:2379", "ipv4:10.0.0.1:2379", "http://10.0.0.1:2379", false},
    {"https://etcd-1.example.org:2379/", "dns:///etcd-1.example.org:2379", "https://etcd-1.example.org:2379", true},
    {"HTTPS://etcd-1", "dns:///etcd-1:2379", "https://etcd-1:2379", true},
    {"etcd:4001", "dns:///etcd:4001", "http://etcd:4001", false},
    {"http://[2001:db8::1]:2379", "ipv6:[2001:db8::1]:2379", "http://[2001:db8::1]:2379", false},
    {"[::1]", "ipv6:[::1]:2379", "http://[::1]:2379", false},
};

TEST(EtcdEndpoint, Parses) {
  for (const auto& c : kEndpoints) {
    const auto endpoint = parse_etcd_endpoint(c.url);
    ASSERT_TRUE(endpoint) << c.url;
    EXPECT_EQ(endpoint->target, c.target);
    EXPECT_EQ(endpoint->url, c.canonical);
    EXPECT_EQ(endpoint->tls, c.tls);
  }
}

TEST(EtcdEndpoint, RefusesWhatCannotWork) {
  for (const std::string_view url :
       {"", "ftp://host:1", "http://", "http://host:0", "http://host:70000", "http://host:x", "http://[::1",
        "http://[::1]x", "http://a b:1", "http://:2379", "2001:db8::1"}) {
    const auto endpoint = parse_etcd_endpoint(url);
    ASSERT_FALSE(endpoint) << url;
    EXPECT_THAT(endpoint.error().text(), HasSubstr("http://host:port"));
  }
}

TEST(OpenStore, NamesEveryProblemAtOnce) {
  base::NullLog log;
  base::MetricRegistry metrics;
  ConnectionSettings settings;
  settings.endpoints = {"ftp://x"};
  settings.cert_file = "/nonexistent/cert.pem";
  settings.ca_pem = "x";
  const auto opened = open_store(settings, log, metrics);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().text(), HasSubstr("ftp://x"));
  EXPECT_THAT(opened.error().text(), HasSubstr("cannot be used together"));
  EXPECT_THAT(opened.error().text(), HasSubstr("needed together"));
}

TEST(OpenStore, NoEndpointIsAnErrorWithARemedy) {
  base::NullLog log;
  base::MetricRegistry metrics;
  const auto opened = open_store({}, log, metrics);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().text(), HasSubstr("ETCD_ENDPOINTS"));
}

#endif

TEST(OpenStore, MissingDirectoryIsAnError) {
  base::NullLog log;
  base::MetricRegistry metrics;
  ConnectionSettings settings;
  settings.type = StoreType::kDirectory;
  settings.directory = "/nonexistent/resources";
  const auto opened = open_store(settings, log, metrics);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().text(), HasSubstr("/nonexistent/resources"));
}

}  // namespace
}  // namespace store
