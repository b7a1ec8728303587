#include "node/interfaces.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <utility>

#include "base/fd.h"
#include "base/strings.h"
#include "os/process.h"

namespace node {

using base::Error;

namespace {

std::optional<base::IpAddress> address_of(const sockaddr* address) {
  if (address == nullptr) return std::nullopt;
  const auto bytes = [](const auto& field) { return reinterpret_cast<const std::uint8_t*>(&field); };
  if (address->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof v4);
    return base::IpAddress::from_bytes(base::Family::kIpv4, bytes(v4.sin_addr));
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, address, sizeof v6);
    return base::IpAddress::from_bytes(base::Family::kIpv6, bytes(v6.sin6_addr));
  }
  return std::nullopt;
}

std::uint8_t length_of(const base::IpAddress& mask) {
  std::uint8_t length = 0;
  for (std::size_t i = 0; i < mask.size(); ++i)
    length += static_cast<std::uint8_t>(__builtin_popcount(mask.bytes()[i]));
  return length;
}

base::Result<base::IpAddress> resolve(const std::string& host, base::Family family) {
  if (const auto literal = base::parse_address(host)) return *literal;
  auto outcome = os::run({.arguments = {"getent", family == base::Family::kIpv4 ? "ahostsv4" : "ahostsv6", host},
                          .timeout = std::chrono::seconds(10)});
  if (!outcome) return base::fail(outcome.error());
  const std::string_view output = outcome->output;
  const auto address = base::parse_address(output.substr(0, output.find(' ')));
  if (!outcome->ok() || !address) return base::fail(Error::not_found("cannot look up " + host));
  return *address;
}

}  // namespace

base::Result<std::vector<Interface>> list_interfaces() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return base::fail(Error::system(errno, "list interfaces"));
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owned(list, &::freeifaddrs);
  std::map<int, Interface> found;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    const int index = static_cast<int>(::if_nametoindex(entry->ifa_name));
    Interface& interface = found[index];
    interface.index = index;
    interface.name = entry->ifa_name;
    interface.up = (entry->ifa_flags & IFF_UP) != 0;
    const auto address = address_of(entry->ifa_addr);
    const auto mask = address_of(entry->ifa_netmask);
    if (address && mask) interface.addresses.push_back({*address, length_of(*mask)});
  }
  std::vector<Interface> interfaces;
  for (auto& [index, interface] : found) interfaces.push_back(std::move(interface));
  return interfaces;
}

base::Result<base::IpAddress> find_local_address(const std::string& host, base::Family family) {
  const auto remote = resolve(host, family);
  if (!remote) return remote;
  if (remote->family() != family) return base::fail(Error::invalid("not of the wanted family", host));
  constexpr int kPort = 80;  // any: connecting a datagram socket only chooses a route
  const bool v4 = family == base::Family::kIpv4;
  const base::Fd fd(::socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_storage address{};
  if (v4) {
    auto* to = reinterpret_cast<sockaddr_in*>(&address);
    to->sin_family = AF_INET;
    to->sin_port = htons(kPort);
    std::memcpy(&to->sin_addr, remote->bytes(), 4);
  } else {
    auto* to = reinterpret_cast<sockaddr_in6*>(&address);
    to->sin6_family = AF_INET6;
    to->sin6_port = htons(kPort);
    std::memcpy(&to->sin6_addr, remote->bytes(), 16);
  }
  const socklen_t size = v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0)
    return base::fail(Error::system(errno, "find a route to " + host));
  sockaddr_storage local{};
  socklen_t local_size = sizeof local;
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&local), &local_size) != 0)
    return base::fail(Error::system(errno, "read the local address"));
  const auto found = address_of(reinterpret_cast<const sockaddr*>(&local));
  if (!found) return base::fail(Error::not_found("no local address towards " + host));
  return *found;
}

}  // namespace node
