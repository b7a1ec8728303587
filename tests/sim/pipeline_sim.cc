// pipeline_sim: datastore to kernel in one thread on a virtual clock, under random faults; then the world is healed and
// must become what a fresh agent makes of it.
//
// Each seed is a history: changes in the datastore, cuts and compactions of the watch, agents killed at any step, a
// kernel and programs that fail, interfaces that flap, strangers who edit our tables. Each seed leaves some of these
// out (swarm testing).
//
// Safety, at every step:   nothing is written before the first snapshot of a life
//                          a flow that no world ever allowed does not pass, one that all worlds allow is not cut; from
//                          the first time that the rules are in, except between a stranger's edit and the repair
// Convergence, at the end: within kConvergeWithin of virtual time the kernel equals that of a fresh agent on a fresh
// host with the
//                          same datastore and interfaces; its statuses too; and one more restart writes nothing.
#include <cstdlib>
#include <cstring>
#include <iostream>

#include <fmt/core.h>

#include "agent_life.h"
#include "host.h"
#include "packet.h"
#include "random_store.h"

namespace sim {
namespace {

constexpr int kSteps = 60;
// The longest of: refresh of the rules (180 s), of sets and routes (90 s), the longest back-off, the restart of an
// agent.
constexpr base::Duration kConvergeWithin = std::chrono::minutes(6);
constexpr base::Duration kRestartDelay = std::chrono::seconds(2);

class Lines final : public base::Log {
 public:
  explicit Lines(bool print) : print_(print) {}
  bool enabled(base::LogLevel level) const override { return print_ && level >= base::LogLevel::kInfo; }
  void write(base::LogLevel, std::string_view event, std::string_view text, base::LogFields fields) override {
    std::string line = fmt::format("    log {} {}", event, text);
    for (const base::LogField& field : fields) line += fmt::format(" {}={}", field.key, field.value);
    std::cout << line << "\n";
  }

 private:
  const bool print_;
};

// What differs, line by line; both sorted into the same order by construction.
std::string difference(const std::string& got, const std::string& want) {
  std::string out;
  const auto lines = [](const std::string& text) {
    std::multiset<std::string> all;
    std::string section;
    for (std::size_t at = 0; at < text.size();) {
      const auto end = std::min(text.find('\n', at), text.size());
      const std::string line = text.substr(at, end - at);
      if (!line.starts_with(' ')) section = line;
      all.insert(line.starts_with(' ') ? section + " |" + line : line);
      at = end + 1;
    }
    return all;
  };
  const auto a = lines(got), b = lines(want);
  for (const std::string& line : a) {
    if (!b.contains(line)) out += "  too much: " + line + "\n";
  }
  for (const std::string& line : b) {
    if (!a.contains(line)) out += "  missing:  " + line + "\n";
  }
  return out.empty() && got != want ? "  the order of rules\n" : out;
}

class History {
 public:
  History(std::uint64_t seed, bool print)
      : rng_(seed),
        print_(print),
        log_(print),
        host_(loop_, !rng_.one_in(3)),
        store_(loop_),
        data_(rng_, [this](const auto& key, auto value) {
          say(fmt::format("write {} {}", key, value.value_or("(removed)")));
          store_.write(key, std::move(value));
        }) {
    for (bool& on : enabled_) on = !rng_.one_in(3);
    store_.set_page_keys(rng_.between(1, 20));
  }

