// commands_fixture.h: whole command lines against a datastore in memory and a machine that does not exist.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/commands.h"
#include "cli/environment.h"
#include "node/testing_host.h"
#include "os/loop_thread.h"
#include "store/blocking.h"
#include "store/memory_store.h"

namespace cli {

inline constexpr std::string_view kRoot = "/calico/resources/v3/projectcalico.org/";

// A store that somebody else owns.
class BorrowedStore final : public store::Store {
 public:
  explicit BorrowedStore(store::Store& owner) : owner_(owner) {}
  std::unique_ptr<store::Subscription> subscribe(std::vector<std::string> prefixes, base::Loop& reader,
                                                 store::EventHandler handler) override {
    return owner_.subscribe(std::move(prefixes), reader, std::move(handler));
  }
  void read(store::ReadRequest request, const store::RequestOptions& options, base::Loop& loop,
            store::Done<store::ReadReply> done) override {
    owner_.read(std::move(request), options, loop, std::move(done));
  }
  void put(store::PutRequest request, const store::RequestOptions& options, base::Loop& loop,
           store::Done<store::WriteReply> done) override {
    owner_.put(std::move(request), options, loop, std::move(done));
  }
  void remove(store::RemoveRequest request, const store::RequestOptions& options, base::Loop& loop,
              store::Done<store::WriteReply> done) override {
    owner_.remove(std::move(request), options, loop, std::move(done));
  }
  void commit(store::Transaction request, const store::RequestOptions& options, base::Loop& loop,
              store::Done<store::Revision> done) override {
    owner_.commit(std::move(request), options, loop, std::move(done));
  }
  void compact(store::Revision revision, const store::RequestOptions& options, base::Loop& loop,
               store::Done<store::Revision> done) override {
    owner_.compact(revision, options, loop, std::move(done));
  }
  void status(const store::RequestOptions& options, base::Loop& loop, store::Done<store::StoreStatus> done) override {
    owner_.status(options, loop, std::move(done));
  }
  std::string describe() const override { return owner_.describe(); }

 private:
  store::Store& owner_;
};

// Everything printed is kept; identities and time are fixed; the datastore is in memory and outlives the runs.
class FakeEnvironment final : public Environment {
 public:
  FakeEnvironment() : memory_(home_.loop()) { home_.start(); }
  ~FakeEnvironment() override { home_.stop(); }

  void print(std::string_view text) override { output += text; }
  void print_error(std::string_view text) override { output += text; }
  base::Result<std::string> read_standard_input() override { return input; }
  std::optional<std::string> variable(const std::string& name) const override {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  }
  std::string new_uid() override { return "00000000-0000-4000-8000-00000000000" + std::to_string(++ids_ % 10); }
  std::string timestamp() override { return "2026-01-15T10:20:30Z"; }
  void pause(base::Duration duration) override { paused += duration; }
  base::WallTime wall() override { return base::WallTime(std::chrono::seconds(1'768'472'430)) + paused; }
  base::Instant now() override { return base::Instant(paused); }
  double jitter() override { return 0.5; }
  node::Host& host() override { return machine; }
  node::Prober& prober() override { return probes; }
  base::Result<std::unique_ptr<store::Store>> open(const store::ConnectionSettings&) override {
    return std::make_unique<BorrowedStore>(memory_);
  }

  store::MemoryStore& memory() { return memory_; }

  std::string input;
  std::string output;  // both streams, in the order of printing
  std::map<std::string, std::string> variables = {{"ETCD_ENDPOINTS", "http://127.0.0.1:2379"}};
  base::Duration paused{0};
  node::FakeHost machine;
  node::FakeProber probes;

 private:
  int ids_ = 0;
  os::LoopThread home_{"memory"};
  store::MemoryStore memory_;
};

class Commands : public ::testing::Test {
 protected:
  // Runs and returns what was printed; `status` keeps the exit status.
  std::string run_command(std::vector<std::string> words, std::string input = {}) {
    environment_.output.clear();
    environment_.input = std::move(input);
    status_ = run("percalectl", words, environment_);
    return environment_.output;
  }
  std::string stored(const std::string& key) {
    store::BlockingStore blocking(environment_.memory());
    const auto item = blocking.get(std::string(kRoot) + key);
    return item ? item->value : "";
  }
  void put_raw(const std::string& key, std::string value) {
    store::BlockingStore blocking(environment_.memory());
    ASSERT_TRUE(blocking.put(std::string(kRoot) + key, std::move(value)));
  }

  FakeEnvironment environment_;
  int status_ = -1;
};

}  // namespace cli
