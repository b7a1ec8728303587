// What only a real etcd can show: dead and silent servers, compaction while away, restored backups, users, TLS.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "etcd_server.h"
#include "event_collector.h"
#include "os/files.h"
#include "os/process.h"
#include "store/blocking.h"
#include "store/etcd/etcd_store.h"
#include "store/open_store.h"

namespace store_test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Client {
  explicit Client(std::vector<std::string> urls, store::EtcdSettings settings = {}) {
    for (const auto& url : urls) settings.endpoints.push_back(*store::parse_etcd_endpoint(url));
    store = store::make_etcd_store(std::move(settings), log, metrics);
    blocking = std::make_unique<store::BlockingStore>(*store);
  }
  base::NullLog log;
  base::MetricRegistry metrics;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<store::BlockingStore> blocking;
};

bool synced(const Seen& seen) { return seen.snapshots_done > 0; }

TEST(Etcd, UnreachableIsToldAtOnceWithARemedy) {
  const std::string url = fmt::format("http://127.0.0.1:{}", free_port());
  Client client({url});
  const auto start = std::chrono::steady_clock::now();
  const auto put = client.blocking->put("/a", "1");
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().kind(), base::ErrorKind::kUnavailable);
  EXPECT_THAT(put.error().text(), HasSubstr(url));
  EXPECT_THAT(put.error().text(), HasSubstr("connection refused"));
  EXPECT_LT(seconds_since(start), 1.0);
}

TEST(Etcd, SubscriberHearsThatNobodyIsThereAndSyncsWhenSomebodyComes) {
  EtcdServer server;
  server.kill();
  Client client({server.url()});
  EventCollector collector(*client.store, {"/"});
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.disconnects == 1; }));
  EXPECT_THAT(collector.seen().error, HasSubstr("connection refused"));
  server.start();
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(collector.wait(synced)) << collector.seen().error;
  EXPECT_LT(seconds_since(start), 5.0);
  EXPECT_TRUE(collector.seen().connected);
}

TEST(Etcd, WatchResumesAfterARestartWithoutASnapshot) {
  EtcdServer server;
  Client client({server.url()});
  Client other({server.url()});
  ASSERT_TRUE(client.blocking->put("/t/a", "1"));
  EventCollector collector(*client.store, {"/t/"});
  ASSERT_TRUE(collector.wait(synced));
  server.kill();
  ASSERT_TRUE(collector.wait([](const Seen& s) { return !s.connected; }));
  const auto refused = client.blocking->put("/t/b", "x");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), base::ErrorKind::kUnavailable);
  server.start();
  const auto put = other.blocking->put({.key = "/t/b", .value = "2"});
  ASSERT_TRUE(put) << put.error().text();
  ASSERT_TRUE(other.blocking->remove("/t/a"));
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.items.contains("/t/b") && !s.items.contains("/t/a"); }));
  EXPECT_LT(seconds_since(start), 2.0);
  EXPECT_EQ(collector.seen().snapshots_started, 1);
  EXPECT_EQ(collector.seen().violation, "");
}

TEST(Etcd, CompactedWhileAwayMeansANewSnapshot) {
  EtcdServer server;
  server.ctl({"put", "/t/a", "1"});
  Client client({server.url()});
  EventCollector collector(*client.store, {"/t/"});
  ASSERT_TRUE(collector.wait(synced));
  server.kill();
  ASSERT_TRUE(collector.wait([](const Seen& s) { return !s.connected; }));
  server.start_elsewhere();  // where the client does not look
  server.ctl({"del", "/t/a"});
  for (int i = 0; i < 10; ++i) server.ctl({"put", "/t/b", fmt::format("{}", i)});
  server.ctl({"compact", "10"});
  server.kill();
  server.start();
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.snapshots_done == 2; }));
  const Seen seen = collector.seen();
  EXPECT_FALSE(seen.items.contains("/t/a"));
  EXPECT_EQ(seen.items.at("/t/b").value, "9");
  EXPECT_EQ(seen.violation, "");
  ASSERT_TRUE(client.blocking->put("/t/c", "3"));
  EXPECT_TRUE(collector.wait([](const Seen& s) { return s.items.contains("/t/c"); }));
}

TEST(Etcd, AnotherClusterMeansANewSnapshot) {
  EtcdServer server;
  for (int i = 0; i < 20; ++i) server.ctl({"put", "/t/old", fmt::format("{}", i)});
  Client client({server.url()});
  EventCollector collector(*client.store, {"/t/"});
  ASSERT_TRUE(collector.wait(synced));
  server.kill();
  server.wipe();  // the same member and cluster id, but revisions start again
  server.start();
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.snapshots_done == 2; }));
  EXPECT_TRUE(collector.seen().items.empty());
  server.ctl({"put", "/t/new", "1"});
  EXPECT_TRUE(collector.wait([](const Seen& s) { return s.items.contains("/t/new"); }));
  EXPECT_EQ(collector.seen().violation, "");
}

