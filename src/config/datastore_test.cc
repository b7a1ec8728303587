#include "config/datastore.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Everything comes from the environment here, except what is given as file.
base::Result<DatastoreSettings> settings(const std::vector<std::string>& entries, RawMap file = {}) {
  const Environment environment = environment_from(entries);
  RawSources sources;
  sources.set(Source::kEnvironment, felix_parameters(environment));
  sources.set(Source::kFile, std::move(file));
  const Probe probe{[](const std::string&) { return true; }, {}};
  return datastore_settings(environment, resolve(sources, "h", probe).resolved);
}

TEST(Datastore, NothingConfiguredIsEtcdOnThisHost) {
  EXPECT_THAT(settings({})->endpoints, ElementsAre("http://127.0.0.1:2379/"));
  EXPECT_THAT(settings({"FELIX_DATASTORETYPE=etcdv3"})->endpoints, ElementsAre("http://127.0.0.1:2379/"));
}

// The environment that Felix is measured with.
TEST(Datastore, FelixEnvironment) {
  auto s = settings({"DATASTORE_TYPE=etcdv3", "ETCD_ENDPOINTS=http://127.0.0.1:2379", "FELIX_DATASTORETYPE=etcdv3",
                     "FELIX_ETCDENDPOINTS=http://127.0.0.1:2379"});
  ASSERT_TRUE(s);
  EXPECT_THAT(s->endpoints, ElementsAre("http://127.0.0.1:2379/"));
  EXPECT_TRUE(s->uses_etcd());
}

TEST(Datastore, CommonVariablesWithAndWithoutPrefix) {
  auto s = settings({"ETCD_ENDPOINTS=http://a:1", "CALICO_ETCD_ENDPOINTS=https://b:2", "CALICO_ETCD_USERNAME=u",
                     "ETCD_PASSWORD=p", "ETCD_KEY_FILE=/k", "ETCD_CERT_FILE=/c", "ETCD_CA_CERT_FILE=/ca"});
  ASSERT_TRUE(s);
  EXPECT_THAT(s->endpoints, ElementsAre("https://b:2/"));
  EXPECT_EQ(s->username, "u");
  EXPECT_EQ(s->password, "p");
  EXPECT_EQ(s->key_file + s->certificate_file + s->ca_file, "/k/c/ca");
  EXPECT_EQ(settings({"ETCD_USERNAME=u"})->username, "");
}

TEST(Datastore, FelixSettingsOverrideInAnySpellingEnvironmentOverFile) {
  const std::vector<std::string> common = {"ETCD_ENDPOINTS=http://a:1", "ETCD_CA_CERT_FILE=/ca"};
  auto with = [&](std::vector<std::string> more, RawMap file) {
    more.insert(more.end(), common.begin(), common.end());
    return settings(more, std::move(file));
  };
  EXPECT_THAT(with({}, {{"etcdendpoints", "http://file:1"}})->endpoints, ElementsAre("http://file:1/"));
  EXPECT_THAT(with({"felix_EtcdEndpoints=http://env:1"}, {{"EtcdEndpoints", "http://file:1"}})->endpoints,
              ElementsAre("http://env:1/"));
  EXPECT_THAT(with({"FELIX_ETCDADDR=h:5", "FELIX_ETCDSCHEME=https"}, {})->endpoints, ElementsAre("https://h:5/"));
  EXPECT_EQ(with({"FELIX_ETCDCAFILE=/mine"}, {})->ca_file, "/mine");
  EXPECT_EQ(with({}, {})->ca_file, "/ca");
}

TEST(Datastore, Discovery) {
  auto s = settings({"ETCD_DISCOVERY_SRV=example.org"});
  ASSERT_TRUE(s);
  EXPECT_EQ(s->discovery_domain, "example.org");
  EXPECT_TRUE(s->endpoints.empty());
  EXPECT_FALSE(settings({"ETCD_DISCOVERY_SRV=example.org", "ETCD_ENDPOINTS=http://a:1"}));
}

TEST(Datastore, Directory) {
  for (const char* entry : {"DATASTORE_TYPE=dir:/r", "FELIX_DATASTORETYPE=dir:/r"}) {
    auto s = settings({entry, "ETCD_ENDPOINTS=http://a:1"});
    ASSERT_TRUE(s) << s.error().text();
    EXPECT_EQ(s->directory, "/r");
    EXPECT_FALSE(s->uses_etcd());
  }
}

TEST(Datastore, ErrorsSayWhatToDo) {
  EXPECT_THAT(settings({"DATASTORE_TYPE=kubernetes"}).error().text(), HasSubstr("use etcdv3"));
  EXPECT_THAT(settings({"ETCD_ENDPOINTS=a:1"}).error().text(), HasSubstr("ETCD_ENDPOINTS"));
  EXPECT_THAT(settings({"ETCD_CERT_FILE=/c"}).error().text(), HasSubstr("key file"));
}

}  // namespace
}  // namespace config
