#include "store/stamped_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace store {
namespace {

constexpr std::int64_t kNanoseconds = 1'000'000'000;

base::Error failed(const std::string& what) { return base::Error::system(errno, what); }

base::Result<> fill(int fd, std::string_view content, Revision modified, const std::string& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return base::fail(failed("write " + path));
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  timespec time{};
  time.tv_sec = modified / kNanoseconds;
  time.tv_nsec = modified % kNanoseconds;
  const timespec times[2] = {time, time};
  if (::futimens(fd, times) != 0) return base::fail(failed("set the time of " + path));
  if (::fchmod(fd, 0644) != 0 || ::fsync(fd) != 0) return base::fail(failed("sync " + path));
  return {};
}

}  // namespace

std::optional<FileStamp> stamp_of(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return FileStamp{.modified = status.st_mtim.tv_sec * kNanoseconds + status.st_mtim.tv_nsec,
                   .inode = status.st_ino,
                   .size = status.st_size};
}

base::Result<> write_stamped(const std::string& path, std::string_view content, Revision modified) {
  const std::string directory = path.substr(0, path.rfind('/'));
  std::string temporary = directory + "/.percale-XXXXXX";
  const base::Fd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return base::fail(failed("create a file in " + directory));
  auto done = fill(fd.get(), content, modified, path);
  if (done && ::rename(temporary.c_str(), path.c_str()) != 0) done = base::fail(failed("rename to " + path));
  if (!done) {
    ::unlink(temporary.c_str());
    return done;
  }
  const base::Fd parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent || ::fsync(parent.get()) != 0) return base::fail(failed("sync " + directory));
  return {};
}

base::Result<base::Fd> lock_file(const std::string& path) {
  base::Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) return base::fail(failed("open " + path));
  while (::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return base::fail(failed("lock " + path));
  }
  return fd;
}

}  // namespace store
