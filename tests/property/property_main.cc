// Flags beside gtest's: --sequences=N --steps=N --seed=N.
#include <charconv>
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
}  // namespace property

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!property::parse(argc, argv)) return 2;
  return RUN_ALL_TESTS();
}
