// The story of a tunnel: guests' packets cross the fabric inside IP-in-IP or VXLAN, sizes are told, strangers are
// refused, and the pool's mode changes while traffic flows. The hosts' uplinks are watched all the time: each run of
// the matrix fails if a packet travelled otherwise than the mode asks for.
#include <algorithm>
#include <optional>

#include <fmt/core.h>

#include "lab/demo/demo.h"
#include "lab/demo/stage.h"
#include "lab/ready.h"
#include "lab/tunnel.h"

namespace lab {
namespace {

using base::Error;
using base::fail;
using base::Result;
using namespace std::chrono_literals;

constexpr int kMatrixOfSix = 240;  // 6 guests, 5 others, 4 services, 2 families
constexpr std::uint16_t kUdpPort = 9000;
constexpr std::uint16_t kTcpPort = 5432;
constexpr int kPacketsPerSecond = 1000;
// On their way at any moment, at that rate: a round trip takes well under a millisecond on an idle machine.
constexpr std::uint64_t kInFlight = 5;
constexpr int kOvertakenTries = 20;

class TunnelDemo {
 public:
  TunnelDemo(Lab& lab, Encapsulation how) : lab_(lab), stage_(lab), how_(how) {}

  bool run() {
    const bool ipip = how_ == Encapsulation::kIpip;
    const PoolMode always = ipip ? PoolMode::kIpip : PoolMode::kVxlan;
    const PoolMode cross = ipip ? PoolMode::kIpipCrossSubnet : PoolMode::kVxlanCrossSubnet;
    stage_.step("1", "Hosts find each other over BGP", [&] { return ready(); });
    stage_.step("2", "Mode Always: guests talk through the tunnel",
                [&] { return stage_.agree("everybody reaches everybody, all in the tunnel", kMatrixOfSix, 15s); });
    check();
    stage_.step("4", "Traffic starts", [&] { return start_traffic(); });
    stage_.step("5", "Always -> CrossSubnet under traffic", [&] { return change(cross); });
    stage_.step("6", "CrossSubnet -> Never under traffic", [&] { return change(PoolMode::kDirect); });
    stage_.step("7", "Never -> Always under traffic", [&] { return change(always); });
    stage_.step("8", "Traffic ends", [&] { return stop_traffic(); });
    fmt::print("{}", stage_.table());
    return stage_.all_good();
  }

 private:
  const Guest& guest(std::string_view name) const { return *lab_.plan().guest(name); }

  Result<Outcome> ready() {
    const Stopwatch watch;
    const std::string problem = wait_until(40s * lab_.patience(), [&] { return not_ready(lab_); });
    return Outcome{"sessions Established, every guest's route at every host",
                   problem.empty() ? std::string("so it is") : problem, problem.empty(), watch.ms()};
  }

  // One row for each finding.
  void check() {
    const Stopwatch watch;
    auto findings = check_tunnel(lab_);
    if (!findings) {
      stage_.step("3", "Sizes and strangers", [&]() -> Result<Outcome> { return fail(std::move(findings).error()); });
      return;
    }
    char letter = 'a';
    for (const Finding& finding : *findings) {
      stage_.step(fmt::format("3{}", letter++), finding.what,
                  [&]() -> Result<Outcome> { return Outcome{finding.what, finding.seen, finding.good, watch.ms()}; });
    }
  }

  int rate() const { return kPacketsPerSecond / lab_.patience(); }