TEST(Etcd, TheFirstEndpointMayBeDeadAtStart) {
  EtcdServer server;
  for (std::size_t first : {0U, 1U}) {
    Client client({fmt::format("http://127.0.0.1:{}", free_port()), server.url()},
                  {.endpoints = {}, .first_endpoint = first});
    const auto start = std::chrono::steady_clock::now();
    EventCollector collector(*client.store, {"/t/"});
    ASSERT_TRUE(collector.wait(synced));
    EXPECT_TRUE(client.blocking->put("/t/a", "1"));
    EXPECT_LT(seconds_since(start), 2.0);
  }
}

TEST(Etcd, ASilentFirstEndpointDelaysOnlyALittle) {
  EtcdServer silent, server;
  silent.pause();
  Client client({silent.url(), server.url()});
  const auto start = std::chrono::steady_clock::now();
  EventCollector collector(*client.store, {"/t/"});
  ASSERT_TRUE(collector.wait(synced));
  EXPECT_LT(seconds_since(start), 2.0);
}

TEST(Etcd, FailsOverToTheOtherEndpoint) {
  // Two independent servers stand for two members; the client must notice that they are different clusters and start
  // anew.
  EtcdServer first, second;
  first.ctl({"put", "/t/a", "first"});
  second.ctl({"put", "/t/a", "second"});
  Client client({first.url(), second.url()});
  EventCollector collector(*client.store, {"/t/"});
  ASSERT_TRUE(collector.wait(synced));
  EXPECT_EQ(collector.seen().items.at("/t/a").value, "first");
  first.kill();
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(
      collector.wait([](const Seen& s) { return s.items.contains("/t/a") && s.items.at("/t/a").value == "second"; }));
  EXPECT_LT(seconds_since(start), 2.0);
  EXPECT_TRUE(client.blocking->put("/t/b", "1"));
  EXPECT_EQ(collector.seen().violation, "");
}

TEST(Etcd, ASilentPeerIsNoticedWithinTwentySeconds) {
  EtcdServer server;
  server.ctl({"put", "/t/a", "1"});
  Client client({server.url()});
  EventCollector collector(*client.store, {"/t/"});
  ASSERT_TRUE(collector.wait(synced));
  server.pause();
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(collector.wait([](const Seen& s) { return !s.connected; }, 25s));
  EXPECT_LT(seconds_since(start), 20.0);
  server.unpause();
  server.ctl({"put", "/t/b", "2"});
  const auto healed = std::chrono::steady_clock::now();
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.items.contains("/t/b"); }));
  EXPECT_LT(seconds_since(healed), 5.0);
  EXPECT_EQ(collector.seen().snapshots_started, 1);
}

TEST(Etcd, LargeCommitIsNotSplit) {
  EtcdServer server;
  Client client({server.url()});
  EventCollector collector(*client.store, {"/t/"});
  ASSERT_TRUE(collector.wait(synced));
  // Several values in one commit, larger together than a fragment.
  store::Transaction transaction;
  for (int i = 0; i < 14; ++i) transaction.puts.emplace_back(fmt::format("/t/{}", i), std::string(100'000, 'x'));
  ASSERT_TRUE(client.blocking->commit(std::move(transaction)));
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.deltas > 0; }));
  EXPECT_EQ(collector.seen().items.size(), 14U);
}

TEST(EtcdCluster, ResumesOnAnotherMemberWithoutASnapshot) {
  const auto members = start_cluster();
  Client client({members[0]->url(), members[1]->url(), members[2]->url()});
  ASSERT_TRUE(client.blocking->put("/t/a", "1"));
  EventCollector collector(*client.store, {"/t/"});
  ASSERT_TRUE(collector.wait(synced));
  members[0]->kill();  // where the client is
  store::BlockingStore patient(*client.store, {.timeout = 20s, .wait_for_connection = true});
  const auto put = patient.put("/t/b", "1");
  ASSERT_TRUE(put) << put.error().text();
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.items.contains("/t/b"); }));
  EXPECT_EQ(collector.seen().snapshots_started, 1);
  EXPECT_EQ(collector.seen().violation, "");
}

