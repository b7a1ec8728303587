// What only a directory of files can show: edits by hand, broken files, two processes, restarts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "event_collector.h"
#include "os/files.h"
#include "store/blocking.h"
#include "store/directory_store.h"
#include "testing/temp_directory.h"

namespace store_test {
namespace {

using namespace std::chrono_literals;
using store::WriteStatus;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr const char* kRoot = "/calico/resources/v3/projectcalico.org/";

std::string key(std::string_view tail) { return kRoot + std::string(tail); }

constexpr const char* kNetworkSet = R"(# Who may come in.
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata:
  name: friends
  labels: {role: friend}
spec:
  nets:
  - 10.0.0.0/8
)";

constexpr const char* kTwo = R"(# First.
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: one}
spec: {nets: [10.1.0.0/16]}
---
# Second.
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: two}
spec: {nets: [10.2.0.0/16]}
)";

class DirectoryTest : public ::testing::Test {
 protected:
  std::unique_ptr<store::Store> open() {
    auto store = store::open_directory(directory_.path(), log_);
    EXPECT_TRUE(store) << store.error().text();
    return *std::move(store);
  }
  void write(std::string_view name, std::string_view text) {
    std::filesystem::create_directories(std::filesystem::path(directory_.file(name)).parent_path());
    ASSERT_TRUE(os::write_file_atomic(directory_.file(name), text));
  }
  std::string read(std::string_view name) { return os::read_file(directory_.file(name)).value_or(""); }

  testing::TempDirectory directory_;
  base::NullLog log_;
};

TEST_F(DirectoryTest, HandWrittenFileBecomesKeyAndValue) {
  write("anything.yaml", kNetworkSet);
  const auto store = open();
  const auto got = store::BlockingStore(*store).get(key("globalnetworksets/friends"));
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_THAT(got->value, AllOf(HasSubstr(R"("kind":"GlobalNetworkSet","apiVersion":"projectcalico.org/v3")"),
                                HasSubstr(R"("nets":["10.0.0.0/8"])"), HasSubstr(R"("uid":")"),
                                HasSubstr(R"("creationTimestamp":"2)")));
}

TEST_F(DirectoryTest, EditsByHandArriveAsDeltas) {
  const auto store = open();
  EventCollector collector(*store, {"/calico/"});
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.snapshots_done == 1; }));
  write("a.yaml", kTwo);
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.items.size() == 2; }));
  write("deep/er/b.yml", kNetworkSet);  // in a new directory
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.items.size() == 3; }));
  write("a.yaml", kNetworkSet);  // now also in deep/er/b.yml
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.items.size() == 1; }));
  std::filesystem::remove(directory_.file("a.yaml"));
  std::filesystem::remove_all(directory_.file("deep"));
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.items.empty(); }));
  EXPECT_EQ(collector.seen().violation, "");
}

