#include "base/fd.h"

#include <unistd.h>
#include <cerrno>

namespace base {

void Fd::reset(int fd) noexcept {
  if (fd_ >= 0) {
    const int saved = errno;
    ::close(fd_);
    errno = saved;
  }
  fd_ = fd;
}

}  // namespace base
