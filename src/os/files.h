// files.h: the few file operations the shell needs, as Results. Paths are given as text and opened close-on-exec.
#pragma once

#include <sys/types.h>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace os {

// Larger files are an error rather than a surprise in memory.
constexpr std::size_t kDefaultReadLimit = 64u << 20;

// kNotFound when there is no such file, so that callers can tell it from one that cannot be read. Works for /proc and
// /sys.
base::Result<std::string> read_file(const std::string& path, std::size_t limit = kDefaultReadLimit);

// Readers see the old content or the new, never a mixture, also after a power cut: a temporary file in the same
// directory is written, synced and renamed over `path`, then the directory is synced.
base::Result<> write_file_atomic(const std::string& path, std::string_view content, mode_t mode = 0644);

// Writes into an existing file in place (sysctls and other files of /proc and /sys, where renaming is impossible).
base::Result<> write_in_place(const std::string& path, std::string_view content);

// Like mkdir -p: directories that exist are fine; new ones get `mode`.
base::Result<> make_directories(const std::string& path, mode_t mode = 0755);

// A missing file counts as removed.
base::Result<> remove_file(const std::string& path);

// Names, sorted, without "." and "..". kNotFound when the directory is missing.
base::Result<std::vector<std::string>> list_directory(const std::string& path);

bool file_exists(const std::string& path);

// An advisory lock (flock) on a file, created when missing and left in place. Released when the object or the process
// ends.
class FileLock {
 public:
  // kUnavailable when somebody else holds it; never waits.
  static base::Result<FileLock> try_lock(const std::string& path);

 private:
  explicit FileLock(base::Fd fd) : fd_(std::move(fd)) {}
  base::Fd fd_;
};

}  // namespace os