TEST_F(DirectoryTest, BrokenFileIsNamedKeepsWhatItHeldAndStopsNobody) {
  write("good.yaml", kNetworkSet);
  write("two.yaml", kTwo);
  const auto store = open();
  EventCollector collector(*store, {"/calico/"});
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.snapshots_done == 1 && s.items.size() == 3; }));

  // The first document is new and fine, the last is not: all stays as it was.
  const std::string broken = "---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: [\n";
  write("two.yaml", std::string(kNetworkSet) + broken);
  ASSERT_TRUE(collector.wait([](const Seen& s) { return !s.diagnostics.empty(); }));
  const auto diagnostic = collector.seen().diagnostics.back();
  EXPECT_EQ(diagnostic.source, directory_.file("two.yaml"));
  EXPECT_GE(diagnostic.line, 9);
  EXPECT_LE(diagnostic.line, 15);
  EXPECT_THAT(diagnostic.text, HasSubstr("stays in force until it is repaired or deleted"));
  EXPECT_EQ(collector.seen().items.size(), 3u);

  // A change elsewhere still comes, and what one of its resources has become in another file counts.
  write("third.yaml",
        "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: two}\n"
        "spec: {nets: [10.3.0.0/16]}\n");
  ASSERT_TRUE(collector.wait([](const Seen& s) {
    return s.items.at(key("globalnetworksets/two")).value.find("10.3.0.0/16") != std::string::npos;
  }));
  EXPECT_EQ(collector.seen().items.size(), 3u);
  std::filesystem::remove(directory_.file("third.yaml"));

  // A new subscriber is told as well.
  EventCollector second(*store, {"/calico/"});
  ASSERT_TRUE(second.wait([](const Seen& s) { return s.snapshots_done == 1; }));
  EXPECT_THAT(second.seen().diagnostics, SizeIs(1));

  // A new store has nothing to fall back on, and says so.
  const auto fresh = open();
  EventCollector third(*fresh, {"/calico/"});
  ASSERT_TRUE(third.wait([](const Seen& s) { return s.snapshots_done == 1 && s.diagnostics.size() == 1; }));
  EXPECT_EQ(third.seen().items.size(), 1u);
  EXPECT_THAT(third.seen().diagnostics[0].text, HasSubstr("nothing in this file is in force"));

  write("two.yaml", kTwo);
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.items.size() == 3 && s.diagnostics.back().text.empty(); }));
  write("two.yaml", broken);
  ASSERT_TRUE(collector.wait([](const Seen& s) { return !s.diagnostics.back().text.empty(); }));
  std::filesystem::remove(directory_.file("two.yaml"));
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.items.size() == 1 && s.diagnostics.back().text.empty(); }));
  EXPECT_EQ(collector.seen().violation, "");
}

TEST_F(DirectoryTest, WhatBreaksARuleIsRefusedLikeWhatDoesNotParse) {
  for (const std::string_view bad : {"nets: [10.0.0.0/99]", "netz: []", "nets: 5"}) {
    write("bad.yaml", "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: x}\nspec: {" +
                          std::string(bad) + "}\n");
    const auto store = open();
    EventCollector collector(*store, {"/calico/"});
    ASSERT_TRUE(collector.wait([](const Seen& s) { return s.snapshots_done == 1 && s.diagnostics.size() == 1; }))
        << bad;
    EXPECT_TRUE(collector.seen().items.empty());
    EXPECT_EQ(collector.seen().diagnostics[0].line, 1) << collector.seen().diagnostics[0].text;
  }
}

TEST_F(DirectoryTest, SameResourceInTwoFilesTheFirstCounts) {
  write("a.yaml", kNetworkSet);
  write("b.yaml", std::string(kNetworkSet) + "  - 11.0.0.0/8\n");
  const auto store = open();
  EventCollector collector(*store, {"/calico/"});
  ASSERT_TRUE(collector.wait(
      [](const Seen& s) { return s.diagnostics.size() == 1 && s.items.contains(key("globalnetworksets/friends")); }));
  EXPECT_EQ(collector.seen().diagnostics[0].source, directory_.file("b.yaml"));
  EXPECT_THAT(collector.seen().diagnostics[0].text, HasSubstr("a.yaml"));
  std::filesystem::remove(directory_.file("a.yaml"));
  ASSERT_TRUE(collector.wait([](const Seen& s) {
    return s.items.at(key("globalnetworksets/friends")).value.find("11.0.0.0/8") != std::string::npos &&
           s.diagnostics.back().text.empty();
  }));
}

TEST_F(DirectoryTest, UpdateKeepsTheOtherDocumentsOfTheFile) {
  write("two.yaml", kTwo);
  const auto store = open();
  store::BlockingStore client(*store);
  const auto one = client.get(key("globalnetworksets/one"));
  ASSERT_TRUE(one);
  std::string value = one->value;
  value.replace(value.find("10.1.0.0"), 8, "10.9.0.0");
  ASSERT_EQ(client.update(one->key, value, one->mod_revision)->status, WriteStatus::kDone);
  EXPECT_THAT(read("two.yaml"), AllOf(HasSubstr("10.9.0.0/16"), HasSubstr("# Second."), Not(HasSubstr("10.1.0.0"))));
  EXPECT_EQ(client.get(one->key)->value, value);
  ASSERT_EQ(client.remove(one->key)->status, WriteStatus::kDone);
  EXPECT_THAT(read("two.yaml"), AllOf(Not(HasSubstr("10.9.0.0")), HasSubstr("10.2.0.0")));
  ASSERT_EQ(client.remove(key("globalnetworksets/two"))->status, WriteStatus::kDone);
  EXPECT_FALSE(os::file_exists(directory_.file("two.yaml")));
}

