// Older states of the database against newer values in etcd: what writer and resync do when revisions and
// revision_number are all that tells them apart. (Chance finds the rest: tests/neutron/interleaving_test.cc.)
#include "neutron/resync.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "neutron/exchange.h"
#include "neutron/testing_world.h"
#include "neutron/translate/subnet.h"
#include "neutron/writer.h"

namespace neutron {
namespace {

json::object subnet(const std::string& gateway) {
  return {{"id", "s"},
          {"network_id", "n"},
          {"cidr", "10.65.0.0/24"},
          {"gateway_ip", gateway},
          {"enable_dhcp", true},
          {"dns_nameservers", json::array{}},
          {"host_routes", json::array{}}};
}

json::object port(const std::string& host, std::int64_t revision) {
  return {
      {"id", "p"},        {"revision_number", revision}, {"network_id", "n"},        {"device_owner", "compute:nova"},
      {"device_id", "d"}, {"binding:host_id", host},     {"binding:vif_type", "tap"}};
}

class OlderStateTest : public WorldTest {
 protected:
  OlderStateTest() { start_mirror(); }
  std::string subnet_value(const std::string& gateway) {
    return translate_subnet(subnet(gateway), context_.region).keys.begin()->second.raw;
  }
  WriteOutcome write(const json::object& object, bool accept_older = false) {
    const json::value data = json::object{{"ports", json::array{object}}};
    Wish wish{.object = {Kind::kPort, "p"},
              .translation = translate_port(object, Answer(data), context_.region, {}),
              .since = mirror_.reached()};
    wish.accept_older = accept_older;
    WriteOutcome outcome = WriteOutcome::kFailed;
    writer_.write(std::move(wish), [&](const WriteResult& result) { outcome = result.outcome; });
    loop_.run_pending();
    return outcome;
  }
  // The worker brings its last result, if there is one, and gets the next call, if there is one.
  json::object poll() {
    json::object call;
    work_.poll({.connection = 1, .method = "POST", .path = "/v1/work", .body = {}}, std::exchange(result_, {}),
               [&](const HttpReply& reply) {
                 if (reply.status == 200) call = json::parse(reply.body).as_object();
               });
    loop_.run_pending();
    return call;
  }
  void answer(const json::object& call, json::object result) {
    result_ = {{"id", call.at("id")}, {"result", std::move(result)}};
  }
  std::string endpoint(const std::string& host) {
    return context_.region.endpoint_prefix() + endpoint_name({host, "d", "p"});
  }

  Writer writer_{context_, mirror_};
  Exchanger exchanger_{context_, mirror_, writer_};
  WorkQueue work_{context_};
  Repairs repairs_{context_, exchanger_, work_};
  Resync resync_{context_, mirror_, repairs_, work_, {}};
  json::object result_;  // of the worker's last call
};

// The former host's endpoint has another name, so there is nothing to merge with: the removal tells.
TEST_F(OlderStateTest, LaggingReplicaDoesNotMoveAPortBack) {
  EXPECT_EQ(write(port("h2", 7)), WriteOutcome::kDone);
  EXPECT_EQ(write(port("h1", 6)), WriteOutcome::kStale);
  EXPECT_NE(value(endpoint("h2")), "-");
  EXPECT_EQ(value(endpoint("h1")), "-");
  json::object unbound = port("", 6);
  EXPECT_EQ(write(unbound), WriteOutcome::kStale);
  EXPECT_NE(value(endpoint("h2")), "-");
  EXPECT_EQ(write(port("h1", 6), true), WriteOutcome::kDone);  // a database restored from a backup
  EXPECT_EQ(value(endpoint("h2")), "-");
  EXPECT_EQ(write(port("h3", 8)), WriteOutcome::kDone);
  EXPECT_EQ(value(endpoint("h1")), "-");
}

// Another controller's resync has repaired the value between this one's question and its answer. A resync's updates
// write no guard; the value's own revision tells.
TEST_F(OlderStateTest, AResyncDoesNotUndoAnotherOnes) {
  const std::string key = context_.region.subnet_prefix() + "s";
  store_.write(key, "broken");
  loop_.run_pending();
  bool done = false;
  resync_.start({}, [&](const json::object& result) { done = result.at("ok").as_bool(); });
  json::object call = poll();
  store_.write(key, subnet_value("10.65.0.2"));
  loop_.run_pending();
  answer(call, {{"subnets", json::array{subnet("10.65.0.1")}}, {"more", false}});
  call = poll();
  EXPECT_EQ(json::serialize(call.at("spec")), R"({"kind":"subnets","ids":["s"]})");
  EXPECT_EQ(value(key), subnet_value("10.65.0.2"));
  answer(call, {{"subnets", json::array{subnet("10.65.0.2")}}, {"more", false}});
  for (call = poll(); !call.empty(); call = poll()) {
    answer(call, {{call.at("spec").at("kind").as_string(), json::array{}}, {"more", false}});
  }
  EXPECT_TRUE(done);
  EXPECT_EQ(value(key), subnet_value("10.65.0.2"));
}

// Whoever asks by hand while Neutron is down waits once, not for every kind of object.
TEST_F(OlderStateTest, AllPhasesOfAResyncWaitForAWorkerOnce) {
  std::string error;
  resync_.start({}, [&](const json::object& result) { error = text(result, "error"); });
  loop_.advance(std::chrono::seconds(59));
  EXPECT_EQ(error, "");
  loop_.advance(std::chrono::seconds(2));
  EXPECT_NE(error.find("subnets: "), std::string::npos) << error;
  EXPECT_NE(value(std::string(kFelixConfigurationKey)), "-");  // which needs no Neutron
}

}  // namespace
}  // namespace neutron