TEST(EtcdCluster, AMemberWithoutItsClusterIsNoUse) {
  const auto members = start_cluster();
  Client client({members[0]->url()});
  EventCollector collector(*client.store, {"/t/"});
  ASSERT_TRUE(collector.wait(synced));
  members[1]->kill();
  members[2]->kill();
  // It still answers on its connection; only the leader is gone.
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.error.find("leader") != s.error.npos; }, 20s))
      << collector.seen().error;
  members[1]->start();
  store::BlockingStore patient(*client.store, {.timeout = 20s, .wait_for_connection = true});
  const auto put = patient.put("/t/a", "1");
  ASSERT_TRUE(put) << put.error().text();
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.items.contains("/t/a"); }));
  EXPECT_EQ(collector.seen().snapshots_started, 1);
}

// --- Users ---

void enable_users(const EtcdServer& server) {
  server.ctl({"user", "add", "root:secret"});
  server.ctl({"user", "grant-role", "root", "root"});
  server.ctl({"user", "add", "percale:pass"});
  server.ctl({"role", "add", "percale"});
  server.ctl({"role", "grant-permission", "percale", "readwrite", "--prefix", "/t/"});
  server.ctl({"user", "grant-role", "percale", "percale"});
  server.ctl({"auth", "enable"});
}

TEST(EtcdUsers, RequestsAndWatchesWorkWithUserAndPassword) {
  EtcdServer server;
  enable_users(server);
  Client client({server.url()}, {.endpoints = {}, .username = "percale", .password = "pass"});
  const auto put = client.blocking->put("/t/a", "1");
  ASSERT_TRUE(put) << put.error().text();
  EventCollector collector(*client.store, {"/t/"});
  ASSERT_TRUE(collector.wait(synced));
  ASSERT_TRUE(client.blocking->put("/t/b", "1"));
  EXPECT_TRUE(collector.wait([](const Seen& s) { return s.items.contains("/t/b"); }));
  const auto denied = client.blocking->put("/other", "1");
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().kind(), base::ErrorKind::kDenied);
}

TEST(EtcdUsers, AForgottenTokenIsRenewedAndTheWatchResumed) {
  EtcdServer server;
  enable_users(server);
  Client client({server.url()}, {.endpoints = {}, .username = "percale", .password = "pass"});
  EventCollector collector(*client.store, {"/t/"});
  ASSERT_TRUE(collector.wait(synced));
  server.kill();  // tokens live in memory only
  server.start();
  store::BlockingStore patient(*client.store, {.timeout = 10s, .wait_for_connection = true});
  const auto put = patient.put("/t/b", "1");
  ASSERT_TRUE(put) << put.error().text();
  EXPECT_TRUE(collector.wait([](const Seen& s) { return s.items.contains("/t/b"); }));
  EXPECT_EQ(collector.seen().snapshots_started, 1);
}

TEST(EtcdUsers, AStaleTokenOnALiveConnectionIsRenewed) {
  EtcdServer server;
  enable_users(server);
  Client client({server.url()}, {.endpoints = {}, .username = "percale", .password = "pass"});
  ASSERT_TRUE(client.blocking->put("/t/a", "1"));
  // Every change of the user table makes tokens stale.
  server.ctl({"--user=root:secret", "user", "add", "another:pass"});
  EventCollector collector(*client.store, {"/t/"});
  ASSERT_TRUE(collector.wait(synced)) << collector.seen().error;
  server.ctl({"--user=root:secret", "user", "add", "third:pass"});
  const auto put = client.blocking->put("/t/b", "1");
  ASSERT_TRUE(put) << put.error().text();
  EXPECT_TRUE(collector.wait([](const Seen& s) { return s.items.contains("/t/b"); }));
}

TEST(EtcdUsers, WrongPasswordIsDeniedWithARemedy) {
  EtcdServer server;
  enable_users(server);
  Client client({server.url()}, {.endpoints = {}, .username = "percale", .password = "wrong"});
  const auto put = client.blocking->put("/t/a", "1");
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().kind(), base::ErrorKind::kDenied);
  EXPECT_THAT(put.error().text(), HasSubstr("ETCD_PASSWORD"));
  EXPECT_THAT(put.error().text(), Not(HasSubstr("wrong")));
  EventCollector collector(*client.store, {"/t/"});
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.disconnects == 1; }));
  EXPECT_EQ(collector.seen().error_kind, base::ErrorKind::kDenied);
}

TEST(EtcdUsers, NoUserWhereOneIsNeededIsDenied) {
  EtcdServer server;
  enable_users(server);
  Client client({server.url()});
  const auto put = client.blocking->put("/t/a", "1");
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().kind(), base::ErrorKind::kDenied) << put.error().text();
}

