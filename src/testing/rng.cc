#include "testing/rng.h"

#include <cstdio>
#include <cstdlib>
#include <random>

namespace testing {

std::uint64_t pick_seed(std::string_view test) {
  const char* given = std::getenv("PERCALE_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("%.*s: PERCALE_SEED=%llu\n", static_cast<int>(test.size()), test.data(),
              static_cast<unsigned long long>(seed));
  return seed;
}

}  // namespace testing
