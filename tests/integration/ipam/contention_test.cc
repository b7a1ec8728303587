// Fifty processes take and release 20,000 addresses over ten hosts while etcd is killed and restarted: no address is
// ever held by two, none is lost, and `ipam check` agrees.

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/check.h"
#include "base/strings.h"
#include "cli/commands.h"
#include "cli/system_environment.h"
#include "etcd_server.h"
#include "ipam/addressing.h"
#include "ipam/ipam.h"
#include "options.h"
#include "os/files.h"
#include "store/open_store.h"
#include "testing/temp_directory.h"
#include "worker.h"

namespace ipam_test {
namespace {

using ::testing::HasSubstr;

constexpr int kProcesses = 50;
constexpr int kHosts = 10;
constexpr std::uint32_t kAddresses = 20'000;

struct Child {
  pid_t pid = -1;
  base::Fd input;  // closing it ends the second half
};

Child start_worker(const WorkerOptions& options) {
  int ends[2];
  CHECK(::pipe2(ends, O_CLOEXEC) == 0);
  std::vector<std::string> arguments = {"ipam_integration_test",
                                        "--worker",
                                        options.url,
                                        options.host,
                                        options.name,
                                        options.board,
                                        options.results,
                                        std::to_string(options.seed),
                                        std::to_string(options.quota)};
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(ends[0], STDIN_FILENO);
    ::execv("/proc/self/exe", argv.data());
    ::_exit(127);
  }
  ::close(ends[0]);
  return {pid, base::Fd(ends[1])};
}

// False if a child ended badly or the time is up.
bool wait_for(const std::vector<Child>& children, const std::function<bool()>& reached) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(150);
  while (!reached()) {
    for (const Child& child : children) {
      siginfo_t info{};
      if (::waitid(P_PID, static_cast<id_t>(child.pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0 &&
          (info.si_code != CLD_EXITED || info.si_status != 0))
        return false;
    }
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

class CapturedEnvironment final : public cli::Environment {
 public:
  explicit CapturedEnvironment() : system_(nullptr) {}
  void print(std::string_view text) override { output += text; }
  void print_error(std::string_view text) override { output += text; }
  base::Result<std::string> read_standard_input() override { return std::string(); }
  std::optional<std::string> variable(const std::string&) const override { return std::nullopt; }
  std::string new_uid() override { return system_.new_uid(); }
  std::string timestamp() override { return system_.timestamp(); }
  void pause(base::Duration duration) override { system_.pause(duration); }
  base::WallTime wall() override { return system_.wall(); }
  base::Instant now() override { return system_.now(); }
  double jitter() override { return system_.jitter(); }
  node::Host& host() override { return system_.host(); }
  node::Prober& prober() override { return system_.prober(); }
  base::Result<std::unique_ptr<store::Store>> open(const store::ConnectionSettings& settings) override {
    return system_.open(settings);
  }
  std::string output;

 private:
  cli::SystemEnvironment system_;
};

std::string percalectl(const std::string& url, std::vector<std::string> words) {
  CapturedEnvironment environment;
  words.insert(words.begin(), {"--datastore", url});
  const int status = cli::run("percalectl", words, environment);
  EXPECT_EQ(status, 0) << environment.output;
  return environment.output;
}

class Contention : public ::testing::Test {
 protected:
  Contention() : opened_(store::open_store(*store::parse_location(etcd_.url()), log_, metrics_)), blocking_(**opened_) {
    for (int i = 0; i < kHosts; ++i)
      put_resource("nodes/host-" + std::to_string(i), R"({"metadata":{"name":"x"},"spec":{}})");
    put_resource("ippools/pool", R"({"metadata":{"name":"pool"},"spec":{"cidr":"10.65.0.0/20"}})");
    put_resource("clusterinformations/default",
                 R"({"metadata":{"name":"default"},"spec":{"clusterGUID":"0123","datastoreReady":true}})");
  }
  ~Contention() override {
    for (const Child& child : children_) {
      ::kill(child.pid, SIGKILL);
      ::waitpid(child.pid, nullptr, 0);
    }
  }

  void put_resource(const std::string& path, const std::string& value) {
    CHECK(blocking_.put("/calico/resources/v3/projectcalico.org/" + path, value).has_value());
  }

  std::string results_of(int index) const { return directory_.file("held-" + std::to_string(index)); }

  store_test::EtcdServer etcd_;
  testing::TempDirectory directory_;
  base::NullLog log_;
  base::MetricRegistry metrics_;
  base::Result<std::unique_ptr<store::Store>> opened_;
  store::BlockingStore blocking_;
  std::vector<Child> children_;
};

TEST_F(Contention, FiftyProcessesAndAnEtcdThatDies) {
  const auto began = std::chrono::steady_clock::now();
  const std::string board_path = directory_.file("board");
  SharedBoard board(board_path);
  for (int i = 0; i < kProcesses; ++i) {
    children_.push_back(start_worker({.url = etcd_.url(),
                                      .host = "host-" + std::to_string(i % kHosts),
                                      .name = "w" + std::to_string(i),
                                      .board = board_path,
                                      .results = results_of(i),
                                      .seed = static_cast<std::uint64_t>(i) + 1,
                                      .quota = kAddresses / kProcesses}));
  }
  ASSERT_TRUE(wait_for(children_, [&] { return board->assigned >= kAddresses / 2; })) << board->assigned;
  etcd_.kill();
  const auto at_kill = board->assigned.load();
  std::this_thread::sleep_for(std::chrono::seconds(2));
  EXPECT_LE(board->assigned, at_kill + 200) << "what was under way when it died";
  etcd_.start();
  ASSERT_TRUE(wait_for(children_, [&] {
    for (int i = 0; i < kProcesses; ++i) {
      if (!os::file_exists(results_of(i))) return false;
    }
    return true;
  })) << board->assigned;
  EXPECT_EQ(board->assigned, kAddresses);
  EXPECT_EQ(board->duplicates, 0U);

  // Half time: the blocks hold exactly what the processes believe to hold.
  std::map<std::string, std::string> held, stored;
  for (int i = 0; i < kProcesses; ++i) {
    std::ifstream in(results_of(i));
    for (std::string address, handle; in >> address >> handle;)
      EXPECT_TRUE(held.emplace(address, handle).second) << address << " is held twice";
  }
  ipam::Ipam ipam(blocking_, {.wall = [] { return base::WallTime(); },
                              .now = [] { return base::Instant(); },
                              .jitter = [] { return 0.0; },
                              .pause = [](base::Duration) {}});
  std::size_t borrowed = 0;
  const auto blocks = ipam.blocks();
  ASSERT_TRUE(blocks);
  for (const ipam::StoredBlock& block : *blocks) {
    block.block.for_each_used([&](const base::IpAddress& address, const ipam::Owner* owner) {
      ASSERT_NE(owner, nullptr);
      stored[base::to_string(address)] = owner->handle_text();
      borrowed += owner->attributes->at("node") != block.block.host() ? 1 : 0;
    });
  }
  EXPECT_EQ(held, stored);
  EXPECT_FALSE(held.empty());

  for (Child& child : children_) child.input.reset();
  for (const Child& child : children_) {
    int status = -1;
    ::waitpid(child.pid, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
  children_.clear();
  const std::string report = percalectl(etcd_.url(), {"ipam", "check"});
  EXPECT_THAT(report, HasSubstr("IPAM blocks record 0 allocations.\n"));
  EXPECT_THAT(report, HasSubstr("Found 0 handles with no matching IPs (and 0 handles with matches).\n"));
  EXPECT_THAT(report, HasSubstr("Check complete; found 0 problems.\n"));
  for (const ipam::StoredBlock& block : ipam.blocks().value_or(std::vector<ipam::StoredBlock>{}))
    EXPECT_EQ(block.block.free_count(), block.block.size());
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  RecordProperty("seconds", std::to_string(seconds));
  std::printf("%u addresses, %zu held at half time, %zu of them borrowed, %.1f s\n", kAddresses, held.size(), borrowed,
              seconds);
}

// The check has to be able to fail.
TEST_F(Contention, CheckFindsALeak) {
  ipam::Ipam ipam(blocking_, {.wall = [] { return base::WallTime(std::chrono::seconds(1)); },
                              .now = [] { return base::Instant(); },
                              .jitter = [] { return 0.0; },
                              .pause = [](base::Duration) {}});
  ASSERT_TRUE(ipam.auto_assign({.host = "host-1", .count = 3, .handle = "lost", .attributes = {{"node", "host-1"}}}));
  ASSERT_TRUE(blocking_.put("/calico/ipam/v2/handle/nobody", R"({"block":{"10.65.0.0/26":1},"deleted":false})"));
  const std::string report = percalectl(etcd_.url(), {"ipam", "check"});
  EXPECT_THAT(report, HasSubstr("Found 3 IPs that are allocated in IPAM but not actually in use.\n"));
  EXPECT_THAT(report, HasSubstr("Found 1 handles with no matching IPs (and 1 handles with matches).\n"));
  EXPECT_THAT(report, HasSubstr("Check complete; found 4 problems.\n"));
}

}  // namespace
}  // namespace ipam_test

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv, argv + argc);
  if (argc == 9 && words[1] == "--worker") {
    return ipam_test::run_worker({.url = words[2],
                                  .host = words[3],
                                  .name = words[4],
                                  .board = words[5],
                                  .results = words[6],
                                  .seed = std::stoull(words[7]),
                                  .quota = static_cast<std::uint32_t>(std::stoul(words[8]))});
  }
  ::testing::InitGoogleTest(&argc, argv);
  if (argc == 2 && words.back().starts_with("--nodes=")) ipam_test::nodes_at_once = std::stoi(words.back().substr(8));
  return RUN_ALL_TESTS();
}
