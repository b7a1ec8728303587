// random.h: chance from the system, for jitter. Handed in where it is used, so that tests can do without.
#pragma once

#include <cstdint>
#include <functional>

namespace os {

std::uint64_t random_seed();
// Numbers in [0, 1), for one thread. Spreads timers; not for secrets.
std::function<double()> make_jitter();

}  // namespace os
