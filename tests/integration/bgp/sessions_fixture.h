// sessions_fixture.h: for tests: host "a" (AS 64512) with resources and neighbours.
#pragma once

#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "model/decoder.h"
#include "runner_fixture.h"

namespace bgp {

class SessionsTest : public RunnerTest {
 protected:
  void SetUp() override {
    RunnerTest::SetUp();
    if (IsSkipped()) return;
    settings_.include_file = directory_.file("local.conf");
    settings_.recovery_wait = 20s;
    put("nodes/a", R"({"spec":{"bgp":{"ipv4Address":"192.0.2.11/24"}}})");
  }

  void start() {
    make_runner();
    for (const model::Update& update : updates_) runner_->apply(update);
    runner_->in_sync();
  }

  void put(const std::string& path, const std::string& value) {
    model::Decoder::Output out;
    const std::string key = path.starts_with("/") ? path : "/calico/resources/v3/projectcalico.org/" + path;
    decoder_.put(key, value, out);
    EXPECT_TRUE(out.diagnostics.empty());
    for (model::Update& update : out.updates) {
      if (runner_) runner_->apply(update);
      updates_.push_back(std::move(update));
    }
  }
  void put_peer(const std::string& name, const std::string& spec) {
    put("bgppeers/" + name, R"({"spec":{"asNumber":65001,)" + spec + "}}");
  }

  // 192.0.2.<number>. Neighbours made so are on one subnet for each other, too, through this host.
  Neighbour& add_neighbour(const std::string& name, int number) {
    Neighbour& neighbour = *neighbours_.emplace_back(std::make_unique<Neighbour>(directory_, name));
    const std::string address = fmt::format("192.0.2.{}", number);
    neighbour.connect("v" + name, "192.0.2.11/32", address + "/24");
    run("ip route add " + address + "/32 dev v" + name + " src 192.0.2.11");
    return neighbour;
  }

  bool established(const std::string& name) const {
    for (const ProtocolRow& row : runner_->status().sessions) {
      if (row.name == name) return row.established();
    }
    return false;
  }
  static std::string routes() { return run("ip -4 route show"); }
  static bool has_route(const std::string& start) { return ("\n" + routes()).find("\n" + start) != std::string::npos; }

  // Since when the neighbour's session with us stands, in seconds of the day; -1 if it does not.
  static double since_of(const Neighbour& neighbour) {
    const std::string reply = neighbour.birdc("show protocols a");
    const auto at = reply.find("\na  ");
    int hours = 0;
    int minutes = 0;
    double seconds = 0;
    const bool stands = at != std::string::npos && reply.find("Established", at) != std::string::npos &&
                        std::sscanf(reply.c_str() + at + 1, "a BGP --- up %d:%d:%lf", &hours, &minutes, &seconds) == 3;
    EXPECT_TRUE(stands) << reply;
    return stands ? hours * 3600 + minutes * 60 + seconds : -1;
  }
  // BIRD computes the time of day anew each time it prints one, and is a millisecond off now and then.
  static bool is_session_since(const Neighbour& neighbour, double since) {
    return std::abs(since_of(neighbour) - since) < 0.1;
  }

  base::Interner interner_;
  model::Decoder decoder_{{.hostname = "a"}, interner_};
  std::vector<model::Update> updates_;
  std::vector<std::unique_ptr<Neighbour>> neighbours_;
};

// A peer of AS 65001 that "a" has as a BGPPeer.
inline NeighbourConfig router(const std::string& id, const std::string& networks, const std::string& more = "") {
  return {.router_id = id,
          .protocols = fmt::format("protocol bgp a from host {{ local {} as 65001; neighbor 192.0.2.11 as 64512; "
                                   "multihop; {} }}",
                                   id, more),
          .networks = networks};
}

}  // namespace bgp
