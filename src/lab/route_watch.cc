#include "lab/route_watch.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <utility>

namespace lab {

using base::fail;
using base::Family;
using base::Fd;
using base::IpAddress;
using base::Result;
using Clock = std::chrono::steady_clock;

namespace {

int open_monitor() {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
  if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return -1;
  return fd.release();
}

std::optional<IpAddress> destination(const rtmsg& route, std::span<const unsigned char> attributes) {
  const bool v4 = route.rtm_family == AF_INET;
  if (route.rtm_dst_len != (v4 ? 32 : 128)) return std::nullopt;
  while (attributes.size() >= sizeof(rtattr)) {
    rtattr attribute{};
    std::memcpy(&attribute, attributes.data(), sizeof(attribute));
    if (attribute.rta_len < sizeof(rtattr) || attribute.rta_len > attributes.size()) return std::nullopt;
    if (attribute.rta_type == RTA_DST && attribute.rta_len == RTA_LENGTH(v4 ? 4 : 16)) {
      return IpAddress::from_bytes(v4 ? Family::kIpv4 : Family::kIpv6, &attributes[sizeof(rtattr)]);
    }
    attributes = attributes.subspan(std::min<std::size_t>(attributes.size(), RTA_ALIGN(attribute.rta_len)));
  }
  return std::nullopt;
}

}  // namespace

std::optional<IpAddress> lost_route(std::span<const unsigned char> message) {
  nlmsghdr header{};
  rtmsg route{};
  if (message.size() < NLMSG_HDRLEN + sizeof(route)) return std::nullopt;
  std::memcpy(&header, message.data(), sizeof(header));
  std::memcpy(&route, &message[NLMSG_HDRLEN], sizeof(route));
  if (route.rtm_family != AF_INET && route.rtm_family != AF_INET6) return std::nullopt;
  const bool gone = header.nlmsg_type == RTM_DELROUTE && route.rtm_type == RTN_UNICAST;
  const bool leads_nowhere = header.nlmsg_type == RTM_NEWROUTE && route.rtm_type == RTN_UNREACHABLE;
  if (!gone && !leads_nowhere) return std::nullopt;
  return destination(route, message.subspan(NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(route))));
}

Result<RouteWatch> RouteWatch::start(const Lab& lab, const std::vector<std::string>& nodes) {
  RouteWatch watch;
  for (const std::string& name : nodes) {
    auto socket = socket_in(lab.node(name), open_monitor);
    if (!socket) return fail(std::move(socket).error());
    watch.sockets_.push_back(std::move(*socket));
  }
  return watch;
}

std::optional<std::int64_t> RouteWatch::all_gone(std::span<const IpAddress> addresses,
                                                 std::chrono::milliseconds limit) {
  std::set<std::pair<std::size_t, IpAddress>> missing;
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    for (const IpAddress& address : addresses) missing.emplace(i, address);
  }
  std::vector<pollfd> polls;
  for (const Fd& fd : sockets_) polls.push_back({.fd = fd.get(), .events = POLLIN, .revents = 0});
  const auto end = Clock::now() + limit;
  std::array<unsigned char, 65536> buffer{};
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    if (left <= 0 || ::poll(polls.data(), polls.size(), static_cast<int>(left)) <= 0) return std::nullopt;
    const auto now = Clock::now().time_since_epoch();
    for (std::size_t i = 0; i < polls.size(); ++i) {
      if (polls[i].revents == 0) continue;
      const auto got = ::recv(polls[i].fd, buffer.data(), buffer.size(), 0);
      std::span<const unsigned char> rest(buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
      while (rest.size() >= sizeof(nlmsghdr)) {
        nlmsghdr header{};
        std::memcpy(&header, rest.data(), sizeof(header));
        if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > rest.size()) break;
        if (const auto lost = lost_route(rest.subspan(0, header.nlmsg_len))) missing.erase({i, *lost});
        rest = rest.subspan(std::min<std::size_t>(rest.size(), NLMSG_ALIGN(header.nlmsg_len)));
      }
    }
    if (missing.empty()) return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  }
}

}  // namespace lab
