#include "kernel/arp_table.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/fd.h"

namespace kernel {
namespace {

using base::Error;
using base::fail;

constexpr std::string_view kTable{"calico-arp", 11};  // with its NUL
constexpr std::uint32_t kDelete = 2;                  // sequence numbers
constexpr std::uint32_t kBegin = 1, kEnd = 3;
constexpr timeval kTimeout{.tv_sec = 5, .tv_usec = 0};

struct Header {
  nlmsghdr netlink;
  nfgenmsg netfilter;
};
struct Transaction {
  Header begin;
  Header remove;
  nlattr name;
  std::array<char, 12> text;  // padded
  Header end;
};
static_assert(sizeof(Transaction) == 3 * sizeof(Header) + sizeof(nlattr) + 12);

Header header(std::uint16_t type, std::uint16_t flags, std::uint32_t sequence, std::uint8_t family,
              std::uint16_t resource, std::size_t more = 0) {
  Header out{};
  out.netlink.nlmsg_len = static_cast<std::uint32_t>(sizeof(Header) + more);
  out.netlink.nlmsg_type = type;
  out.netlink.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  out.netlink.nlmsg_seq = sequence;
  out.netfilter.nfgen_family = family;
  out.netfilter.version = NFNETLINK_V0;
  out.netfilter.res_id = htons(resource);
  return out;
}

// Of the acknowledgement of kDelete: the kernel's errno, or 0. Whether begin and end of a transaction are acknowledged
// too depends on the kernel, so nothing but the one in the middle asks for it.
base::Result<int> acknowledgement(const base::Fd& socket) {
  alignas(nlmsghdr) std::array<char, 8192> answer;
  for (;;) {
    const ssize_t got = ::recv(socket.get(), answer.data(), answer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < static_cast<ssize_t>(sizeof(nlmsghdr) + sizeof(int))) {
      return fail(Error::unavailable("no answer from nf_tables"));
    }
    nlmsghdr message;
    int error = 0;
    std::memcpy(&message, answer.data(), sizeof(message));
    std::memcpy(&error, answer.data() + sizeof(message), sizeof(error));
    if (message.nlmsg_type != NLMSG_ERROR) continue;
    if (message.nlmsg_seq == kDelete || error != 0) return -error;
  }
}

}  // namespace

base::Result<bool> remove_calico_arp_table() {
  const base::Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!socket && errno == EPROTONOSUPPORT) return false;
  if (!socket) return fail(Error::system(errno, "netlink"));
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kTimeout, sizeof(kTimeout));

  Transaction request{};
  request.begin = header(NFNL_MSG_BATCH_BEGIN, 0, kBegin, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
  request.remove = header((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_DELTABLE, NLM_F_ACK, kDelete, NFPROTO_ARP, 0,
                          sizeof(request.name) + request.text.size());
  request.name.nla_len = static_cast<std::uint16_t>(sizeof(request.name) + kTable.size());
  request.name.nla_type = NFTA_TABLE_NAME;
  std::copy(kTable.begin(), kTable.end(), request.text.begin());
  request.end = header(NFNL_MSG_BATCH_END, 0, kEnd, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
  if (::send(socket.get(), &request, sizeof(request), 0) != static_cast<ssize_t>(sizeof(request))) {
    return fail(Error::system(errno, "netlink"));
  }
  const auto error = acknowledgement(socket);
  if (!error) return fail(error.error());
  switch (*error) {
    case 0: return true;
    case ENOENT:                // no such table
    case EAFNOSUPPORT:          // no ARP tables in this kernel
    case EOPNOTSUPP:            // no nf_tables
    case EINVAL: return false;  // likewise, before 4.x
    default: return fail(Error::system(*error, "table arp calico-arp"));
  }
}

}  // namespace kernel
