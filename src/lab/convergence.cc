#include "lab/convergence.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <functional>
#include <optional>
#include <utility>

#include <fmt/core.h>

#include "lab/ready.h"
#include "lab/route_watch.h"

namespace lab {
namespace {

using base::Error;
using base::fail;
using base::IpAddress;
using base::Result;
using namespace std::chrono_literals;

constexpr int kPacketsPerSecond = 1000;
constexpr std::uint16_t kPort = 9000;
constexpr auto kBirdAway = 3s;
constexpr auto kHoldTimeLimit = 400s;  // 240 s of hold time and 120 s of restart time
constexpr std::int64_t kSecond = 1'000'000;

std::int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void report(const std::string& what, const std::string& seen) {
  fmt::print("{:<64} {}\n", what, seen);
  std::fflush(stdout);
}

std::string milliseconds(std::int64_t us) { return fmt::format("{:.1f} ms", static_cast<double>(us) / 1000); }

std::string percentiles(std::vector<std::int64_t> values) {
  std::ranges::sort(values);
  const auto at = [&](std::size_t percent) { return values[(values.size() * percent + 99) / 100 - 1]; };
  return fmt::format("p50 {}, p99 {} of {}", milliseconds(at(50)), milliseconds(at(99)), values.size());
}

class Convergence {
 public:
  Convergence(Lab& lab, const ConvergenceOptions& options) : lab_(lab), options_(options) {}

  Result<bool> guests_and_bird() {
    if (auto done = guests_come_and_go(); !done) return fail(std::move(done).error());
    return bird_dies();
  }

  // How long until nobody has a route to the guests of a host that went dark.
  Result<std::optional<std::int64_t>> host_dies(std::chrono::milliseconds limit) {
    const Host& dead = *lab_.plan().host("host-c");
    std::vector<IpAddress> addresses;
    for (const Guest& guest : lab_.plan().guests) {
      if (guest.host != dead.name) continue;
      addresses.push_back(guest.v4.address);
      addresses.push_back(guest.v6);
    }
    auto watch = RouteWatch::start(lab_, {"host-a", "host-b", std::string(kRouterNode)});
    if (!watch) return fail(std::move(watch).error());
    const std::int64_t started = now_us();
    if (auto cut = lab_.cut_from_underlay(dead, true); !cut) return fail(std::move(cut).error());
    const auto gone = watch->all_gone(addresses, limit * lab_.patience());
    if (auto back = lab_.cut_from_underlay(dead, false); !back) return fail(std::move(back).error());
    return gone ? std::optional(*gone - started) : std::nullopt;
  }

 private:
  Result<> guests_come_and_go() {
    const Guest guest = make_guest("come-and-go", "host-c", "web", 65, 99);
    if (auto added = lab_.add_guest(guest); !added) return added;
    std::vector<std::int64_t> came;
    std::vector<std::int64_t> went;
    for (int i = 0; i < options_.guests; ++i) {
      auto here = appears(guest);
      if (!here) return fail(std::move(here).error());
      came.push_back(*here);
      auto away = disappears(guest);
      if (!away) return fail(std::move(away).error());
      went.push_back(*away);
    }
    report("guest appears -> first packet from another host", percentiles(came));
    report("guest removed -> its routes gone on every host and the router", percentiles(went));
    return lab_.remove_guest(guest.name);
  }

  // From the moment its endpoint is written until an answer comes back to a guest elsewhere that never stops asking.
  Result<std::int64_t> appears(const Guest& guest) {
    auto asker = lab_.prober("web1");
    if (!asker) return fail(std::move(asker).error());
    const int rate = kPacketsPerSecond / lab_.patience();
    if (auto asks = asker->start_flow("first", "udp", guest.v4.address, kPort, rate); !asks)
      return fail(std::move(asks).error());
    const std::int64_t written = now_us();
    if (auto put = lab_.put(workload_endpoint(guest, {make_group("default")})); !put)
      return fail(std::move(put).error());
    std::int64_t first = 0;
    const std::string problem = wait_until(10s * lab_.patience(), [&] {
      auto flows = asker->flows();
      first = flows ? flows->at("first").first_echo_us : 0;
      return first == 0 ? fmt::format("nothing reached {}", guest.name) : std::string();
    });
    (void)asker->stop_flow("first");
    if (!problem.empty()) return fail(Error::internal(problem));
    return first - written;
  }

  Result<std::int64_t> disappears(const Guest& guest) {
    // All have it, in both families, before it goes.
    const std::string problem = wait_until(10s * lab_.patience(), [&] { return not_ready(lab_); });
    if (!problem.empty()) return fail(Error::internal(problem));
    auto watch = RouteWatch::start(lab_, {"host-a", "host-b", "host-c", std::string(kRouterNode)});
    if (!watch) return fail(std::move(watch).error());
    const std::int64_t started = now_us();
    if (auto removed = lab_.remove(endpoint_key(guest)); !removed) return fail(std::move(removed).error());
    const std::vector<IpAddress> addresses = {guest.v4.address, guest.v6};
    const auto gone = watch->all_gone(addresses, 10s * lab_.patience());
    if (!gone) return fail(Error::internal(fmt::format("a route to {} stayed", guest.name)));
    return *gone - started;
  }

