// route_netlink.h: the main routing table over rtnetlink (spec dataplane §16.4).
#pragma once

#include <memory>
#include <optional>

#include "kernel/netlink/socket.h"
#include "kernel/route.h"

namespace kernel {

class NetlinkRoutes final : public RouteKernel {
 public:
  // In the calling thread's network namespace.
  [[nodiscard]] static base::Result<std::unique_ptr<NetlinkRoutes>> open(const netlink::SocketOptions& options = {});

  [[nodiscard]] base::Result<std::vector<reconcile::Route>> list(base::Family family) override {
    return dump(family, 0);
  }
  [[nodiscard]] base::Result<std::vector<reconcile::Route>> list_interface(base::Family family,
                                                                           reconcile::IfIndex interface) override {
    return dump(family, interface);
  }
  [[nodiscard]] base::Result<std::vector<RouteReply>> apply(std::span<const reconcile::RouteEdit> edits) override;

 private:
  explicit NetlinkRoutes(netlink::Socket socket) : socket_(std::move(socket)) {}
  [[nodiscard]] base::Result<std::vector<reconcile::Route>> dump(base::Family family, reconcile::IfIndex interface);

  netlink::Socket socket_;
};

constexpr std::uint32_t kMainTable = 254;
constexpr std::uint32_t kLocalTable = 255;

// One RTM_NEWROUTE or RTM_DELROUTE message; nothing when it is malformed, cached, or of another table.
std::optional<reconcile::Route> parse_route_message(netlink::Bytes payload, std::uint32_t table);

}  // namespace kernel
