// Two readings of policy that share nothing must agree about every packet: the evaluator on the calculated state (sets,
// tiers, rules as programmed), and the direct reading of the objects (selectors against the labels of whoever owns the
// addresses).
#include <array>
#include <string>

#include <gtest/gtest.h>

#include "calc/calculator.h"
#include "calc/direct_reading.h"
#include "calc/evaluator.h"
#include "calc/print.h"
#include "options.h"
#include "random_world.h"

namespace property {
namespace {

using calc::Direction;
using calc::PolicyList;

calc::Packet random_packet(testing::Rng& rng, RandomWorld& world) {
  calc::Packet packet;
  packet.source = world.address();
  do packet.destination = world.address();
  while (packet.destination.family() != packet.source.family());
  const std::uint8_t icmp = packet.source.is_v4() ? 1 : 58;
  const std::uint8_t protocols[] = {6, 6, 17, 132, icmp, 50};
  packet.protocol = protocols[rng.index(std::size(protocols))];
  packet.source_port = static_cast<std::uint16_t>(79 + rng.below(4));
  packet.destination_port = static_cast<std::uint16_t>(79 + rng.below(4));
  packet.icmp_type = rng.one_in(2) ? 8 : 0;
  packet.icmp_code = rng.one_in(2) ? 0 : 1;
  return packet;
}

// How often each reason decided: agreement proves nothing about a reason that never occurs.
using Tally = std::array<std::uint64_t, static_cast<std::size_t>(calc::Verdict::Reason::kEndOfList) + 1>;

class Comparison {
 public:
  Comparison(std::uint64_t seed, Tally& tally) : rng_(seed), world_(rng_, interner_), tally_(tally) {}

  bool go() {
    calculator_.in_sync();
    for (std::uint64_t step = 0; step < options().steps; ++step) {
      calculator_.update(world_.next());
      if (!rng_.one_in(10)) continue;
      if (const auto output = calculator_.flush()) calc::apply(state_, *output);
      for (int i = 0; i < 10; ++i) {
        if (!compare(random_packet(rng_, world_))) return false;
      }
    }
    return true;
  }

 private:
  bool compare(const calc::Packet& packet) {
    for (const Direction direction : {Direction::kIngress, Direction::kEgress}) {
      for (const auto& [key, endpoint] : state_.workloads) {
        if (!agree(calc::evaluate(state_, *endpoint, direction, packet),
                   calc::read_directly(world_.world(), key, direction, packet), direction, packet)) {
          return false;
        }
      }
      for (const auto& [key, endpoint] : state_.host_endpoints) {
        for (const PolicyList list :
             {PolicyList::kNormal, PolicyList::kForward, PolicyList::kUntracked, PolicyList::kPreDnat}) {
          if (!agree(calc::evaluate(state_, *endpoint, list, direction, packet),
                     calc::read_directly(world_.world(), key, list, direction, packet), direction, packet)) {
            return false;
          }
        }
      }
    }
    return true;
  }

  bool agree(const calc::Verdict& evaluated, const std::optional<calc::Verdict>& read, Direction direction,
             const calc::Packet& packet) {
    if (read && evaluated == *read) {
      ++tally_[static_cast<std::size_t>(evaluated.reason)];
      return true;
    }
    ADD_FAILURE() << calc::to_string(packet) << "\nevaluated: " << calc::to_string(evaluated, direction)
                  << "\nread:      " << (read ? calc::to_string(*read, direction) : "no such endpoint") << "\n"
                  << (read ? calc::deciding_rule(world_.world(), *read, direction) : "") << "\n"
                  << calc::to_text(state_);
    return false;
  }

  testing::Rng rng_;
  base::Interner interner_;
  RandomWorld world_;
  calc::Calculator calculator_{std::string(kHostname)};
  calc::State state_;
  Tally& tally_;
};

TEST(EvaluatorTwin, ProgrammedStateMeansWhatTheObjectsSay) {
  Tally tally{};
  for_each_seed([&](std::uint64_t seed) {
    const bool good = Comparison(seed, tally).go();
    if (!good) {
      ADD_FAILURE() << "repeat with: evaluator_twin_test --seed=" << seed << " --steps=" << options().steps;
    }
    return good;
  });
  if (options().seed || HasFailure()) return;
  for (std::size_t reason = 0; reason < tally.size(); ++reason) {
    EXPECT_GT(tally[reason], options().sequences) << "reason " << reason << " hardly ever decided";
    RecordProperty("reason_" + std::to_string(reason), std::to_string(tally[reason]));
  }
}

}  // namespace
}  // namespace property
