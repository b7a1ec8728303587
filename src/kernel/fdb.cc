#include "kernel/fdb.h"

#include <algorithm>
#include <cerrno>

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace kernel {
namespace {

using base::fail;
using base::Result;
using netlink::AttributeTable;
using netlink::Batch;
using netlink::Bytes;
using reconcile::FdbEdit;
using reconcile::FdbEntry;

constexpr std::size_t kNeighbourAttributes = NDA_MAX + 1;

ndmsg bridge_header(reconcile::IfIndex interface) {
  ndmsg header{};
  header.ndm_family = AF_BRIDGE;
  header.ndm_ifindex = static_cast<int>(interface);
  return header;
}

}  // namespace

std::optional<FdbEntry> parse_fdb_message(Bytes payload) {
  const auto header = netlink::fixed_header<ndmsg>(payload);
  if (!header || header->ndm_family != AF_BRIDGE || header->ndm_ifindex <= 0) return std::nullopt;
  if ((header->ndm_state & NUD_PERMANENT) == 0) return std::nullopt;
  const AttributeTable<kNeighbourAttributes> table(netlink::after_header<ndmsg>(payload));
  if (table.malformed() || !table[NDA_LLADDR] || !table[NDA_DST]) return std::nullopt;
  const Bytes mac = table[NDA_LLADDR]->payload;
  const auto host = table[NDA_DST]->address();
  FdbEntry entry;
  if (!host || mac.size() != entry.mac.bytes.size()) return std::nullopt;
  entry.interface = static_cast<reconcile::IfIndex>(header->ndm_ifindex);
  std::copy(mac.begin(), mac.end(), entry.mac.bytes.begin());
  entry.host = *host;
  return entry;
}

Result<std::unique_ptr<NetlinkFdb>> NetlinkFdb::open(const netlink::SocketOptions& options) {
  auto socket = netlink::Socket::open(netlink::Bus::kRoute, options);
  if (!socket) return fail(std::move(socket).error().in("forwarding table"));
  return std::unique_ptr<NetlinkFdb>(new NetlinkFdb(std::move(*socket)));
}

Result<std::vector<FdbEntry>> NetlinkFdb::list(reconcile::IfIndex interface) {
  Batch batch;
  batch.begin(RTM_GETNEIGH, 0);
  batch.header(bridge_header(socket_.strict() ? interface : 0));
  batch.end();
  std::vector<FdbEntry> entries;
  auto done = socket_.dump(
      batch, "list forwarding table", [&] { entries.clear(); },
      [&](const netlink::Message& message) {
        if (message.type != RTM_NEWNEIGH) return;
        const auto entry = parse_fdb_message(message.payload);
        if (entry && entry->interface == interface) entries.push_back(*entry);
      });
  if (!done) return fail(std::move(done).error());
  return entries;
}

Result<std::vector<FdbReply>> NetlinkFdb::apply(std::span<const FdbEdit> edits) {
  std::vector<FdbReply> replies;
  if (edits.empty()) return replies;
  Batch batch;
  for (const FdbEdit& edit : edits) {
    const bool remove = edit.kind == FdbEdit::Kind::kRemove;
    if (remove) {
      batch.begin(RTM_DELNEIGH, 0);
    } else {
      batch.begin(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
    }
    ndmsg header = bridge_header(edit.entry.interface);
    header.ndm_state = NUD_PERMANENT;
    header.ndm_flags = NTF_SELF;
    batch.header(header);
    batch.put(NDA_LLADDR, edit.entry.mac.bytes);
    batch.put_address(NDA_DST, edit.entry.host);
    batch.end();
  }
  auto answers = socket_.execute(batch);
  if (!answers) return fail(std::move(answers).error().in("forwarding table"));
  for (std::size_t i = 0; i < edits.size(); ++i) {
    const netlink::Reply& reply = (*answers)[i];
    const bool gone = edits[i].kind == FdbEdit::Kind::kRemove && (reply.error == ENOENT || reply.error == ENODEV);
    if (reply.error == 0 || gone) {
      replies.push_back({});
    } else {
      replies.push_back(
          {.done = false, .text = netlink::reply_error(reply, reconcile::to_string(edits[i].entry)).text()});
    }
  }
  return replies;
}

// --- Syncer

void FdbSyncer::want(std::string_view interface, reconcile::FdbTable table) {
  Device& device = devices_[std::string(interface)];
  if (const auto there = present_.find(interface); there != present_.end()) device.index = there->second;
  if (device.wanted == table && !device.dirty) return;
  device.wanted = std::move(table);
  device.dirty = true;
}

void FdbSyncer::interface_present(std::string_view name, reconcile::IfIndex index) {
  const auto [known, is_new] = present_.try_emplace(std::string(name), index);
  if (!is_new && known->second == index) return;
  known->second = index;
  const auto device = devices_.find(name);
  if (device == devices_.end()) return;
  device->second.index = index;
  device->second.dirty = true;
}

void FdbSyncer::interface_gone(std::string_view name) {
  if (const auto there = present_.find(name); there != present_.end()) present_.erase(there);
  if (const auto device = devices_.find(name); device != devices_.end()) device->second.index = 0;
}

void FdbSyncer::request_resync() {
  for (auto& [name, device] : devices_) device.dirty = true;
}

ApplyReport FdbSyncer::apply() {
  ApplyReport report;
  for (auto& [name, device] : devices_) {
    if (device.dirty && device.index != 0) bring_up_to_date(name, device, report);
  }
  return report;
}

void FdbSyncer::bring_up_to_date(const std::string& name, Device& device, ApplyReport& report) {
  const auto failed = [&](std::string object, base::Error error) {
    ++counters_.errors;
    report.problems.push_back({.object = std::move(object), .error = std::move(error)});
    report.retry = true;
  };
  ++counters_.dumps;
  auto actual = kernel_.list(device.index);
  if (!actual) return failed("forwarding table of " + name, std::move(actual).error());
  const std::vector<FdbEdit> edits = reconcile::plan_fdb(device.wanted, device.index, *actual);
  counters_.writes += edits.size();
  auto replies = kernel_.apply(edits);
  if (!replies) return failed("forwarding table of " + name, std::move(replies).error());
  device.dirty = false;
  for (std::size_t i = 0; i < edits.size(); ++i) {
    if ((*replies)[i].done) continue;
    device.dirty = true;
    failed("forwarding entry " + reconcile::to_string(edits[i].entry, name),
           base::Error(base::ErrorKind::kSystem, std::move((*replies)[i].text)));
  }
}

// --- Fake

Result<std::vector<FdbEntry>> FakeFdb::list(reconcile::IfIndex interface) {
  std::vector<FdbEntry> found;
  for (const FdbEntry& entry : entries) {
    if (entry.interface == interface) found.push_back(entry);
  }
  return found;
}

Result<std::vector<FdbReply>> FakeFdb::apply(std::span<const FdbEdit> edits) {
  if (break_conversations > 0) {
    --break_conversations;
    return fail(base::Error::unavailable("netlink: the kernel did not answer in time"));
  }
  for (const FdbEdit& edit : edits) {
    if (edit.kind == FdbEdit::Kind::kRemove) {
      entries.erase(edit.entry);
      continue;
    }
    std::erase_if(entries, [&](const FdbEntry& entry) {
      return entry.interface == edit.entry.interface && entry.mac == edit.entry.mac;
    });
    entries.insert(edit.entry);
  }
  return std::vector<FdbReply>(edits.size());
}

}  // namespace kernel
