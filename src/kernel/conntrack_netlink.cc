#include "kernel/conntrack_netlink.h"

#include <cerrno>
#include <utility>

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <sys/socket.h>

namespace kernel {
namespace {

using base::fail;
using base::Family;
using base::IpAddress;
using base::Result;
using netlink::AttributeTable;
using netlink::Batch;
using netlink::Bytes;

constexpr int kSubsystem = NFNL_SUBSYS_CTNETLINK << 8;
constexpr std::size_t kEntryAttributes = CTA_MAX + 1;
constexpr std::size_t kTupleAttributes = CTA_TUPLE_MAX + 1;
constexpr std::size_t kAddressAttributes = CTA_IP_MAX + 1;

void begin(Batch& batch, int command, std::uint16_t flags, std::uint8_t family) {
  batch.begin(static_cast<std::uint16_t>(kSubsystem | command), flags);
  nfgenmsg header{};
  header.nfgen_family = family;
  header.version = NFNETLINK_V0;
  batch.header(header);
}

std::optional<IpAddress> source_of(const std::optional<netlink::Attribute>& tuple) {
  if (!tuple) return std::nullopt;
  const AttributeTable<kTupleAttributes> parts(tuple->payload);
  if (!parts[CTA_TUPLE_IP]) return std::nullopt;
  const AttributeTable<kAddressAttributes> addresses(parts[CTA_TUPLE_IP]->payload);
  if (addresses[CTA_IP_V4_SRC]) return addresses[CTA_IP_V4_SRC]->address();
  if (addresses[CTA_IP_V6_SRC]) return addresses[CTA_IP_V6_SRC]->address();
  return std::nullopt;
}

// The entry is named by its original tuple, its zone and, so that a new entry of the same tuple is spared, its ID.
void put_deletion(Batch& batch, Bytes payload) {
  const auto header = netlink::fixed_header<nfgenmsg>(payload);
  const AttributeTable<kEntryAttributes> entry(netlink::after_header<nfgenmsg>(payload));
  begin(batch, IPCTNL_MSG_CT_DELETE, 0, header->nfgen_family);
  batch.put(CTA_TUPLE_ORIG | netlink::kNested, entry[CTA_TUPLE_ORIG]->payload);
  if (entry[CTA_ZONE]) batch.put(CTA_ZONE, entry[CTA_ZONE]->payload);
  if (entry[CTA_ID]) batch.put(CTA_ID, entry[CTA_ID]->payload);
  batch.end();
}

}  // namespace

bool conntrack_entry_belongs(Bytes payload, const std::set<IpAddress>& addresses) {
  if (!netlink::fixed_header<nfgenmsg>(payload)) return false;
  const AttributeTable<kEntryAttributes> entry(netlink::after_header<nfgenmsg>(payload));
  if (entry.malformed() || !entry[CTA_TUPLE_ORIG]) return false;
  const auto original = source_of(entry[CTA_TUPLE_ORIG]);
  if (original && addresses.contains(*original)) return true;
  const auto reply = source_of(entry[CTA_TUPLE_REPLY]);
  return reply && addresses.contains(*reply);
}

Result<std::unique_ptr<NetlinkConntrackCleaner>> NetlinkConntrackCleaner::open(base::Loop& loop) {
  auto reader = netlink::Socket::open(netlink::Bus::kNetfilter, {.non_blocking = true});
  if (!reader) return fail(std::move(reader).error().in("conntrack"));
  auto writer = netlink::Socket::open(netlink::Bus::kNetfilter);
  if (!writer) return fail(std::move(writer).error().in("conntrack"));
  return std::unique_ptr<NetlinkConntrackCleaner>(
      new NetlinkConntrackCleaner(loop, std::move(*reader), std::move(*writer)));
}

NetlinkConntrackCleaner::NetlinkConntrackCleaner(base::Loop& loop, netlink::Socket reader, netlink::Socket writer)
    : loop_(loop), reader_(std::move(reader)), writer_(std::move(writer)) {
  watch_ = loop_.watch_readable(reader_.fd(), [this] { read_slice(); });
}

NetlinkConntrackCleaner::~NetlinkConntrackCleaner() {
  loop_.unwatch(watch_);
  loop_.cancel(scheduled_);
  loop_.cancel(timeout_);
}

void NetlinkConntrackCleaner::remove(const IpAddress& address) {
  waiting_.insert(address);
  schedule();
}

bool NetlinkConntrackCleaner::busy(const IpAddress& address) const {
  return waiting_.contains(address) || running_.contains(address);
}

// The pass starts in a later turn, so that all addresses of one apply share it.
void NetlinkConntrackCleaner::schedule() {
  if (scheduled_ != base::TimerId{} || !running_.empty() || waiting_.empty()) return;
  scheduled_ = loop_.after(base::Duration::zero(), [this] {
    scheduled_ = {};
    start_pass();
  });
}

void NetlinkConntrackCleaner::start_pass() {
  if (running_.empty()) {
    const Family family = waiting_.begin()->family();
    while (!waiting_.empty() && waiting_.begin()->family() == family)
      running_.insert(waiting_.extract(waiting_.begin()));
    attempts_ = 0;
  }
  ++attempts_;
  broken_ = false;
  if (auto sent = send_request(); !sent) return end_pass(false);
  timeout_ = loop_.after(kPassTimeout, [this] {
    timeout_ = {};
    end_pass(false);
  });
}

Result<> NetlinkConntrackCleaner::send_request() {
  Batch batch;
  begin(batch, IPCTNL_MSG_CT_GET, NLM_F_DUMP, netlink::family_number(running_.begin()->family()));
  batch.end();
  auto sequence = reader_.send(batch);
  if (!sequence) return fail(std::move(sequence).error());
  sequence_ = *sequence;
  return {};
}

void NetlinkConntrackCleaner::read_slice() {
  Batch deletions;
  std::optional<bool> end;
  auto received = reader_.receive_some([&](const netlink::Message& message) {
    if (!sequence_ || message.sequence != *sequence_) return;
    if (message.type == NLMSG_DONE || message.type == NLMSG_ERROR) {
      const auto ack = netlink::parse_acknowledgement(message);
      end = ack && ack->error == 0 && (message.flags & NLM_F_DUMP_INTR) == 0;
      return;
    }
    handle(message, deletions);
  });
  carry_out(deletions);
  const bool lost = !received || *received == netlink::Socket::Received::kOverrun;
  if (lost && sequence_) return end_pass(false);
  if (end) end_pass(*end && !broken_);
}

void NetlinkConntrackCleaner::handle(const netlink::Message& message, Batch& deletions) {
  if (conntrack_entry_belongs(message.payload, running_)) put_deletion(deletions, message.payload);
}

void NetlinkConntrackCleaner::carry_out(Batch& deletions) {
  if (deletions.size() == 0) return;
  auto replies = writer_.execute(deletions);
  if (!replies) {
    broken_ = true;
    return;
  }
  for (const netlink::Reply& reply : *replies) {
    if (reply.error == 0) ++deleted_;
    if (reply.error != 0 && reply.error != ENOENT) broken_ = true;  // ENOENT: it ended by itself
  }
}

void NetlinkConntrackCleaner::end_pass(bool complete) {
  sequence_.reset();
  loop_.cancel(std::exchange(timeout_, {}));
  if (!complete) {
    // The old socket may still be in the middle of a dump.
    loop_.unwatch(watch_);
    (void)reader_.reopen();  // if this fails so does the next request, and counts as an attempt
    watch_ = loop_.watch_readable(reader_.fd(), [this] { read_slice(); });
  }
  if (!complete && attempts_ < kAttempts) {
    scheduled_ = loop_.after(base::Duration::zero(), [this] {
      scheduled_ = {};
      start_pass();
    });
    return;
  }
  if (!complete) ++failures_;
  const std::set<IpAddress> done = std::exchange(running_, {});
  schedule();
  for (const IpAddress& address : done) {
    // Asked for again meanwhile: not finished yet.
    if (finished_ && !waiting_.contains(address)) finished_(address);
  }
}

}  // namespace kernel
