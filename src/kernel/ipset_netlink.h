// ipset_netlink.h: IP sets over nfnetlink (NFNL_SUBSYS_IPSET). Works from protocol 6 (kernel 2.6.39) on.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "kernel/ipset.h"
#include "kernel/netlink/socket.h"

namespace kernel {

class NetlinkIpSets final : public IpSetKernel {
 public:
  // Opens the socket in the calling thread's network namespace and agrees on the protocol version. kUnsupported when
  // the kernel has no IP sets.
  [[nodiscard]] static base::Result<std::unique_ptr<NetlinkIpSets>> open(const netlink::SocketOptions& options = {});

  [[nodiscard]] base::Result<std::vector<reconcile::IpSetHeader>> list_headers() override;
  [[nodiscard]] base::Result<reconcile::IpSetContents> list(std::string_view name) override;
  [[nodiscard]] base::Result<std::vector<reconcile::IpSetOutcome>> apply(
      std::span<const reconcile::IpSetEdit> edits) override;

 private:
  explicit NetlinkIpSets(netlink::Socket socket) : socket_(std::move(socket)) {}
  [[nodiscard]] base::Result<> negotiate();
  void begin(netlink::Batch& batch, int command, std::uint16_t flags = 0) const;
  void add_create(netlink::Batch& batch, const reconcile::IpSetEdit& edit);
  // As many members from `first` on as fit one message; returns the index after the last.
  std::size_t add_members(netlink::Batch& batch, const reconcile::IpSetEdit& edit, std::size_t first) const;
  std::uint8_t revision_of(reconcile::IpSetType type, base::Family family);
  [[nodiscard]] base::Result<> resend_after_refusals(const reconcile::IpSetEdit& edit, std::size_t from, std::size_t to,
                                                     reconcile::IpSetOutcome& outcome);

  netlink::Socket socket_;
  std::uint8_t protocol_ = 6;
  std::map<std::pair<reconcile::IpSetType, base::Family>, std::uint8_t> revisions_;
};

// For the fuzzer and tests: one LIST message into headers and contents. False when it is malformed or no list message.
bool parse_ip_set_message(netlink::Bytes payload, reconcile::IpSetContents& contents);

}  // namespace kernel
