// Flags beside gtest's: --sequences=N --steps=N --seed=N.
#include <charconv>
#include <csignal>
#include <cstdio>
#include <string_view>

#include <gtest/gtest.h>

#include "options.h"

namespace property {

Options& options() {
  static Options value;
  return value;
}

namespace {

std::uint64_t current_seed = 0;

// Nothing else can be trusted any more, and stdio is safe enough for a last word.
void name_seed(int signal_number) {
  std::fprintf(stderr, "stopped by signal %d; repeat with --seed=%llu --steps=%llu\n", signal_number,
               static_cast<unsigned long long>(current_seed), static_cast<unsigned long long>(options().steps));
  std::signal(signal_number, SIG_DFL);
  std::raise(signal_number);
}

bool take_number(std::string_view argument, std::string_view flag, auto& out) {
  if (!argument.starts_with(flag)) return false;
  argument.remove_prefix(flag.size());
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(argument.data(), argument.data() + argument.size(), number);
  if (error != std::errc() || end != argument.data() + argument.size()) return false;
  out = number;
  return true;
}

bool parse(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (take_number(argument, "--sequences=", options().sequences)) continue;
    if (take_number(argument, "--steps=", options().steps)) continue;
    if (take_number(argument, "--seed=", options().seed)) continue;
    std::fprintf(stderr, "unknown argument %s; known: --sequences=N --steps=N --seed=N and gtest's\n", argv[i]);
    return false;
  }
  return true;
}

}  // namespace

void begin_sequence(std::uint64_t seed) { current_seed = seed; }

}  // namespace property

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!property::parse(argc, argv)) return 2;
  std::signal(SIGABRT, property::name_seed);
  std::signal(SIGSEGV, property::name_seed);
  return RUN_ALL_TESTS();
}
