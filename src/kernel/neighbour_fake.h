// neighbour_fake.h: permanent neighbour entries in memory. For tests and the simulator.
#pragma once

#include <set>
#include <vector>

#include "kernel/neighbour.h"

namespace kernel {

class FakeNeighbours final : public NeighbourKernel {
 public:
  std::vector<reconcile::NeighbourEntry> entries;
  std::set<reconcile::IfIndex> interfaces_down;
  std::set<base::IpAddress> refused;
  int break_conversations = 0;

  [[nodiscard]] base::Result<std::vector<reconcile::NeighbourEntry>> list(base::Family family) override;
  [[nodiscard]] base::Result<std::vector<NeighbourReply>> apply(
      std::span<const reconcile::NeighbourEdit> edits) override;
};

}  // namespace kernel