  Result<Outcome> start_traffic() {
    auto web1 = lab_.prober("web1");
    if (!web1) return fail(std::move(web1).error());
    auto started = web1->start_flow("near", "udp", guest("web2").v4.address, kUdpPort, rate());
    if (started) started = web1->start_flow("far", "udp", guest("web3").v4.address, kUdpPort, rate());
    if (started) started = web1->start_flow("stream", "tcp", guest("cache1").v4.address, kTcpPort, rate());
    if (!started) return fail(std::move(started).error());
    pause_for(500ms * lab_.patience());
    auto flows = web1->flows();
    if (!flows) return fail(std::move(flows).error());
    const auto echoed = std::min({flows->at("near").echoed, flows->at("far").echoed, flows->at("stream").echoed});
    return Outcome{fmt::format("{} messages a second on three flows", rate()),
                   fmt::format("web1 -> web2 and web3 (UDP), cache1 (TCP); at least {} answered", echoed), echoed > 50,
                   0};
  }

  struct Lost {
    std::uint64_t near = 0;
    std::uint64_t far = 0;
    friend bool operator==(const Lost&, const Lost&) = default;
  };
  // A packet that a later one has overtaken, on another way, looks lost until it comes: asked until nothing changes.
  Result<Lost> lost() {
    auto web1 = lab_.prober("web1");
    if (!web1) return fail(std::move(web1).error());
    std::optional<Lost> before;
    for (int tries = 0; tries < kOvertakenTries; ++tries) {
      auto flows = web1->flows();
      if (!flows) return fail(std::move(flows).error());
      const Lost now{flows->at("near").lost, flows->at("far").lost};
      if (before == now) break;
      before = now;
      pause_for(100ms * lab_.patience());
    }
    return *before;
  }

  Result<Outcome> change(PoolMode mode) {
    auto before = lost();
    if (!before) return fail(std::move(before).error());
    if (auto changed = lab_.set_pool_mode(mode); !changed) return fail(std::move(changed).error());
    auto outcome = stage_.agree(std::string(to_string(mode)), kMatrixOfSix, 15s);
    if (!outcome) return outcome;
    auto after = lost();
    if (!after) return fail(std::move(after).error());
    const std::uint64_t near = after->near - std::min(after->near, before->near);
    const std::uint64_t far = after->far - std::min(after->far, before->far);
    outcome->expected += fmt::format(" as they should, at most {} lost of each UDP flow", kInFlight);
    outcome->seen += fmt::format("; {} packets lost to the neighbour, {} to the host behind the router", near, far);
    outcome->good = outcome->good && near <= kInFlight && far <= kInFlight;
    return outcome;
  }

  Result<Outcome> stop_traffic() {
    auto web1 = lab_.prober("web1");
    if (!web1) return fail(std::move(web1).error());
    for (const char* id : {"near", "far", "stream"}) (void)web1->quiet_flow(id);
    pause_for(500ms * lab_.patience());
    auto flows = web1->flows();
    if (!flows) return fail(std::move(flows).error());
    for (const char* id : {"near", "far", "stream"}) (void)web1->stop_flow(id);
    const FlowReport& near = flows->at("near");
    const FlowReport& far = flows->at("far");
    const FlowReport& stream = flows->at("stream");
    const auto gone = near.sent - near.echoed + far.sent - far.echoed;
    return Outcome{fmt::format("at most {} lost in three changes, the TCP stream lives", 6 * kInFlight),
                   fmt::format("{} of {} lost; TCP: {}, {} answered, {} retransmitted", gone, near.sent + far.sent,
                               stream.state, stream.echoed, stream.retransmitted),
                   gone <= 6 * kInFlight && stream.state == "running" && stream.echoed > 100,
                   static_cast<int>(std::max(near.longest_gap_us, far.longest_gap_us) / 1000)};
  }

  Lab& lab_;
  Stage stage_;
  Encapsulation how_;
};

}  // namespace

int run_tunnel_demo(const DemoOptions& options, Encapsulation how) {
  const PoolMode mode = how == Encapsulation::kIpip ? PoolMode::kIpip : PoolMode::kVxlan;
  return play(options, {.pool = mode},
              fmt::format("{}: three hosts in two subnets, a router, etcd and six guests; the uplinks are watched.",
                          to_string(how)),
              [&](Lab& lab) { return TunnelDemo(lab, how).run(); });
}

}  // namespace lab
