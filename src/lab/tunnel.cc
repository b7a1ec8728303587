#include "lab/tunnel.h"

#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>

#include <fmt/core.h>

#include "base/strings.h"
#include "lab/ready.h"

namespace lab {

using base::Error;
using base::fail;
using base::Family;
using base::Fd;
using base::IpAddress;
using base::Result;
using namespace std::chrono_literals;

namespace {

// What guests are offered, and their taps take: an uplink of 1500 bytes less an IPv4 header; less Ethernet, VXLAN, UDP
// and an IPv6 header, since the lab's VXLAN carries both families.
constexpr int kFitsIpip = 1500 - 20;
constexpr int kFitsVxlan = 1500 - 70;
constexpr std::uint16_t kVxlanPort = 4789;
constexpr std::uint32_t kVxlanId = 4096;
constexpr std::uint16_t kTargetPort = 9000;
constexpr int kCopies = 20;
constexpr int kEchoTimeoutMs = 500;
constexpr std::size_t kMaxPacket = 2048;

// --- one echo of a given size, in a child that is in the guest's network ---

struct Socket {
  sockaddr_storage target{};
  socklen_t length = 0;
  Fd fd;
};

Socket open_echo(const IpAddress& target) {
  Socket result;
  const int dont_fragment = IP_PMTUDISC_PROBE;  // set the bit, do not learn
  const int one = 1;
  if (target.is_v4()) {
    auto& address = reinterpret_cast<sockaddr_in&>(result.target);
    address.sin_family = AF_INET;
    std::memcpy(&address.sin_addr, target.bytes(), 4);
    result.length = sizeof(sockaddr_in);
    result.fd.reset(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
    ::setsockopt(result.fd.get(), IPPROTO_IP, IP_MTU_DISCOVER, &dont_fragment, sizeof(dont_fragment));
    ::setsockopt(result.fd.get(), IPPROTO_IP, IP_RECVERR, &one, sizeof(one));
  } else {
    auto& address = reinterpret_cast<sockaddr_in6&>(result.target);
    address.sin6_family = AF_INET6;
    std::memcpy(&address.sin6_addr, target.bytes(), 16);
    result.length = sizeof(sockaddr_in6);
    result.fd.reset(::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6));
    const int dont_fragment_v6 = IPV6_PMTUDISC_PROBE;
    ::setsockopt(result.fd.get(), IPPROTO_IPV6, IPV6_MTU_DISCOVER, &dont_fragment_v6, sizeof(dont_fragment_v6));
    ::setsockopt(result.fd.get(), IPPROTO_IPV6, IPV6_RECVERR, &one, sizeof(one));
  }
  return result;
}

std::uint16_t checksum(std::string_view bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    const auto high = static_cast<unsigned char>(bytes[i]);
    const auto low = i + 1 < bytes.size() ? static_cast<unsigned char>(bytes[i + 1]) : 0;
    sum += static_cast<std::uint32_t>(high << 8 | low);
  }
  while (sum >> 16 != 0) sum = (sum & 0xFFFF) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

void put16(std::string& bytes, std::size_t at, unsigned value) {
  bytes[at] = static_cast<char>(value >> 8);
  bytes[at + 1] = static_cast<char>(value & 0xFF);
}

constexpr std::uint16_t kEchoId = 0x7E57;

std::string echo_request(bool v4, int bytes) {
  std::string packet(static_cast<std::size_t>(bytes - (v4 ? 20 : 40)), '\0');
  packet[0] = static_cast<char>(v4 ? int{ICMP_ECHO} : int{ICMP6_ECHO_REQUEST});
  put16(packet, 4, kEchoId);
  if (v4) put16(packet, 2, checksum(packet));  // the kernel fills in the IPv6 one
  return packet;
}

struct RawReply {
  bool answered;
  bool refused_locally;
  int too_big;
  int reporter_length;  // 0, 4 or 16
  unsigned char reporter[16];
};

void read_error(int fd, RawReply& reply) {
  char data[kMaxPacket];
  char control[512];
  iovec vector{.iov_base = data, .iov_len = sizeof(data)};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  if (::recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return;
  for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
    const bool v4 = one->cmsg_level == IPPROTO_IP && one->cmsg_type == IP_RECVERR;
    const bool v6 = one->cmsg_level == IPPROTO_IPV6 && one->cmsg_type == IPV6_RECVERR;
    if (!v4 && !v6) continue;
    auto* error = reinterpret_cast<sock_extended_err*>(CMSG_DATA(one));
    if (error->ee_origin == SO_EE_ORIGIN_LOCAL) reply.refused_locally = true;
    const bool too_big = (error->ee_origin == SO_EE_ORIGIN_ICMP && error->ee_type == ICMP_DEST_UNREACH &&
                          error->ee_code == ICMP_FRAG_NEEDED) ||
                         (error->ee_origin == SO_EE_ORIGIN_ICMP6 && error->ee_type == ICMP6_PACKET_TOO_BIG);
    if (!too_big) continue;
    reply.too_big = static_cast<int>(error->ee_info);
    const sockaddr* reporter = SO_EE_OFFENDER(error);
    reply.reporter_length = v4 ? 4 : 16;
    const void* bytes = v4 ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in*>(reporter)->sin_addr)
                           : &reinterpret_cast<const sockaddr_in6*>(reporter)->sin6_addr;
    std::memcpy(reply.reporter, bytes, static_cast<std::size_t>(reply.reporter_length));
  }
}

bool is_our_reply(bool v4, const unsigned char* packet, std::size_t size) {
  const std::size_t header = v4 ? (packet[0] & 0x0Fu) * 4u : 0;  // raw IPv4 sockets deliver the IP header too
  if (size < header + 8) return false;
  const int reply = v4 ? int{ICMP_ECHOREPLY} : int{ICMP6_ECHO_REPLY};
  return packet[header] == reply && (packet[header + 4] << 8 | packet[header + 5]) == kEchoId;
}

int send_and_listen(const IpAddress& target, int bytes, int timeout_ms, RawReply& reply) {
  Socket socket = open_echo(target);
  const std::string packet = echo_request(target.is_v4(), bytes);
  if (::sendto(socket.fd.get(), packet.data(), packet.size(), 0, reinterpret_cast<const sockaddr*>(&socket.target),
               socket.length) < 0) {
    if (errno == ENOBUFS) return 0;  // the host's end of the link took no packet of this size
    if (errno != EMSGSIZE) return 1;
    reply.refused_locally = true;
    return 0;
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (!reply.answered && reply.too_big == 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    pollfd readable{.fd = socket.fd.get(), .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || ::poll(&readable, 1, static_cast<int>(left.count())) <= 0) return 0;
    if ((readable.revents & POLLERR) != 0) read_error(socket.fd.get(), reply);
    unsigned char buffer[kMaxPacket];
    const auto got = ::recv(socket.fd.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
    if (got > 0 && is_our_reply(target.is_v4(), buffer, static_cast<std::size_t>(got))) reply.answered = true;
  }
  return 0;
}

// --- forged packets ---

std::string ipv4_packet(const IpAddress& from, const IpAddress& to, int protocol, const std::string& payload) {
  std::string packet(20, '\0');
  packet[0] = 0x45;
  put16(packet, 2, static_cast<unsigned>(20 + payload.size()));
  packet[8] = 64;
  packet[9] = static_cast<char>(protocol);
  std::memcpy(&packet[12], from.bytes(), 4);
  std::memcpy(&packet[16], to.bytes(), 4);
  put16(packet, 10, checksum(packet));
  return packet + payload;
}

std::string udp_packet(std::uint16_t from, std::uint16_t to, const std::string& payload) {
  std::string packet(8, '\0');  // no checksum
  put16(packet, 0, from);
  put16(packet, 2, to);
  put16(packet, 4, static_cast<unsigned>(8 + payload.size()));
  return packet + payload;
}

std::string vxlan_payload(const base::MacAddress& to, const std::string& ip_packet) {
  std::string packet(22, '\0');
  packet[0] = 0x08;  // the identifier is valid
  packet[4] = static_cast<char>(kVxlanId >> 16);
  packet[5] = static_cast<char>(kVxlanId >> 8 & 0xFF);
  packet[6] = static_cast<char>(kVxlanId & 0xFF);
  for (std::size_t i = 0; i < 6; ++i) packet[8 + i] = static_cast<char>(to.bytes[i]);
  packet[14] = 0x02;  // a sender of its own
  put16(packet, 20, 0x0800);
  return packet + ip_packet;
}

}  // namespace

Result<SizeReply> probe_size(const Node& from, const IpAddress& target, int bytes, int timeout_ms) {
  void* page = ::mmap(nullptr, sizeof(RawReply), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return fail(Error::system(errno, "mmap"));
  auto* raw = static_cast<RawReply*>(page);
  auto status = call_in(from, [&] { return send_and_listen(target, bytes, timeout_ms, *raw); });
  const RawReply reply = *raw;
  ::munmap(page, sizeof(RawReply));
  if (!status) return fail(std::move(status).error());
  if (*status != 0)
    return fail(Error::internal(fmt::format("{}: an echo of {} bytes cannot be sent", from.name, bytes)));
  SizeReply result{
      .answered = reply.answered, .too_big = reply.too_big, .reporter = {}, .refused_locally = reply.refused_locally};
  if (reply.reporter_length == 4) result.reporter = IpAddress::from_bytes(Family::kIpv4, reply.reporter);
  if (reply.reporter_length == 16) result.reporter = IpAddress::from_bytes(Family::kIpv6, reply.reporter);
  return result;
}

std::string forged_packet(const Forgery& forgery) {
  const std::string inner =
      ipv4_packet(forgery.source, forgery.destination, IPPROTO_UDP, udp_packet(40404, forgery.port, "forged"));
  if (forgery.how == Encapsulation::kIpip) {
    return ipv4_packet(forgery.outer_source, forgery.outer_destination, IPPROTO_IPIP, inner);
  }
  return ipv4_packet(forgery.outer_source, forgery.outer_destination, IPPROTO_UDP,
                     udp_packet(40405, kVxlanPort, vxlan_payload(forgery.inner_destination_mac, inner)));
}

Result<> send_forged(const Node& from, const Forgery& forgery, int copies) {
  const std::string packet = forged_packet(forgery);
  auto status = call_in(from, [&] {
    const Fd fd(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    std::memcpy(&to.sin_addr, forgery.outer_destination.bytes(), 4);
    for (int i = 0; i < copies; ++i) {
      if (::sendto(fd.get(), packet.data(), packet.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) < 0) {
        return 1;
      }
    }
    return 0;
  });
  if (!status) return fail(std::move(status).error());
  if (*status != 0) return fail(Error::internal(fmt::format("{}: a forged packet cannot be sent", from.name)));
  return {};
}

namespace {

struct Ends {
  const Host* near;
  const Host* far;
  const Guest* from;  // on near
  const Guest* to;    // on far
};

std::optional<Ends> ends_of(const Plan& plan) {
  for (const Guest& from : plan.guests) {
    for (const Guest& to : plan.guests) {
      const Host* near = plan.host(from.host);
      const Host* far = plan.host(to.host);
      if (near->segment != far->segment) return Ends{near, far, &from, &to};
    }
  }
  return std::nullopt;
}

Result<Finding> check_sizes(const Lab& lab, const Ends& ends, Family family, int fits) {
  const IpAddress target = family == Family::kIpv4 ? ends.to->v4.address : ends.to->v6;
  const Node& from = lab.node(ends.from->name);
  const int timeout_ms = kEchoTimeoutMs * lab.patience();
  auto small = probe_size(from, target, fits, timeout_ms);
  if (!small) return fail(std::move(small).error());
  auto large = probe_size(from, target, fits + 1, timeout_ms);
  if (!large) return fail(std::move(large).error());
  const std::string answer = large->answered          ? std::string("passes")
                             : large->refused_locally ? "is refused by the guest itself"
                             : large->too_big == 0    ? "vanishes"
                                                      : fmt::format("is refused by {} with MTU {}",
                                                                    base::to_string(large->reporter), large->too_big);
  return Finding{.what = fmt::format("IPv{}: {} bytes pass, {} are refused with that MTU",
                                     family == Family::kIpv4 ? 4 : 6, fits, fits + 1),
                 .seen = fmt::format("{} bytes {}, {} bytes: {}", fits, small->answered ? "pass" : "DO NOT pass",
                                     fits + 1, answer),
                 .good = small->answered && !large->answered && large->too_big == fits};
}

Result<std::uint64_t> arrived(const Lab& lab, const Ends& ends) {
  auto prober = lab.prober(ends.to->name);
  if (!prober) return fail(std::move(prober).error());
  auto all = prober->arrivals();
  if (!all) return fail(std::move(all).error());
  return (*all)[fmt::format("udp {} {}", base::to_string(ends.from->v4.address), kTargetPort)];
}

Result<base::MacAddress> tunnel_mac(const Lab& lab, const Host& host) {
  auto text = must_run_in(lab.node(host.name), {.arguments = {"cat", "/sys/class/net/vxlan.calico/address"}});
  if (!text) return fail(std::move(text).error());
  return base::parse_mac(base::trim(*text));
}

Result<Finding> check_stranger(const Lab& lab, const Ends& ends, Encapsulation how) {
  Forgery forgery{.how = how,
                  .outer_source = ends.far->router_v4,
                  .outer_destination = ends.far->v4.address,
                  .inner_destination_mac = {},
                  .source = ends.from->v4.address,
                  .destination = ends.to->v4.address,
                  .port = kTargetPort};
  if (how == Encapsulation::kVxlan) {
    auto mac = tunnel_mac(lab, *ends.far);
    if (!mac) return fail(std::move(mac).error());
    forgery.inner_destination_mac = *mac;
  }
  const auto count = [&](const Node& sender) -> Result<std::uint64_t> {
    auto before = arrived(lab, ends);
    if (!before) return before;
    if (auto sent = send_forged(sender, forgery, kCopies); !sent) return fail(std::move(sent).error());
    pause_for(200ms * lab.patience());
    auto after = arrived(lab, ends);
    if (!after) return after;
    return *after - *before;
  };
  auto stranger = count(lab.node(lab.plan().segment_of(*ends.far).router));
  forgery.outer_source = ends.near->v4.address;
  auto known = count(lab.node(ends.near->name));
  if (!stranger) return fail(std::move(stranger).error());
  if (!known) return fail(std::move(known).error());
  return Finding{.what = fmt::format("{} packets from a known host arrive, from any other address none", kCopies),
                 .seen = fmt::format("{} of {} from a known host arrive, {} of {} from a stranger", *known, kCopies,
                                     *stranger, kCopies),
                 .good = *known == kCopies && *stranger == 0};
}

}  // namespace

Result<std::vector<Finding>> check_tunnel(Lab& lab) {
  const auto ends = ends_of(lab.plan());
  const Encapsulation how =
      ends ? expected_encapsulation(lab.plan(), *ends->near, *ends->far, Family::kIpv4) : Encapsulation::kDirect;
  if (how == Encapsulation::kDirect) return fail(Error::invalid("this lab has no tunnel"));
  std::vector<Finding> findings;
  for (Family family : {Family::kIpv4, Family::kIpv6}) {
    if (expected_encapsulation(lab.plan(), *ends->near, *ends->far, family) == Encapsulation::kDirect) continue;
    auto sizes = check_sizes(lab, *ends, family, how == Encapsulation::kIpip ? kFitsIpip : kFitsVxlan);
    if (!sizes) return fail(std::move(sizes).error());
    findings.push_back(std::move(*sizes));
  }
  auto stranger = check_stranger(lab, *ends, how);
  if (!stranger) return fail(std::move(stranger).error());
  findings.push_back(std::move(*stranger));
  return findings;
}

}  // namespace lab
