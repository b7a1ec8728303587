// ipset.h: the port to the kernel's IP sets. Real: NetlinkIpSets; in memory: FakeIpSets (kernel/ipset_fake.h).
//
// One owner thread. Calls block for as long as the kernel works (about 0.5 µs a member).
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "reconcile/ip_set_planner.h"

namespace kernel {

class IpSetKernel {
 public:
  virtual ~IpSetKernel() = default;

  // Headers of all sets of this network namespace, whoever made them.
  [[nodiscard]] virtual base::Result<std::vector<reconcile::IpSetHeader>> list_headers() = 0;
  // kNotFound when there is no such set.
  [[nodiscard]] virtual base::Result<reconcile::IpSetContents> list(std::string_view name) = 0;
  // Carries out the edits in order, each tried whatever became of those before it; one outcome for each. A refused
  // member does not stop the members after it. An error means that the conversation broke and nothing is known.
  [[nodiscard]] virtual base::Result<std::vector<reconcile::IpSetOutcome>> apply(
      std::span<const reconcile::IpSetEdit> edits) = 0;
};

}  // namespace kernel
