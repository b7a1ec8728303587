// options.h: how long the property tests run and from which seed; from the command line, so that a failure is repeated
// by the command it prints.
#pragma once

#include <cstdint>
#include <optional>

namespace property {

struct Options {
  std::uint64_t sequences = 1000;
  std::uint64_t steps = 300;
  std::optional<std::uint64_t> seed;  // run only this one
};

Options& options();

// Remembered for the handler that names the seed when a broken invariant aborts the process.
void begin_sequence(std::uint64_t seed);

// Calls run(seed) for every sequence: 1, 2, 3 … or the one seed asked for. Stops at the first failure.
template <typename Run>
void for_each_seed(Run run) {
  if (options().seed) {
    begin_sequence(*options().seed);
    run(*options().seed);
    return;
  }
  for (std::uint64_t seed = 1; seed <= options().sequences; ++seed) {
    begin_sequence(seed);
    if (!run(seed)) return;
  }
}

}  // namespace property