TEST_F(DirectoryTest, NewResourceGetsAFileOfItsOwnAndSurvivesARestart) {
  write("two.yaml", kTwo);
  store::Revision written = 0;
  std::string value;
  {
    const auto store = open();
    store::BlockingStore client(*store);
    value = client.get(key("globalnetworksets/one"))->value;
    value.replace(value.find(R"("name":"one")"), 12, R"("name":"new")");
    const auto created = client.create(key("globalnetworksets/new"), value);
    ASSERT_EQ(created->status, WriteStatus::kDone);
    written = created->revision;
    EXPECT_TRUE(os::file_exists(directory_.file("globalnetworksets/new.yaml")));
  }
  const auto store = open();
  const auto got = store::BlockingStore(*store).get(key("globalnetworksets/new"));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->value, value);
  EXPECT_EQ(got->mod_revision, written);
}

TEST_F(DirectoryTest, ValuesThatADocumentCannotHoldAreKeptAsTheyAre) {
  const auto store = open();
  store::BlockingStore client(*store);
  const std::string value = R"({"kind": "GlobalNetworkSet", "ours": true})";
  ASSERT_TRUE(client.put(key("globalnetworksets/odd"), value));
  EXPECT_EQ(client.get(key("globalnetworksets/odd"))->value, value);
  const auto again = open();
  EXPECT_EQ(store::BlockingStore(*again).get(key("globalnetworksets/odd"))->value, value);
}

TEST_F(DirectoryTest, TwoProcessesSeeEachOther) {
  write("friends.yaml", kNetworkSet);
  const auto agent = open();
  const auto tool = open();  // stands for another process: nothing is shared but the directory
  store::BlockingStore agent_client(*agent), tool_client(*tool);
  const auto before = agent_client.get(key("globalnetworksets/friends"));
  EXPECT_EQ(tool_client.get(before->key)->mod_revision, before->mod_revision);

  EventCollector collector(*agent, {"/calico/"});
  std::string value = before->value;
  value.replace(value.find("10.0.0.0"), 8, "12.0.0.0");
  const auto updated = tool_client.update(before->key, value, before->mod_revision);
  ASSERT_EQ(updated->status, WriteStatus::kDone);
  ASSERT_TRUE(collector.wait(
      [&](const Seen& s) { return s.items.contains(before->key) && s.items.at(before->key).value == value; }));

  // The agent's compare sees the tool's write even before its watch has told it.
  const auto second = tool_client.put(before->key, before->value);
  EXPECT_EQ(agent_client.update(before->key, value, updated->revision)->status, WriteStatus::kConflict);
  EXPECT_EQ(agent_client.get(before->key)->mod_revision, second->revision);
}

TEST_F(DirectoryTest, LeaseSurvivesARestart) {
  {
    const auto store = open();
    ASSERT_TRUE(store::BlockingStore(*store).put({.key = "/status", .value = "up", .time_to_live = 1s}));
  }
  const auto store = open();
  EventCollector collector(*store, {"/"});
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.snapshots_done == 1; }));
  EXPECT_TRUE(collector.wait([](const Seen& s) { return !s.items.contains("/status"); }, 5s));
}

TEST_F(DirectoryTest, OtherFilesAreLeftAlone) {
  write("README.txt", "not a resource");
  write(".hidden.yaml", "{");
  write(".git/config.yaml", "{");
  write("empty.yaml", "# nothing yet\n");
  const auto store = open();
  EventCollector collector(*store, {"/"});
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.snapshots_done == 1; }));
  EXPECT_TRUE(collector.seen().items.empty());
  EXPECT_TRUE(collector.seen().diagnostics.empty());
}

}  // namespace
}  // namespace store_test
