#include "base/result.h"

#include <cstring>

namespace base {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalid: return "invalid";
    case ErrorKind::kNotFound: return "not found";
    case ErrorKind::kExists: return "already exists";
    case ErrorKind::kConflict: return "conflict";
    case ErrorKind::kUnavailable: return "unavailable";
    case ErrorKind::kDenied: return "denied";
    case ErrorKind::kUnsupported: return "unsupported";
    case ErrorKind::kSystem: return "system error";
    case ErrorKind::kInternal: return "internal error";
  }
  return "unknown";
}

Error Error::invalid(std::string_view what, std::string_view input) {
  std::string text(what);
  if (!input.empty()) text.append(": '").append(input).append("'");
  return Error(ErrorKind::kInvalid, std::move(text));
}

Error Error::not_found(std::string_view what) { return Error(ErrorKind::kNotFound, std::string(what)); }
Error Error::unavailable(std::string_view what) { return Error(ErrorKind::kUnavailable, std::string(what)); }
Error Error::unsupported(std::string_view what) { return Error(ErrorKind::kUnsupported, std::string(what)); }
Error Error::internal(std::string_view what) { return Error(ErrorKind::kInternal, std::string(what)); }

Error Error::system(int error_number, std::string_view what) {
  std::string text(what);
  text.append(": ").append(std::strerror(error_number));
  return Error(ErrorKind::kSystem, std::move(text), error_number);
}

Error Error::in(std::string_view context) && {
  text_.insert(0, ": ").insert(0, context);
  return std::move(*this);
}

Error Error::in(std::string_view context) const& {
  Error copy = *this;
  return std::move(copy).in(context);
}

}  // namespace base
