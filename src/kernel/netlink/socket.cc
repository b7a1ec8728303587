#include "kernel/netlink/socket.h"

#include <cerrno>
#include <cstring>

#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

namespace kernel::netlink {
namespace {

using base::Error;
using base::fail;
using base::Result;

// A refused IP-set request is echoed whole, and a request is at most an attribute (64 KiB) and some headers.
constexpr std::size_t kReceiveSize = 160 * 1024;
// One send() holds so much; the kernel works through it before send() returns, and each message leaves an
// acknowledgement of about 1 KiB in our receive buffer, so the count must stay well below receive_buffer / 1 KiB.
constexpr std::size_t kWindowBytes = 256 * 1024;
constexpr std::size_t kWindowMessages = 256;
constexpr int kSendBuffer = 2 << 20;

void set_option(int fd, int level, int option, int value) {
  ::setsockopt(fd, level, option, &value, sizeof value);  // optional: old kernels refuse some
}

Error socket_error(int number, std::string_view what) { return Error::system(number, what).in("netlink"); }

// A receive that timed out says EAGAIN, which helps nobody.
Error timely(Error error) {
  if (error.error_number() != EAGAIN && error.error_number() != EWOULDBLOCK) return error;
  return Error::unavailable("netlink: the kernel did not answer in time");
}

bool is_overrun(const Error& error) { return error.error_number() == ENOBUFS; }

}  // namespace

Result<Socket> Socket::open(Bus bus, const SocketOptions& options) {
  Socket socket(bus, options);
  if (auto opened = socket.reopen(); !opened) return fail(std::move(opened).error());
  return socket;
}

Result<> Socket::reopen() {
  const int protocol = bus_ == Bus::kRoute ? NETLINK_ROUTE : NETLINK_NETFILTER;
  const int mode = options_.non_blocking ? SOCK_NONBLOCK : 0;
  base::Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | mode, protocol));
  if (!fd) return fail(socket_error(errno, "open socket"));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail(socket_error(errno, "bind socket"));
  }
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(options_.timeout);
  timeval timeout{};
  timeout.tv_sec = seconds.count();
  timeout.tv_usec = static_cast<suseconds_t>(std::chrono::microseconds(options_.timeout - seconds).count());
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0) {
    return fail(socket_error(errno, "set receive timeout"));
  }
  set_option(fd.get(), SOL_SOCKET, SO_RCVBUF, options_.receive_buffer);
  set_option(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, options_.receive_buffer);
  set_option(fd.get(), SOL_SOCKET, SO_SNDBUF, kSendBuffer);
  set_option(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, kSendBuffer);
  set_option(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, 1);
  set_option(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, 1);
  const int on = 1;
  strict_ = bus_ == Bus::kRoute && ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on) == 0;
  fd_ = std::move(fd);
  broken_ = false;
  return {};
}

Result<> Socket::recover() {
  if (!broken_) return {};
  return reopen();
}

