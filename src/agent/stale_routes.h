// stale_routes.h: routes that another BIRD left in the kernel (spec bgp §3.8).
//
// A BIRD 2 looks after routes of its own metric only, which is 32 for ever. After a swap from a BIRD that wrote others
// (Calico's: 1024, 512 or none) its routes would stay: those without a metric win over the right ones, the others
// become wrong fallbacks.
#pragma once

#include <cstddef>

#include "base/result.h"
#include "kernel/route.h"

namespace agent {

constexpr std::uint8_t kProtocolBird = 12;  // rtnetlink's number
constexpr std::uint32_t kBirdMetric = 32;

// How many were removed. Only for a moment when BIRD has written what it knows: sessions up, no recovery.
[[nodiscard]] base::Result<std::size_t> remove_stale_bird_routes(kernel::RouteKernel& kernel);

}  // namespace agent
