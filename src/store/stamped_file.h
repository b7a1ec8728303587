// stamped_file.h: files whose modification time is the revision of what they hold, in nanoseconds since 1970.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "store/store.h"

namespace store {

// Tells one version of a file from another.
struct FileStamp {
  Revision modified = 0;  // nanoseconds
  std::uint64_t inode = 0;
  std::int64_t size = 0;

  bool operator==(const FileStamp&) const = default;
};

// Nothing if there is no such regular file.
std::optional<FileStamp> stamp_of(const std::string& path);

// Replaces the file at once and for good (temporary file, sync, rename, sync of the directory), dated `modified`. The
// directory must exist. The temporary name begins with a dot.
base::Result<> write_stamped(const std::string& path, std::string_view content, Revision modified);

// Waits for the exclusive lock on a file, which is created if missing. Locks are held for the time of a write.
base::Result<base::Fd> lock_file(const std::string& path);

}  // namespace store
