// result.h: how expected failures travel.
//
// A function that can fail for a reason outside the program returns Result<T> and is [[nodiscard]]. Broken invariants
// use CHECK (base/check.h) instead. Spelled like std::expected, so that C++23's can take its place one day.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace base {

enum class ErrorKind {
  kInvalid,      // input does not parse or breaks a rule; retrying cannot help
  kNotFound,     // the object named is not there
  kExists,       // the object named is already there
  kConflict,     // somebody else changed it first
  kUnavailable,  // the other side cannot be reached or did not answer in time; retry
  kDenied,       // credentials or permissions are not enough
  kUnsupported,  // this kernel, server or build cannot do it
  kSystem,       // a system call failed; see error_number
  kInternal,     // our own fault
};

std::string_view to_string(ErrorKind kind);

class [[nodiscard]] Error {
 public:
  Error(ErrorKind kind, std::string text, int error_number = 0)
      : kind_(kind), error_number_(error_number), text_(std::move(text)) {}

  // `what` says what is wrong, `input` is the offending text, quoted in the message.
  static Error invalid(std::string_view what, std::string_view input = {});
  static Error not_found(std::string_view what);
  static Error unavailable(std::string_view what);
  static Error unsupported(std::string_view what);
  static Error internal(std::string_view what);
  // A failed system call: `error_number` is errno, `what` names the call and its object.
  static Error system(int error_number, std::string_view what);

  // Adds where it happened, outermost last: Error::invalid("bad length").in("prefix") prints "prefix: bad length".
  Error in(std::string_view context) &&;
  Error in(std::string_view context) const&;

  ErrorKind kind() const { return kind_; }
  int error_number() const { return error_number_; }  // 0 unless kSystem
  const std::string& text() const { return text_; }

 private:
  ErrorKind kind_;
  int error_number_;
  std::string text_;
};

template <typename T = void>
using Result = tl::expected<T, Error>;

// For returning an Error from a function whose type is Result<T>: `return fail(Error::invalid(...))`.
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

}  // namespace base
