// marks.h: which bits of the packet mark mean what (spec dataplane §3).
#pragma once

#include <cstdint>

#include "base/result.h"

namespace render::iptables {

struct Marks {
  std::uint32_t accept = 0;    // verdict "accepted"; the only bit that travels between tables
  std::uint32_t pass = 0;      // verdict "next tier"
  std::uint32_t drop = 0;      // set by a deny rule just before it drops
  std::uint32_t scratch0 = 0;  // raw: "came from a workload"; rules: "all match blocks so far pass"
  std::uint32_t scratch1 = 0;  // rules: "this match block passed"
  std::uint32_t endpoint = 0;  // the remaining bits

  std::uint32_t all() const { return accept | pass | scratch0 | scratch1; }
};

// Bits are handed out from the lowest set bit of the mask upwards. Fails if there are fewer than six.
[[nodiscard]] base::Result<Marks> allocate_marks(std::uint32_t mask);

}  // namespace render::iptables
