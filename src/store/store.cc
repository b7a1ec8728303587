#include "store/store.h"

#include <fmt/core.h>

#include "base/check.h"

namespace store {
namespace {
constexpr std::string_view kCompactedText = "revision has been compacted";
}

std::string prefix_end(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty()) {
    const auto last = static_cast<unsigned char>(end.back());
    if (last != 0xff) {
      end.back() = static_cast<char>(last + 1);
      return end;
    }
    end.pop_back();
  }
  return std::string(1, '\0');  // etcd's sign for "to the end of all keys"
}

bool is_compacted(const base::Error& error) {
  return error.kind() == base::ErrorKind::kInvalid && error.text().find(kCompactedText) != std::string::npos;
}

base::Error compacted_error(Revision asked) {
  return base::Error(base::ErrorKind::kInvalid, fmt::format("{}: {}", kCompactedText, asked));
}

base::Error refusal(const WriteReply& reply, std::string_view key) {
  switch (reply.status) {
    case WriteStatus::kExists: return base::Error(base::ErrorKind::kExists, fmt::format("{} already exists", key));
    case WriteStatus::kConflict:
      return base::Error(base::ErrorKind::kConflict, fmt::format("{} was changed by somebody else", key));
    case WriteStatus::kNotFound: return base::Error(base::ErrorKind::kNotFound, fmt::format("{} does not exist", key));
    case WriteStatus::kDone: break;
  }
  CHECK(reply.status != WriteStatus::kDone);
  return base::Error::internal("a write that was done is not a refusal");
}

base::Error condition_failed() { return base::Error(base::ErrorKind::kConflict, "somebody else wrote first"); }

}  // namespace store