  // Empty when all held.
  std::string run() {
    for (const char* name : {"eth0", "tapv", "tap0", "tap1"}) host_.add_interface(name);
    data_.sacred();
    for (int i = 0; i < 20; ++i) data_.mutate();
    start_agent();
    for (int step = 0; step < kSteps && problem_.empty(); ++step) {
      one_step();
      pass(rng_.one_in(4) ? std::chrono::milliseconds(rng_.between(0, 20'000))
                          : std::chrono::milliseconds(rng_.between(0, 30)));
    }
    if (problem_.empty()) heal_and_converge();
    return problem_;
  }

 private:
  enum Fault { kCut, kCompact, kKill, kBreak, kMeddle, kFlap, kUnready, kWipe, kFaults };

  void say(const std::string& what) {
    if (print_)
      std::cout << fmt::format("[{:.3f}] {}\n", std::chrono::duration<double>(loop_.now().time_since_epoch()).count(),
                               what);
  }

  void fail(const std::string& what) {
    if (problem_.empty()) problem_ = what;
  }

  void start_agent() {
    say("agent starts");
    loops_.push_back(std::make_unique<LifeLoop>(loop_));
    writes_at_start_ = host_.writes();
    agent_ = std::make_unique<AgentLife>(*loops_.back(), store_, host_, log_);
  }

  // What the init system does.
  void supervise() {
    if (agent_ == nullptr || !agent_->left() || restart_planned_) return;
    say("agent leaves: " + *agent_->left());
    restart_planned_ = true;
    loop_.after(kRestartDelay, [this] {
      restart_planned_ = false;
      agent_.reset();
      start_agent();
    });
  }

  // Lets time go by, watching.
  void pass(base::Duration span) {
    const base::Instant end = loop_.now() + span;
    loop_.run_until(
        [this] {
          watch();
          return !problem_.empty();
        },
        end - loop_.now());
  }

  void watch() {
    supervise();
    if (agent_ != nullptr && agent_->may_not_write_yet() && host_.writes() != writes_at_start_) {
      return fail("written before the first snapshot of this life");
    }
    // The probes cost a walk through all chains; only what changes the kernel can change their verdict.
    if (agent_ != nullptr && agent_->settled() && quiet_since_meddling()) protected_ = true;
    if (!protected_ || host_.writes() == writes_probed_) return;
    writes_probed_ = host_.writes();
    probe();
  }

  bool quiet_since_meddling() const { return !meddled_; }

  void probe() {
    Packet packet{.in = "eth0",
                  .out = std::string(kVaultInterface),
                  .source = *base::parse_address("10.9.0.66"),
                  .destination = *base::parse_address(kVaultAddress),
                  .protocol = 6,
                  .port = 5432};
    if (forwarded(packet, host_.v4, host_.sets)) return fail("a flow passes that no world ever allowed");
    packet.source = *base::parse_address(kFriendAddress);
    // A host endpoint on eth0 may forbid what the vault allows; ask from another interface, where no endpoint can be.
    packet.in = "eth9";
    if (!forwarded(packet, host_.v4, host_.sets)) return fail("a flow is cut that every world allows");
  }

  void one_step() {
    const auto fault = static_cast<Fault>(rng_.below(kFaults));
    if (!rng_.one_in(3) || !enabled_[fault]) {
      for (auto i = 1 + rng_.below(4); i > 0; --i) data_.mutate();
      return;
    }
    switch (fault) {
      case kCut:
        if (cut_) {
          say("reconnect");
          store_.reconnect();
        } else {
          say("cut");
          store_.disconnect();
        }
        cut_ = !cut_;
        break;
      case kCompact:
        say("compact");
        store_.compact_now();
        break;
      case kKill:
        say("kill -9");
        agent_.reset();
        if (!restart_planned_) start_agent();
        break;
      case kBreak:
        say("break");
        host_.break_something(rng_);
        break;
      case kMeddle:
        say("meddle");
        host_.meddle(rng_);
        meddled_ = true;
        protected_ = false;
        break;
      case kFlap: flap(); break;
      case kUnready:
        if (rng_.one_in(4)) data_.ready(rng_.one_in(2));
        break;
      case kWipe:
        if (rng_.one_in(4)) data_.remove_all();
        break;
      case kFaults: break;
    }
  }

  void flap() {
    constexpr const char* kNames[] = {"tap0", "tap1", "tap2", "eth1"};
    const std::string name = kNames[rng_.index(std::size(kNames))];
    switch (rng_.below(4)) {
      case 0: host_.remove_interface(name); break;
      case 1: host_.add_interface(name); break;
      case 2: host_.set_running(name, false); break;
      default: host_.set_running(name, true); break;
    }
    say("flap " + name);
  }

  void heal_and_converge() {
    say("heal");
    if (cut_) store_.reconnect();
    host_.heal();
    data_.repair();  // the running agent may know a last good value, a fresh one cannot
    data_.sacred();
    loop_.advance(kConvergeWithin);
    supervise();
    loop_.advance(std::chrono::seconds(30));
    if (agent_ == nullptr || !agent_->settled()) return fail("not settled after the world was healed");
    meddled_ = false;
    probe();
    say("settled; a fresh agent");

    Host fresh(loop_, true);
    fresh.copy_interfaces(host_);
    LifeLoop fresh_loop(loop_);
    {
      AgentLife other(fresh_loop, store_, fresh, log_);
      // Hidden: the first agent goes on, with nothing to do.
      loop_.advance(std::chrono::seconds(30));
      if (!other.settled()) return fail("a fresh agent does not settle");
      if (host_.state() != fresh.state())
        return fail("the kernel differs from a fresh one:\n" + difference(host_.state(), fresh.state()));
      if (const std::string behind = host_.sysctls_behind(fresh); !behind.empty()) return fail("sysctls:\n" + behind);
      if (agent_->statuses() != other.statuses()) {
        return fail("statuses differ from a fresh agent's:\n" + difference(agent_->statuses(), other.statuses()));
      }
    }
    const std::uint64_t before = host_.writes();
    agent_.reset();
    start_agent();
    loop_.advance(std::chrono::seconds(30));
    if (!agent_->settled()) return fail("the last restart does not settle");
    if (host_.writes() != before)
      return fail(fmt::format("a restart with nothing changed wrote {} times", host_.writes() - before));
  }

  testing::Rng rng_;
  const bool print_;
  Lines log_;
  testing::SimLoop loop_;
  Host host_;
  store::MemoryStore store_;
  RandomStore data_;
  bool enabled_[kFaults] = {};
  std::vector<std::unique_ptr<LifeLoop>> loops_;
  std::unique_ptr<AgentLife> agent_;
  bool restart_planned_ = false;
  bool cut_ = false;
  bool meddled_ = false;
  bool protected_ = false;
  std::uint64_t writes_at_start_ = 0;
  std::uint64_t writes_probed_ = 0;
  std::string problem_;
};

int run(int argc, char** argv) {
  std::uint64_t first = 1, count = 100;
  bool print = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.starts_with("--seeds=")) count = std::stoull(argument.substr(8));
    if (argument.starts_with("--first=")) first = std::stoull(argument.substr(8));
    if (argument.starts_with("--seed=")) {
      first = std::stoull(argument.substr(7));
      count = 1;
    }
    if (argument == "--print") print = true;
  }
  int failed = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    std::cerr << std::flush;
    const std::string problem = History(seed, print).run();
    if (problem.empty()) continue;
    std::cout << fmt::format("seed {}: {}\n", seed, problem);
    if (++failed == 10) break;
  }
  std::cout << fmt::format("{} histories from seed {}, {} failed\n", count, first, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace sim

int main(int argc, char** argv) { return sim::run(argc, argv); }
