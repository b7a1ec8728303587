// check.h: CHECK(condition) aborts when one of our own invariants is broken, in every build. A start-up resync repairs
// what a crash leaves behind; carrying on with a broken invariant could open traffic.
#pragma once

namespace base {
[[noreturn]] void check_failed(const char* condition, const char* file, int line) noexcept;
}

#define CHECK(condition) \
  (static_cast<bool>(condition) ? static_cast<void>(0) : ::base::check_failed(#condition, __FILE__, __LINE__))
