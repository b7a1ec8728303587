#include "kernel/neighbour.h"

#include <cerrno>

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "kernel/netlink/table.h"

namespace kernel {
namespace {

using base::fail;
using base::Family;
using base::Result;
using netlink::AttributeTable;
using netlink::Batch;
using netlink::Bytes;
using reconcile::NeighbourEdit;
using reconcile::NeighbourEntry;

constexpr std::size_t kNeighbourAttributes = NDA_MAX + 1;

void put_edit(Batch& batch, const NeighbourEdit& edit) {
  const bool remove = edit.kind == NeighbourEdit::Kind::kRemove;
  if (remove) {
    batch.begin(RTM_DELNEIGH, 0);
  } else {
    batch.begin(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
  }
  ndmsg header{};
  header.ndm_family = netlink::family_number(edit.entry.neighbour.address.family());
  header.ndm_ifindex = static_cast<int>(edit.entry.interface);
  header.ndm_state = NUD_PERMANENT;
  header.ndm_type = RTN_UNICAST;
  batch.header(header);
  batch.put_address(NDA_DST, edit.entry.neighbour.address);
  if (!remove) batch.put(NDA_LLADDR, edit.entry.neighbour.mac.bytes);
  batch.end();
}

NeighbourReply reply_of(const NeighbourEdit& edit, const netlink::Reply& reply) {
  const bool remove = edit.kind == NeighbourEdit::Kind::kRemove;
  switch (reply.error) {
    case 0: return {};
    case ENOENT:
      if (remove) return {};
      break;
    case ENODEV:
    case ENETDOWN: return {.done = remove, .interface_down = true};
    default: break;
  }
  return {.done = false, .text = netlink::reply_error(reply, reconcile::to_string(edit.entry)).text()};
}

}  // namespace

std::optional<NeighbourEntry> parse_neighbour_message(Bytes payload) {
  const auto header = netlink::fixed_header<ndmsg>(payload);
  if (!header || header->ndm_ifindex <= 0) return std::nullopt;
  const AttributeTable<kNeighbourAttributes> table(netlink::after_header<ndmsg>(payload));
  if (table.malformed() || !table[NDA_DST] || !table[NDA_LLADDR]) return std::nullopt;
  const auto address = table[NDA_DST]->address();
  const Bytes mac = table[NDA_LLADDR]->payload;
  NeighbourEntry entry;
  if (!address || mac.size() != entry.neighbour.mac.bytes.size()) return std::nullopt;
  entry.interface = static_cast<reconcile::IfIndex>(header->ndm_ifindex);
  entry.neighbour.address = *address;
  std::copy(mac.begin(), mac.end(), entry.neighbour.mac.bytes.begin());
  entry.permanent = (header->ndm_state & NUD_PERMANENT) != 0;
  return entry;
}

Result<std::unique_ptr<NetlinkNeighbours>> NetlinkNeighbours::open(const netlink::SocketOptions& options) {
  auto socket = netlink::Socket::open(netlink::Bus::kRoute, options);
  if (!socket) return fail(std::move(socket).error().in("neighbours"));
  return std::unique_ptr<NetlinkNeighbours>(new NetlinkNeighbours(std::move(*socket)));
}

Result<std::vector<NeighbourEntry>> NetlinkNeighbours::list(Family family) {
  Batch batch;
  batch.begin(RTM_GETNEIGH, 0);
  ndmsg header{};
  header.ndm_family = netlink::family_number(family);
  batch.header(header);
  batch.end();
  return netlink::read_table<NeighbourEntry>(socket_, batch, "list neighbours", RTM_NEWNEIGH, parse_neighbour_message);
}

Result<std::vector<NeighbourReply>> NetlinkNeighbours::apply(std::span<const NeighbourEdit> edits) {
  return netlink::change_table<NeighbourReply>(socket_, edits, "neighbours", put_edit, reply_of);
}

ApplyReport NeighbourSyncer::apply() {
  ApplyReport report;
  const auto failed = [&](std::string object, base::Error error) {
    ++counters_.errors;
    report.problems.push_back({.object = std::move(object), .error = std::move(error)});
    report.retry = true;
  };
  if (resync_) {
    ++counters_.dumps;
    auto entries = kernel_.list(family_);
    if (!entries) {
      failed("neighbours", std::move(entries).error());
      return report;
    }
    planner_.observe_all(*entries);
    resync_ = false;
  }
  const std::vector<NeighbourEdit> edits = planner_.plan();
  if (edits.empty()) return report;
  counters_.writes += edits.size();
  auto replies = kernel_.apply(edits);
  if (!replies) {
    resync_ = true;
    failed("neighbours", std::move(replies).error());
    return report;
  }
  for (std::size_t i = 0; i < edits.size(); ++i) {
    NeighbourReply& reply = (*replies)[i];
    planner_.record(edits[i], reply.done, reply.interface_down);
    if (reply.done || reply.interface_down) continue;
    failed("neighbour " + reconcile::to_string(edits[i].entry, planner_.interface_name(edits[i].entry.interface)),
           base::Error(base::ErrorKind::kSystem, std::move(reply.text)));
  }
  return report;
}

}  // namespace kernel
