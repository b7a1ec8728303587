// rng.h: the only source of chance in tests. Small, seedable, the same on every platform (std distributions are not).
#pragma once

#include <cstdint>
#include <string_view>

namespace testing {

// SplitMix64: passes the usual statistical tests and any seed is a good seed.
class Rng {
 public:
  explicit Rng(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  // In [0, bound). REQUIRES bound > 0.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  std::size_t index(std::size_t size) { return static_cast<std::size_t>(below(size)); }
  // In [low, high].
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
  }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  template <typename Container>
  auto& pick(Container& from) {
    return from[index(from.size())];
  }

  // For std::shuffle.
  using result_type = std::uint64_t;
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return ~result_type{0}; }
  result_type operator()() { return next(); }

 private:
  std::uint64_t state_;
};

// PERCALE_SEED if set (decimal), else a new one; printed either way, so that any failure can be repeated.
std::uint64_t pick_seed(std::string_view test);

// How often a random test repeats: `normally`, or 1/PERCALE_FEWER of that, but once at least. Sanitizer builds, which
// are many times slower and look for other faults than wrong results, run with PERCALE_FEWER set.
std::uint32_t repetitions(std::uint32_t normally);

}  // namespace testing
