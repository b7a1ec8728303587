#include "node/reach.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>

#include "base/fd.h"
#include "node/interfaces.h"
#include "os/event_loop.h"

namespace node {
namespace {

constexpr int kConnectMilliseconds = 3000;
constexpr int kEchoMilliseconds = 2000;
constexpr int kEchoAttempts = 2;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress to_socket_address(const base::IpAddress& address, int port) {
  SocketAddress result;
  if (address.is_v4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&result.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<std::uint16_t>(port));
    std::memcpy(&v4->sin_addr, address.bytes(), 4);
    result.size = sizeof(sockaddr_in);
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&result.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(static_cast<std::uint16_t>(port));
    std::memcpy(&v6->sin6_addr, address.bytes(), 16);
    result.size = sizeof(sockaddr_in6);
  }
  return result;
}

Reach judge(int error) {
  if (error == 0) return Reach::kOpen;
  return error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH ? Reach::kSilent : Reach::kRefused;
}

std::uint16_t checksum(const std::uint8_t* bytes, std::size_t size) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i + 1 < size; i += 2) sum += static_cast<std::uint32_t>(bytes[i] << 8 | bytes[i + 1]);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return htons(static_cast<std::uint16_t>(~sum));
}

struct Addresses {
  base::IpAddress from, to;
};

iphdr make_header(const Addresses& ends, std::uint8_t protocol, std::size_t size) {
  iphdr header{};
  header.version = 4;
  header.ihl = 5;
  header.ttl = 64;
  header.protocol = protocol;
  header.tot_len = htons(static_cast<std::uint16_t>(size));
  std::memcpy(&header.saddr, ends.from.bytes(), 4);
  std::memcpy(&header.daddr, ends.to.bytes(), 4);
  return header;
}

// Outer header, inner header, echo request.
constexpr std::size_t kInner = sizeof(iphdr), kEcho = 2 * sizeof(iphdr);
using TunnelPacket = std::array<std::uint8_t, kEcho + sizeof(icmphdr)>;

TunnelPacket make_packet(const Addresses& ends, std::uint16_t id) {
  TunnelPacket packet{};
  const iphdr outer = make_header(ends, IPPROTO_IPIP, packet.size());
  std::memcpy(packet.data(), &outer, sizeof outer);  // the kernel fills in its checksum
  iphdr inner = make_header(ends, IPPROTO_ICMP, packet.size() - kInner);
  std::memcpy(packet.data() + kInner, &inner, sizeof inner);
  inner.check = checksum(packet.data() + kInner, sizeof inner);
  std::memcpy(packet.data() + kInner, &inner, sizeof inner);
  icmphdr echo{};
  echo.type = ICMP_ECHO;
  echo.un.echo.id = id;
  echo.un.echo.sequence = htons(1);
  std::memcpy(packet.data() + kEcho, &echo, sizeof echo);
  echo.checksum = checksum(packet.data() + kEcho, sizeof echo);
  std::memcpy(packet.data() + kEcho, &echo, sizeof echo);
  return packet;
}

bool is_rejection(std::uint8_t code) {
  return code == ICMP_PROT_UNREACH || code == ICMP_PORT_UNREACH || code == ICMP_NET_ANO || code == ICMP_HOST_ANO ||
         code == ICMP_PKT_FILTERED;
}

// What a received ICMP packet says about ours; nothing if it is about something else.
std::optional<Reach> judge_packet(std::span<const std::uint8_t> bytes, const base::IpAddress& target,
                                  std::uint16_t id) {
  iphdr header{};
  icmphdr icmp{};
  if (bytes.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, bytes.data(), sizeof header);
  const std::size_t start = static_cast<std::size_t>(header.ihl) * 4;
  if (bytes.size() < start + sizeof icmp) return std::nullopt;
  std::memcpy(&icmp, bytes.data() + start, sizeof icmp);
  if (icmp.type == ICMP_ECHOREPLY) {
    const bool ours = icmp.un.echo.id == id && std::memcmp(&header.saddr, target.bytes(), 4) == 0;
    return ours ? std::optional(Reach::kOpen) : std::nullopt;
  }
  iphdr original{};
  const std::size_t about = start + sizeof icmp;
  if (icmp.type != ICMP_DEST_UNREACH || bytes.size() < about + sizeof original) return std::nullopt;
  std::memcpy(&original, bytes.data() + about, sizeof original);
  const bool ours = original.protocol == IPPROTO_IPIP && std::memcmp(&original.daddr, target.bytes(), 4) == 0;
  return ours && is_rejection(icmp.code) ? std::optional(Reach::kRefused) : std::nullopt;
}

}  // namespace

Reach connect_tcp(const base::IpAddress& address, int port) {
  const SocketAddress target = to_socket_address(address, port);
  const base::Fd fd(
      ::socket(address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (!fd) return Reach::kSilent;
  if (::connect(fd.get(), target.get(), target.size) == 0) return Reach::kOpen;
  if (errno != EINPROGRESS) return judge(errno);
  pollfd wait{.fd = fd.get(), .events = POLLOUT, .revents = 0};
  if (::poll(&wait, 1, kConnectMilliseconds) <= 0) return Reach::kSilent;
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) return Reach::kSilent;
  return judge(error);
}

// The sender does not listen to protocol 4 itself: a kernel with such a listener would not reject what it cannot take.
Reach echo_through_ipip(const base::IpAddress& address) {
  const auto local = find_local_address(base::to_string(address), base::Family::kIpv4);
  const base::Fd sender(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  const base::Fd listener(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP));
  if (!local || !sender || !listener) return Reach::kSilent;
  const SocketAddress target = to_socket_address(address, 0);
  const auto id = static_cast<std::uint16_t>(::getpid());
  const TunnelPacket packet = make_packet({*local, address}, id);
  const os::SystemClock clock;
  for (int attempt = 0; attempt < kEchoAttempts; ++attempt) {
    if (::sendto(sender.get(), packet.data(), packet.size(), 0, target.get(), target.size) < 0) return Reach::kSilent;
    const base::Instant end = clock.now() + std::chrono::milliseconds(kEchoMilliseconds / kEchoAttempts);
    while (clock.now() < end) {
      pollfd wait{.fd = listener.get(), .events = POLLIN, .revents = 0};
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - clock.now()).count();
      if (::poll(&wait, 1, static_cast<int>(left) + 1) <= 0) break;
      std::array<std::uint8_t, 2048> buffer{};
      const ssize_t size = ::recv(listener.get(), buffer.data(), buffer.size(), 0);
      if (size <= 0) continue;
      if (const auto reach = judge_packet({buffer.data(), static_cast<std::size_t>(size)}, address, id)) return *reach;
    }
  }
  return Reach::kSilent;
}

}  // namespace node
