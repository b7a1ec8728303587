#include "lab/capture.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <cerrno>

#include <fmt/core.h>

namespace lab {

using base::Error;
using base::fail;
using base::Family;
using base::Fd;
using base::IpAddress;
using base::Result;

namespace {

using Bytes = std::span<const unsigned char>;

constexpr int kBuffer = 32 << 20;  // bytes waiting for us on one uplink: a matrix of ten hosts is under 2 MB
constexpr std::uint16_t kVxlanPort = 4789;
constexpr std::size_t kEthernetHeader = 14;
constexpr std::size_t kUdpAndVxlan = 16;

struct IpHeader {
  IpAddress source;
  IpAddress destination;
  int protocol = 0;
  std::size_t length = 0;
};

std::optional<IpHeader> ip_header(Bytes packet) {
  if (packet.size() >= 20 && packet[0] >> 4 == 4) {
    const std::size_t length = (packet[0] & 0x0Fu) * 4u;
    return IpHeader{IpAddress::from_bytes(Family::kIpv4, &packet[12]),
                    IpAddress::from_bytes(Family::kIpv4, &packet[16]), packet[9], length};
  }
  if (packet.size() >= 40 && packet[0] >> 4 == 6) {
    return IpHeader{IpAddress::from_bytes(Family::kIpv6, &packet[8]), IpAddress::from_bytes(Family::kIpv6, &packet[24]),
                    packet[6], 40};
  }
  return std::nullopt;
}

bool is_vxlan(const IpHeader& header, Bytes payload) {
  return header.protocol == IPPROTO_UDP && payload.size() >= kUdpAndVxlan + kEthernetHeader &&
         (payload[2] << 8 | payload[3]) == kVxlanPort;
}

int open_uplink() {
  Fd fd(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return -1;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kBuffer, sizeof(kBuffer)) != 0) return -1;
  sockaddr_ll uplink{};
  uplink.sll_family = AF_PACKET;
  uplink.sll_protocol = htons(ETH_P_ALL);
  uplink.sll_ifindex = static_cast<int>(::if_nametoindex("eth0"));
  if (uplink.sll_ifindex == 0 || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&uplink), sizeof(uplink)) != 0) {
    return -1;
  }
  return fd.release();
}

const Guest* guest_at(const Plan& plan, const IpAddress& address) {
  for (const Guest& guest : plan.guests) {
    if (guest.v4.address == address || guest.v6 == address) return &guest;
  }
  return nullptr;
}

Result<> fail_if_incomplete(int fd, const std::string& host) {
  tpacket_stats stats{};
  socklen_t size = sizeof(stats);
  if (::getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) != 0) return fail(Error::system(errno, "capture"));
  if (stats.tp_drops == 0) return {};
  return fail(Error::internal(fmt::format("capture on {}: {} packets were not seen", host, stats.tp_drops)));
}

}  // namespace

std::optional<Travelling> dissect(Bytes packet) {
  const auto outer = ip_header(packet);
  if (!outer || packet.size() < outer->length) return std::nullopt;
  const Bytes payload = packet.subspan(outer->length);
  if (outer->protocol == IPPROTO_IPIP) {
    const auto inner = ip_header(payload);
    if (!inner) return std::nullopt;
    return Travelling{inner->source, inner->destination, Encapsulation::kIpip};
  }
  if (is_vxlan(*outer, payload)) {
    const auto inner = ip_header(payload.subspan(kUdpAndVxlan + kEthernetHeader));
    if (!inner) return std::nullopt;
    return Travelling{inner->source, inner->destination, Encapsulation::kVxlan};
  }
  return Travelling{outer->source, outer->destination, Encapsulation::kDirect};
}

Result<UplinkCapture> UplinkCapture::start(const Lab& lab) {
  UplinkCapture capture(lab.plan());
  for (const Host& host : lab.plan().hosts) {
    auto socket = socket_in(lab.node(host.name), open_uplink);
    if (!socket) return fail(std::move(socket).error());
    capture.sockets_.emplace_back(host.name, std::move(*socket));
  }
  return capture;
}

Result<Sightings> UplinkCapture::read() {
  Sightings sightings;
  std::array<unsigned char, 2048> buffer{};
  for (const auto& [host, fd] : sockets_) {
    sockaddr_ll about{};
    socklen_t size = sizeof(about);
    ssize_t got = 0;
    while ((got = ::recvfrom(fd.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&about), &size)) >=
           0) {
      size = sizeof(about);
      if (about.sll_pkttype != PACKET_OUTGOING) continue;
      const auto seen = dissect(Bytes(buffer.data(), static_cast<std::size_t>(got)));
      if (!seen) continue;
      const Guest* from = guest_at(plan_, seen->source);
      const Guest* to = guest_at(plan_, seen->destination);
      // What passes through on its way elsewhere was counted where it came from.
      if (from == nullptr || to == nullptr || from->host != host) continue;
      ++sightings[{from->host, to->host, seen->source.family()}][static_cast<std::size_t>(seen->how)];
    }
    if (auto complete = fail_if_incomplete(fd.get(), host); !complete) return fail(std::move(complete).error());
  }
  return sightings;
}

std::vector<std::string> wrong_travels(const Plan& plan, const Sightings& sightings) {
  std::vector<std::string> lines;
  for (const auto& [direction, counts] : sightings) {
    const Encapsulation wanted =
        expected_encapsulation(plan, *plan.host(direction.from), *plan.host(direction.to), direction.family);
    for (Encapsulation seen : {Encapsulation::kDirect, Encapsulation::kIpip, Encapsulation::kVxlan}) {
      const auto count = counts[static_cast<std::size_t>(seen)];
      if (seen == wanted || count == 0) continue;
      lines.push_back(fmt::format("{} -> {} IPv{}: {} packets of guests travelled {}, expected {}", direction.from,
                                  direction.to, direction.family == Family::kIpv4 ? 4 : 6, count, to_string(seen),
                                  to_string(wanted)));
    }
  }
  return lines;
}

std::string to_text(const Sightings& sightings) {
  std::map<std::string, Travelled> totals;  // by family
  for (const auto& [direction, counts] : sightings) {
    Travelled& total = totals[direction.family == Family::kIpv4 ? "IPv4" : "IPv6"];
    for (std::size_t i = 0; i < counts.size(); ++i) total[i] += counts[i];
  }
  std::string text;
  for (const auto& [family, counts] : totals) {
    text += fmt::format("{}on the uplinks, {}: {} direct, {} IP-in-IP, {} VXLAN", text.empty() ? "" : "; ", family,
                        counts[0], counts[1], counts[2]);
  }
  return text.empty() ? "nothing on the uplinks" : text;
}

}  // namespace lab
