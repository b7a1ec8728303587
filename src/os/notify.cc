#include "os/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "base/fd.h"

namespace os {

base::Result<> notify(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || *path == '\0') return {};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  if ((path[0] != '/' && path[0] != '@') || length >= sizeof address.sun_path) {
    return base::fail(base::Error::invalid("NOTIFY_SOCKET is not the path of a socket", path));
  }
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';  // abstract name: the length counts, not a terminator

  const base::Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return base::fail(base::Error::system(errno, "socket for NOTIFY_SOCKET"));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  if (::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
               size) < 0) {
    return base::fail(base::Error::system(errno, "send to NOTIFY_SOCKET"));
  }
  return {};
}

std::optional<base::Duration> watchdog_period() {
  const auto number = [](const char* name) -> std::optional<long long> {
    const char* text = std::getenv(name);
    long long value = 0;
    if (text == nullptr || std::from_chars(text, text + std::strlen(text), value).ec != std::errc() || value <= 0) {
      return std::nullopt;
    }
    return value;
  };
  const auto period = number("WATCHDOG_USEC");
  const auto pid = number("WATCHDOG_PID");
  if (!period || (pid && *pid != ::getpid())) return std::nullopt;
  return std::chrono::microseconds(*period);
}

}  // namespace os