Result<> Socket::join(unsigned group) {
  const int number = static_cast<int>(group);
  if (::setsockopt(fd(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &number, sizeof number) != 0) {
    return fail(socket_error(errno, "join group " + std::to_string(group)));
  }
  return {};
}

Result<> Socket::send_bytes(Bytes bytes) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  while (::sendto(fd(), bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0) {
    if (errno != EINTR) return fail(socket_error(errno, "send"));
  }
  return {};
}

Result<Bytes> Socket::receive(int flags) {
  buffer_.resize(kReceiveSize);
  for (;;) {
    sockaddr_nl from{};
    socklen_t from_size = sizeof from;
    const ssize_t size = ::recvfrom(fd(), buffer_.data(), buffer_.size(), flags | MSG_TRUNC,
                                    reinterpret_cast<sockaddr*>(&from), &from_size);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail(socket_error(errno, "receive"));
    if (from.nl_pid != 0) continue;  // only the kernel is believed; any local process could send to us
    if (static_cast<std::size_t>(size) > buffer_.size()) return fail(socket_error(EMSGSIZE, "receive"));
    return Bytes(buffer_).first(static_cast<std::size_t>(size));
  }
}

Result<std::vector<Reply>> Socket::execute(Batch& batch) {
  if (auto ready = recover(); !ready) return fail(std::move(ready).error());
  std::vector<Reply> replies(batch.size());
  std::size_t first = 0;
  while (first < batch.size()) {
    const std::uint32_t sequence = sequence_ + 1;
    std::size_t last = first;
    std::size_t bytes = 0;
    while (last < batch.size() && last - first < kWindowMessages) {
      bytes += batch.bytes(last, last + 1).size();
      if (last > first && bytes > kWindowBytes) break;
      batch.set_sequence(last, ++sequence_);
      batch.add_flags(last, NLM_F_REQUEST | NLM_F_ACK);
      ++last;
    }
    std::vector<Reply> window(last - first);
    auto done = send_bytes(batch.bytes(first, last));
    if (done) done = collect(sequence, window.size(), window);
    if (!done) {
      broken_ = true;
      return fail(std::move(done).error());
    }
    std::move(window.begin(), window.end(), replies.begin() + static_cast<std::ptrdiff_t>(first));
    first = last;
  }
  return replies;
}

Result<> Socket::collect(std::uint32_t first, std::size_t count, std::vector<Reply>& replies) {
  std::size_t open = count;
  while (open > 0) {
    auto bytes = receive(0);
    if (!bytes) return fail(timely(std::move(bytes).error()));
    MessageReader reader(*bytes);
    while (const auto message = reader.next()) {
      const std::uint32_t index = message->sequence - first;  // wraps, so older answers become huge
      if (index >= count) continue;
      Reply& reply = replies[index];
      if (message->type != NLMSG_ERROR) {
        reply.data.assign(message->payload.begin(), message->payload.end());
        continue;
      }
      const auto ack = parse_acknowledgement(*message);
      if (!ack) continue;
      reply.error = ack->error;
      reply.text = ack->text;
      reply.request.assign(ack->request.begin(), ack->request.end());
      --open;
    }
  }
  return {};
}

Result<> Socket::dump(Batch& request, std::string_view what, const std::function<void()>& restart,
                      const Handler& handler) {
  if (auto ready = recover(); !ready) return fail(std::move(ready).error());
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    if (attempt > 0) restart();
    auto end = dump_once(request, what, handler);
    if (!end) return fail(std::move(end).error());
    if (*end == DumpEnd::kComplete) return {};
  }
  return fail(Error::unavailable("table kept changing while it was read").in(what));
}

Result<Socket::DumpEnd> Socket::dump_once(Batch& request, std::string_view what, const Handler& handler) {
  const std::uint32_t sequence = ++sequence_;
  request.set_sequence(0, sequence);
  request.add_flags(0, NLM_F_REQUEST | NLM_F_DUMP);
  if (auto sent = send_bytes(request.bytes(0, 1)); !sent) return fail(std::move(sent).error().in(what));
  bool interrupted = false;
  for (;;) {
    auto bytes = receive(0);
    if (!bytes) {
      broken_ = true;
      return fail(timely(std::move(bytes).error()).in(what));
    }
    MessageReader reader(*bytes);
    while (const auto message = reader.next()) {
      if (message->sequence != sequence) continue;
      interrupted = interrupted || (message->flags & NLM_F_DUMP_INTR) != 0;
      if (message->type != NLMSG_ERROR && message->type != NLMSG_DONE) {
        handler(*message);
        continue;
      }
      const auto ack = parse_acknowledgement(*message);  // NLMSG_DONE carries the same leading code
      if (ack && ack->error == EINTR) return DumpEnd::kInterrupted;
      if (ack && ack->error != 0) {
        return fail(reply_error(Reply{.error = ack->error, .text = std::string(ack->text)}, what));
      }
      return interrupted ? DumpEnd::kInterrupted : DumpEnd::kComplete;
    }
    if (reader.malformed()) {
      broken_ = true;
      return fail(Error::internal("malformed answer").in(what));
    }
  }
}

Result<std::uint32_t> Socket::send(Batch& request) {
  const std::uint32_t first = sequence_ + 1;
  for (std::size_t i = 0; i < request.size(); ++i) {
    request.set_sequence(i, ++sequence_);
    request.add_flags(i, NLM_F_REQUEST);
  }
  if (auto sent = send_bytes(request.bytes(0, request.size())); !sent) return fail(std::move(sent).error());
  return first;
}

Result<Socket::Received> Socket::receive_some(const Handler& handler) {
  auto bytes = receive(MSG_DONTWAIT);
  if (!bytes) {
    const int number = bytes.error().error_number();
    if (number == EAGAIN || number == EWOULDBLOCK) return Received::kNothing;
    if (is_overrun(bytes.error())) return Received::kOverrun;
    return fail(std::move(bytes).error());
  }
  MessageReader reader(*bytes);
  while (const auto message = reader.next()) handler(*message);
  if (reader.malformed()) return fail(Error::internal("netlink: malformed message"));
  return Received::kMessages;
}

Error reply_error(const Reply& reply, std::string_view object) {
  Error error = Error::system(reply.error, object);
  if (reply.text.empty()) return error;
  return Error(error.kind(), error.text() + " (" + reply.text + ")", reply.error);
}

}  // namespace kernel::netlink
