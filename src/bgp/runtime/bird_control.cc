#include "bgp/runtime/bird_control.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/core.h>

#include "base/check.h"

namespace bgp {

using base::Error;
using base::fail;
using base::Result;

BirdControl::BirdControl(base::Loop& loop, std::string socket_path)
    : loop_(loop), socket_path_(std::move(socket_path)) {}

BirdControl::~BirdControl() {
  loop_.cancel(wake_);
  disconnect();
}

void BirdControl::command(std::string line, Done done) {
  CHECK(line.find('\n') == line.npos);
  queue_.push_back({std::move(line), std::move(done)});
  wake();
}

void BirdControl::wake() {
  if (std::exchange(waking_, true)) return;
  wake_ = loop_.after(base::Duration::zero(), [this] {
    waking_ = false;
    work();
  });
}

// Sends the command at the front, or closes the connection when there is none.
void BirdControl::work() {
  if (busy_) return;
  if (queue_.empty()) return disconnect();
  if (!fd_) {
    if (auto connected = connect(); !connected) return give_up(std::move(connected).error());
  }
  if (!greeted_) return;  // readable() comes back here
  if (auto sent = send(queue_.front().line); !sent) return give_up(std::move(sent).error());
  busy_ = true;
}

Result<> BirdControl::connect() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path_.size() >= sizeof(address.sun_path))
    return fail(Error::invalid("socket path is too long", socket_path_));
  std::memcpy(address.sun_path, socket_path_.data(), socket_path_.size());
  base::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(Error::system(errno, "socket"));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return fail(Error::unavailable(fmt::format("BIRD does not listen on {}: {}", socket_path_, std::strerror(errno))));
  }
  fd_ = std::move(fd);
  reader_ = {};
  greeted_ = false;
  watch_ = loop_.watch_readable(fd_.get(), [this] { readable(); });
  timeout_ = loop_.after(kTimeout, [this] {
    give_up(Error::unavailable(fmt::format("BIRD did not answer on {} within 10 s", socket_path_)));
  });
  return {};
}

Result<> BirdControl::send(const std::string& line) {
  loop_.cancel(timeout_);
  timeout_ = loop_.after(kTimeout, [this] {
    give_up(Error::unavailable(fmt::format("BIRD did not answer on {} within 10 s", socket_path_)));
  });
  const std::string bytes = line + "\n";  // far below a socket's buffer: one write takes all or fails
  const auto sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent == static_cast<ssize_t>(bytes.size())) return {};
  return fail(Error::unavailable(fmt::format("BIRD's control socket {} was closed", socket_path_)));
}

void BirdControl::readable() {
  char buffer[16384];
  const auto got = ::read(fd_.get(), buffer, sizeof(buffer));
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return give_up(Error::unavailable(fmt::format("BIRD closed its control socket {}", socket_path_)));
  reader_.feed({buffer, static_cast<std::size_t>(got)});
  while (fd_) {
    auto reply = reader_.next();
    if (!reply) break;
    answered(std::move(*reply));
  }
  if (reader_.malformed()) give_up(Error::invalid("what listens on the control socket is not BIRD", socket_path_));
}

void BirdControl::answered(Reply reply) {
  if (!greeted_) {
    greeted_ = true;
    return work();
  }
  if (busy_) finish(std::move(reply));
}

void BirdControl::give_up(Error error) {
  disconnect();
  if (!queue_.empty()) finish(fail(std::move(error)));
}

void BirdControl::finish(Result<Reply> result) {
  Entry entry = std::move(queue_.front());
  queue_.pop_front();
  busy_ = false;
  wake();
  entry.done(std::move(result));
}

void BirdControl::disconnect() {
  loop_.cancel(timeout_);
  if (fd_) loop_.unwatch(watch_);
  fd_.reset();
  reader_ = {};
  greeted_ = false;
  busy_ = false;
}

}  // namespace bgp
