#include "os/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>

namespace os {
namespace {

using base::Error;
using base::fail;
using base::Fd;
using base::Result;

Error failed(std::string_view call, const std::string& path) {
  const int number = errno;
  const std::string what = std::string(call) + " " + path;
  if (number == ENOENT) return Error(base::ErrorKind::kNotFound, what + ": no such file or directory", number);
  return Error::system(number, what);
}

Result<> write_all(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t wrote = ::write(fd, content.data(), content.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return fail(failed("write", path));
    content.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return {};
}

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<> sync_directory(const std::string& path) {
  const Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return fail(failed("open", path));
  // Some file systems cannot sync a directory; the rename itself has succeeded.
  if (::fsync(directory.get()) < 0 && errno != EINVAL && errno != EROFS) return fail(failed("sync", path));
  return {};
}

Result<> fill_and_rename(const Fd& fd, const std::string& temporary, const std::string& path, std::string_view content,
                         mode_t mode) {
  if (auto written = write_all(fd.get(), content, temporary); !written) return written;
  if (::fchmod(fd.get(), mode) < 0) return fail(failed("chmod", temporary));
  if (::fsync(fd.get()) < 0) return fail(failed("sync", temporary));
  if (::rename(temporary.c_str(), path.c_str()) < 0) return fail(failed("rename to", path));
  return sync_directory(directory_of(path));
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail(failed("open", path));
  struct stat status{};
  if (::fstat(fd.get(), &status) < 0) return fail(failed("stat", path));
  constexpr std::size_t kStep = 64u << 10;  // also for /proc, whose files claim to be empty
  std::string content;
  for (;;) {
    const std::size_t had = content.size();
    const std::size_t want = had == 0 && status.st_size > 0 ? static_cast<std::size_t>(status.st_size) + 1 : kStep;
    content.resize(had + std::min(want, limit + 1));
    const ssize_t got = ::read(fd.get(), content.data() + had, content.size() - had);
    if (got < 0 && errno == EINTR) {
      content.resize(had);
      continue;
    }
    if (got < 0) return fail(failed("read", path));
    content.resize(had + static_cast<std::size_t>(got));
    if (content.size() > limit) {
      return fail(Error(base::ErrorKind::kInvalid, path + " is larger than " + std::to_string(limit) + " bytes"));
    }
    if (got == 0) return content;
  }
}

Result<> write_file_atomic(const std::string& path, std::string_view content, mode_t mode) {
  std::string temporary = path + ".XXXXXX";
  const Fd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return fail(failed("create a temporary file beside", path));
  auto done = fill_and_rename(fd, temporary, path, content, mode);
  if (!done) ::unlink(temporary.c_str());
  return done;
}

Result<> write_in_place(const std::string& path, std::string_view content) {
  const Fd fd(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
  if (!fd) return fail(failed("open", path));
  return write_all(fd.get(), content, path);
}

Result<> make_directories(const std::string& path, mode_t mode) {
  for (std::size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (::mkdir(part.c_str(), mode) < 0 && errno != EEXIST) return fail(failed("create directory", part));
    if (slash == std::string::npos) break;
  }
  struct stat status{};
  if (::stat(path.c_str(), &status) < 0) return fail(failed("stat", path));
  if (!S_ISDIR(status.st_mode)) return fail(Error::system(ENOTDIR, "create directory " + path));
  return {};
}

Result<> remove_file(const std::string& path) {
  if (::unlink(path.c_str()) < 0 && errno != ENOENT) return fail(failed("remove", path));
  return {};
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), &::closedir);
  if (!directory) return fail(failed("open directory", path));
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return fail(failed("read directory", path));
  std::sort(names.begin(), names.end());
  return names;
}

bool file_exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

Result<FileLock> FileLock::try_lock(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return fail(failed("open", path));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) < 0) {
    if (errno == EWOULDBLOCK) return fail(Error::unavailable("lock " + path + " is held by another process"));
    return fail(failed("lock", path));
  }
  return FileLock(std::move(fd));
}

}  // namespace os