  Result<bool> bird_dies() {
    const Host& host = *lab_.plan().host("host-c");
    auto web1 = lab_.prober("web1");
    if (!web1) return fail(std::move(web1).error());
    const int rate = kPacketsPerSecond / lab_.patience();
    const Guest& target = *lab_.plan().guest("web3");
    auto started = web1->start_flow("udp", "udp", target.v4.address, kPort, rate);
    if (started) started = web1->start_flow("tcp", "tcp", target.v4.address, 5432, rate);
    if (!started) return fail(std::move(started).error());
    pause_for(500ms);
    if (auto killed = lab_.kill_bird(host); !killed) return fail(std::move(killed).error());
    pause_for(kBirdAway);
    if (auto again = lab_.start_bird(host, true); !again) return fail(std::move(again).error());
    const std::int64_t restarted = now_us();
    const std::string problem = wait_until(60s * lab_.patience(), [&] { return not_ready(lab_); });
    const std::int64_t ready = now_us() - restarted;
    pause_for(1s);
    for (const char* id : {"udp", "tcp"}) (void)web1->quiet_flow(id);
    pause_for(300ms * lab_.patience());
    auto flows = web1->flows();
    if (!flows) return fail(std::move(flows).error());
    for (const char* id : {"udp", "tcp"}) (void)web1->stop_flow(id);
    const FlowReport& udp = flows->at("udp");
    const FlowReport& tcp = flows->at("tcp");
    const auto lost = udp.sent - udp.echoed;
    report(fmt::format("BIRD of a host killed, away for {} s", kBirdAway.count()),
           fmt::format("{} of {} packets lost, TCP {} with {} retransmissions; sessions back {} after its start", lost,
                       udp.sent, tcp.state, tcp.retransmitted, problem.empty() ? milliseconds(ready) : problem));
    return lost == 0 && tcp.state == "running" && tcp.retransmitted == 0 && udp.echoed > 1000 && problem.empty();
  }

  Lab& lab_;
  const ConvergenceOptions& options_;
};

// On a lab of its own; `body` returns whether what it saw is good.
Result<bool> with_lab(const ConvergenceOptions& options, const std::vector<std::string>& environment,
                      const std::function<Result<bool>(Lab&)>& body) {
  const Paths paths{.lab = options.name};
  (void)Lab::destroy(paths);
  LabOptions wanted{.topology = {}, .agent = options.agent, .patience = options.patience};
  wanted.agent.environment.insert(wanted.agent.environment.end(), environment.begin(), environment.end());
  auto lab = Lab::create(paths, wanted);
  if (!lab) return fail(std::move(lab).error());
  const std::string problem = wait_until(60s * options.patience, [&] { return not_ready(**lab); });
  Result<bool> good = problem.empty() ? body(**lab) : Result<bool>(fail(Error::internal(problem)));
  lab->reset();
  (void)Lab::destroy(paths);
  return good;
}

Result<bool> measure(const ConvergenceOptions& options) {
  auto plain = with_lab(options, {}, [&](Lab& lab) { return Convergence(lab, options).guests_and_bird(); });
  if (!plain) return plain;
  auto bfd = with_lab(options, {"FELIX_BIRDBFD=All"}, [&](Lab& lab) -> Result<bool> {
    auto gone = Convergence(lab, options).host_dies(30s);
    if (!gone) return fail(std::move(gone).error());
    report("host dies -> routes to its guests withdrawn, BFD 3 x 300 ms", *gone ? milliseconds(**gone) : "NOT in 30 s");
    return *gone && **gone < kSecond * options.patience;
  });
  if (!bfd || !options.wait_for_hold_time) return bfd ? Result<bool>(*bfd && *plain) : bfd;
  auto hold = with_lab(options, {}, [&](Lab& lab) -> Result<bool> {
    auto gone = Convergence(lab, options).host_dies(kHoldTimeLimit);
    if (!gone) return fail(std::move(gone).error());
    report("host dies -> routes to its guests withdrawn, no BFD (hold time)",
           *gone ? milliseconds(**gone) : fmt::format("NOT in {} s", kHoldTimeLimit.count()));
    return gone->has_value();
  });
  if (!hold) return hold;
  return *plain && *bfd && *hold;
}

}  // namespace

int measure_convergence(const ConvergenceOptions& options) {
  report("hosts host-a, host-b, host-c; a route reflector between them", "");
  auto good = measure(options);
  if (!good) {
    fmt::print(stderr, "percalectl lab convergence: {}\n", good.error().text());
    return 1;
  }
  return *good ? 0 : 1;
}

}  // namespace lab
