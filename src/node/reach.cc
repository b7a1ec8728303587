#include "node/reach.h"

#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

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

using EchoPacket = std::array<std::uint8_t, sizeof(iphdr) + sizeof(icmphdr)>;

// The inner packet; the kernel puts the outer header in front of it.
EchoPacket make_echo(const base::IpAddress& from, const base::IpAddress& to, std::uint16_t id) {
  EchoPacket packet{};
  iphdr header{};
  header.version = 4;
  header.ihl = 5;
  header.ttl = 64;
  header.protocol = IPPROTO_ICMP;
  header.tot_len = htons(packet.size());
  std::memcpy(&header.saddr, from.bytes(), 4);
  std::memcpy(&header.daddr, to.bytes(), 4);
  std::memcpy(packet.data(), &header, sizeof header);
  header.check = checksum(packet.data(), sizeof header);
  std::memcpy(packet.data(), &header, sizeof header);
  icmphdr echo{};
  echo.type = ICMP_ECHO;
  echo.un.echo.id = id;
  echo.un.echo.sequence = htons(1);
  std::memcpy(packet.data() + sizeof header, &echo, sizeof echo);
  echo.checksum = checksum(packet.data() + sizeof header, sizeof echo);
  std::memcpy(packet.data() + sizeof header, &echo, sizeof echo);
  return packet;
}

bool is_reply(const std::uint8_t* bytes, std::size_t size, const base::IpAddress& from, std::uint16_t id) {
  iphdr header{};
  icmphdr echo{};
  if (size < sizeof header) return false;
  std::memcpy(&header, bytes, sizeof header);
  const std::size_t start = static_cast<std::size_t>(header.ihl) * 4;
  if (size < start + sizeof echo) return false;
  std::memcpy(&echo, bytes + start, sizeof echo);
  return echo.type == ICMP_ECHOREPLY && echo.un.echo.id == id && std::memcmp(&header.saddr, from.bytes(), 4) == 0;
}

// What a router or the host itself said about the packet: true if it does not take protocol 4.
bool was_rejected(int fd) {
  std::array<char, 512> control{};
  std::array<char, 256> data{};
  iovec part{data.data(), data.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (::recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return false;
  for (const cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, const_cast<cmsghdr*>(header))) {
    if (header->cmsg_level != SOL_IP || header->cmsg_type != IP_RECVERR) continue;
    sock_extended_err error{};
    std::memcpy(&error, CMSG_DATA(header), sizeof error);
    if (error.ee_origin != SO_EE_ORIGIN_ICMP || error.ee_type != ICMP_DEST_UNREACH) continue;
    const bool rejected = error.ee_code == ICMP_PROT_UNREACH || error.ee_code == ICMP_PORT_UNREACH ||
                          error.ee_code == ICMP_HOST_ANO || error.ee_code == ICMP_PKT_FILTERED;
    if (rejected) return true;
  }
  return false;
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

Reach echo_through_ipip(const base::IpAddress& address) {
  const auto local = find_local_address(base::to_string(address), base::Family::kIpv4);
  const base::Fd sender(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_IPIP));
  const base::Fd listener(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP));
  if (!local || !sender || !listener) return Reach::kSilent;
  const int on = 1;
  (void)::setsockopt(sender.get(), SOL_IP, IP_RECVERR, &on, sizeof on);
  const SocketAddress target = to_socket_address(address, 0);
  if (::connect(sender.get(), target.get(), target.size) != 0) return Reach::kSilent;
  const auto id = static_cast<std::uint16_t>(::getpid());
  const EchoPacket packet = make_echo(*local, address, id);
  const os::SystemClock clock;
  for (int attempt = 0; attempt < kEchoAttempts; ++attempt) {
    if (::send(sender.get(), packet.data(), packet.size(), 0) < 0 && was_rejected(sender.get())) return Reach::kRefused;
    const base::Instant end = clock.now() + std::chrono::milliseconds(kEchoMilliseconds / kEchoAttempts);
    while (clock.now() < end) {
      std::array<pollfd, 2> wait = {pollfd{.fd = listener.get(), .events = POLLIN, .revents = 0},
                                    pollfd{.fd = sender.get(), .events = 0, .revents = 0}};
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - clock.now()).count();
      if (::poll(wait.data(), wait.size(), static_cast<int>(left) + 1) <= 0) break;
      if ((wait[1].revents & POLLERR) != 0 && was_rejected(sender.get())) return Reach::kRefused;
      std::array<std::uint8_t, 2048> buffer{};
      const ssize_t size = ::recv(listener.get(), buffer.data(), buffer.size(), 0);
      if (size > 0 && is_reply(buffer.data(), static_cast<std::size_t>(size), address, id)) return Reach::kOpen;
    }
  }
  return Reach::kSilent;
}

}  // namespace node
