#include "testing/rng.h"

#include <algorithm>
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

std::uint32_t repetitions(std::uint32_t normally) {
  const char* fewer = std::getenv("PERCALE_FEWER");
  const std::uint32_t divisor = fewer ? static_cast<std::uint32_t>(std::strtoul(fewer, nullptr, 10)) : 1;
  return std::max(1u, normally / std::max(1u, divisor));
}

}  // namespace testing
