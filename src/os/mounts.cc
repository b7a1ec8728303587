#include "os/mounts.h"

#include <sys/mount.h>
#include <cerrno>
#include <string>

#include "base/strings.h"
#include "os/files.h"

namespace os {

base::Result<> make_mounts_private() {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) return {};
  if (errno != EINVAL) return base::fail(base::Error::system(errno, "making mounts private"));
  const auto table = read_file("/proc/self/mountinfo");
  if (!table) return base::fail(base::Error(table.error()).in("mounts of this chroot; is /proc mounted in it?"));
  for (std::string_view line : base::split(*table, '\n')) {
    // proc(5): the fifth field is the mount point, its spaces written as \040.
    const auto fields = base::split(line, ' ');
    if (fields.size() < 5) continue;
    const std::string point = base::replace_all(fields[4], "\\040", " ");
    // One that another mount hides cannot be named, and need not be.
    (void)::mount(nullptr, point.c_str(), nullptr, MS_PRIVATE, nullptr);
  }
  return {};
}

}  // namespace os