TEST(EtcdUsers, CredentialsForAServerWithoutUsersAreIgnored) {
  EtcdServer server;
  Client client({server.url()}, {.endpoints = {}, .username = "percale", .password = "pass"});
  const auto put = client.blocking->put("/t/a", "1");
  EXPECT_TRUE(put) << put.error().text();
}

// --- TLS ---

struct Certificates {
  Certificates() {
    openssl({"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test-ca", "-keyout",
             file("ca.key"), "-out", file("ca.pem")});
    issue("server", "subjectAltName=IP:127.0.0.1");
    issue("other-host", "subjectAltName=DNS:elsewhere.example.org");
    openssl({"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=foreign-ca", "-keyout",
             file("foreign.key"), "-out", file("foreign.pem")});
  }
  std::string file(std::string_view name) const { return directory.file(name); }
  void issue(const std::string& name, const std::string& extension) {
    const auto extensions = directory.write(name + ".ext", extension + "\nextendedKeyUsage=serverAuth,clientAuth\n");
    openssl({"req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=" + name, "-keyout", file(name + ".key"), "-out",
             file(name + ".csr")});
    openssl({"x509", "-req", "-in", file(name + ".csr"), "-CA", file("ca.pem"), "-CAkey", file("ca.key"),
             "-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", file(name + ".pem")});
  }
  static void openssl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "openssl");
    const auto outcome = os::run({.arguments = std::move(arguments)});
    ASSERT_TRUE(outcome && outcome->ok());
  }
  EtcdOptions server(const std::string& name) const {
    return {.ca_file = file("ca.pem"),
            .cert_file = file(name + ".pem"),
            .key_file = file(name + ".key"),
            .listen_everywhere = false};
  }

  testing::TempDirectory directory;
};

class EtcdTls : public ::testing::Test {
 protected:
  base::Result<store::WriteReply> put(const store::ConnectionSettings& settings) {
    auto store = store::open_store(settings, log_, metrics_);
    if (!store) return base::fail(std::move(store).error());
    return store::BlockingStore(**store).put("/t/a", "1");
  }
  base::NullLog log_;
  base::MetricRegistry metrics_;
  Certificates certificates_;
};

TEST_F(EtcdTls, ClientCertificatesFromFilesAndInline) {
  EtcdServer server(certificates_.server("server"));
  store::ConnectionSettings files;
  files.endpoints = {server.url()};
  files.ca_file = certificates_.file("ca.pem");
  files.cert_file = certificates_.file("server.pem");
  files.key_file = certificates_.file("server.key");
  const auto from_files = put(files);
  EXPECT_TRUE(from_files) << from_files.error().text();

  store::ConnectionSettings pem;
  pem.endpoints = files.endpoints;
  pem.ca_pem = *os::read_file(files.ca_file);
  pem.cert_pem = *os::read_file(files.cert_file);
  pem.key_pem = *os::read_file(files.key_file);
  const auto from_pem = put(pem);
  EXPECT_TRUE(from_pem) << from_pem.error().text();

  store::ConnectionSettings foreign = files;
  foreign.ca_file = certificates_.file("foreign.pem");
  const auto refused = put(foreign);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), base::ErrorKind::kUnavailable);
  EXPECT_THAT(refused.error().text(), HasSubstr("CA"));

  store::ConnectionSettings without = files;
  without.cert_file = without.key_file = "";
  const auto anonymous = put(without);
  ASSERT_FALSE(anonymous);
  EXPECT_THAT(anonymous.error().text(), HasSubstr("client certificate"));

  store::ConnectionSettings plain = files;
  plain.endpoints = {"http" + server.url().substr(5)};
  const auto unencrypted = put(plain);
  ASSERT_FALSE(unencrypted);
  EXPECT_THAT(unencrypted.error().text(), HasSubstr("https"));
}

TEST_F(EtcdTls, ServerCertificateOfAnotherHostIsRefused) {
  EtcdServer server(certificates_.server("other-host"));
  store::ConnectionSettings settings;
  settings.endpoints = {server.url()};
  settings.ca_file = certificates_.file("ca.pem");
  settings.cert_file = certificates_.file("server.pem");
  settings.key_file = certificates_.file("server.key");
  const auto refused = put(settings);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("another host name"));
}

TEST_F(EtcdTls, TlsAgainstAPlainServerSaysSo) {
  EtcdServer server;
  store::ConnectionSettings settings;
  settings.endpoints = {"https" + server.url().substr(4)};
  settings.ca_file = certificates_.file("ca.pem");
  const auto refused = put(settings);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("does it speak TLS"));
}

}  // namespace
}  // namespace store_test
