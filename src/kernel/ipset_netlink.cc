#include "kernel/ipset_netlink.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

namespace kernel {
namespace {

using base::Error;
using base::fail;
using base::Family;
using base::Result;
using netlink::AttributeReader;
using netlink::AttributeTable;
using netlink::Batch;
using netlink::Bytes;
using reconcile::IpSetContents;
using reconcile::IpSetEdit;
using reconcile::IpSetFailure;
using reconcile::IpSetHeader;
using reconcile::IpSetMember;
using reconcile::IpSetOutcome;
using reconcile::IpSetType;

constexpr int kSubsystem = NFNL_SUBSYS_IPSET << 8;
constexpr std::uint8_t kNewestProtocol = 7;
constexpr int kSetFull = IPSET_ERR_TYPE_SPECIFIC;  // in the hash types: IPSET_ERR_HASH_FULL
constexpr std::size_t kCommandAttributes = IPSET_ATTR_CMD_MAX + 1;
constexpr std::size_t kDataAttributes = std::max<std::size_t>(IPSET_ATTR_CREATE_MAX, IPSET_ATTR_ADT_MAX) + 1;
// One message's list of members must fit the 16-bit length of an attribute. A member takes 32 bytes (IPv4) to 52 bytes
// (IPv6 with port), so 1,100 members are 57 KiB at most.
constexpr std::size_t kMembersPerMessage = 1100;
// The kernel doubles a table when a bucket overflows; starting at the final size saves copying it again and again, and
// small sets start smaller than the kernel's default of 1024 buckets (8 KiB each).
constexpr std::uint32_t kSmallestHash = 64;
constexpr std::uint32_t kLargestFirstHash = 65536;

// Newest revision whose meaning this code knows.
std::uint8_t known_revision(IpSetType type) {
  switch (type) {
    case IpSetType::kHashNet: return 7;
    case IpSetType::kHashIp: return 6;
    case IpSetType::kHashIpPort: return 7;
    case IpSetType::kOther: break;
  }
  return 0;
}

std::uint32_t first_hash_size(std::uint32_t members) {
  return std::clamp(std::bit_ceil(members / 4 + 1), kSmallestHash, kLargestFirstHash);
}

std::string refusal_text(int code) {
  switch (code) {
    case IPSET_ERR_PROTOCOL: return "kernel and agent disagree about the message";
    case IPSET_ERR_FIND_TYPE: return "the kernel has no such set type";
    case IPSET_ERR_MAX_SETS: return "too many sets";
    case IPSET_ERR_BUSY:
    case IPSET_ERR_REFERENCED: return "set is in use by a rule";
    case IPSET_ERR_EXIST_SETNAME2: return "second set name is taken or missing";
    case IPSET_ERR_TYPE_MISMATCH: return "sets have different types";
    case IPSET_ERR_EXIST: return "member exists, or set exists with other parameters";
    case IPSET_ERR_INVALID_CIDR: return "prefix length not allowed in this set";
    case IPSET_ERR_INVALID_FAMILY: return "address family not allowed in this set";
    case kSetFull: return "set is full (maxelem)";
    case kSetFull + 1: return "no such member";
    default: break;
  }
  return code < IPSET_ERR_PRIVATE ? std::strerror(code) : "set error " + std::to_string(code);
}

IpSetFailure failure_of(IpSetEdit::Kind kind, int code) {
  switch (code) {
    case 0: return IpSetFailure::kNone;
    case ENOENT: return IpSetFailure::kMissing;
    case EEXIST:
    case IPSET_ERR_EXIST: return IpSetFailure::kExists;
    case IPSET_ERR_EXIST_SETNAME2:
      return kind == IpSetEdit::Kind::kRename ? IpSetFailure::kExists : IpSetFailure::kMissing;
    case IPSET_ERR_BUSY:
    case IPSET_ERR_REFERENCED:
    case EBUSY: return IpSetFailure::kReferenced;
    case IPSET_ERR_TYPE_MISMATCH: return IpSetFailure::kTypeMismatch;
    default: return IpSetFailure::kRefused;
  }
}

// ---- Reading ----

std::optional<base::IpAddress> nested_address(const netlink::Attribute& attribute) {
  AttributeReader reader(attribute.payload);
  while (const auto inner = reader.next()) {
    if (inner->type == IPSET_ATTR_IPADDR_IPV4 || inner->type == IPSET_ATTR_IPADDR_IPV6) return inner->address();
  }
  return std::nullopt;
}

// False when the member says something this agent never writes (nomatch, a timeout, a range).
bool parse_member(Bytes bytes, std::vector<IpSetMember>& members) {
  const AttributeTable<kDataAttributes> data(bytes);
  if (data.malformed() || !data[IPSET_ATTR_IP]) return false;
  const auto address = nested_address(*data[IPSET_ATTR_IP]);
  if (!address || data[IPSET_ATTR_IP_TO] || data[IPSET_ATTR_CADT_FLAGS] || data[IPSET_ATTR_TIMEOUT]) return false;
  IpSetMember member{.prefix = base::Prefix::host(*address)};
  if (data[IPSET_ATTR_CIDR]) {
    const auto length = data[IPSET_ATTR_CIDR]->u8();
    if (!length || *length > base::address_bits(address->family())) return false;
    member.prefix.length = *length;
  }
  if (data[IPSET_ATTR_PORT]) {
    const auto port = data[IPSET_ATTR_PORT]->be16();
    const auto protocol = data[IPSET_ATTR_PROTO] ? data[IPSET_ATTR_PROTO]->u8() : std::nullopt;
    if (!port || !protocol) return false;
    member.port = *port;
    member.protocol = *protocol;
  }
  members.push_back(member);
  return true;
}

void parse_create_data(Bytes bytes, IpSetHeader& header) {
  const AttributeTable<kDataAttributes> data(bytes);
  if (data[IPSET_ATTR_MAXELEM]) header.shape.max_elements = data[IPSET_ATTR_MAXELEM]->be32().value_or(0);
  if (data[IPSET_ATTR_REFERENCES]) header.references = data[IPSET_ATTR_REFERENCES]->be32().value_or(0);
  if (data[IPSET_ATTR_TIMEOUT] || data[IPSET_ATTR_NETMASK] || data[IPSET_ATTR_MARKMASK] || data.malformed())
    header.plain = false;
  if (data[IPSET_ATTR_CADT_FLAGS] && data[IPSET_ATTR_CADT_FLAGS]->be32().value_or(1) != 0) header.plain = false;
}

}  // namespace

bool parse_ip_set_message(Bytes payload, IpSetContents& contents) {
  if (!netlink::fixed_header<nfgenmsg>(payload)) return false;
  const AttributeTable<kCommandAttributes> command(netlink::after_header<nfgenmsg>(payload));
  if (command.malformed() || !command[IPSET_ATTR_SETNAME]) return false;
  IpSetHeader& header = contents.header;
  header.name = command[IPSET_ATTR_SETNAME]->text();
  if (command[IPSET_ATTR_TYPENAME]) {
    header.shape.type = reconcile::parse_ip_set_type(command[IPSET_ATTR_TYPENAME]->text());
    const auto family = command[IPSET_ATTR_FAMILY] ? command[IPSET_ATTR_FAMILY]->u8() : std::nullopt;
    header.family = family == AF_INET6 ? Family::kIpv6 : Family::kIpv4;
  }
  if (command[IPSET_ATTR_DATA]) parse_create_data(command[IPSET_ATTR_DATA]->payload, header);
  if (!command[IPSET_ATTR_ADT]) return true;
  AttributeReader members(command[IPSET_ATTR_ADT]->payload);
  while (const auto member = members.next()) {
    if (!parse_member(member->payload, contents.members)) header.plain = false;
  }
  return !members.malformed();
}

Result<std::unique_ptr<NetlinkIpSets>> NetlinkIpSets::open(const netlink::SocketOptions& options) {
  auto socket = netlink::Socket::open(netlink::Bus::kNetfilter, options);
  if (!socket) return fail(std::move(socket).error());
  std::unique_ptr<NetlinkIpSets> sets(new NetlinkIpSets(std::move(*socket)));
  if (auto agreed = sets->negotiate(); !agreed) return fail(std::move(agreed).error());
  return sets;
}

void NetlinkIpSets::begin(Batch& batch, int command, std::uint16_t flags) const {
  batch.begin(static_cast<std::uint16_t>(kSubsystem | command), flags);
  nfgenmsg header{};
  header.nfgen_family = AF_INET;
  header.version = NFNETLINK_V0;
  batch.header(header);
  batch.put_u8(IPSET_ATTR_PROTOCOL, protocol_);
}

Result<> NetlinkIpSets::negotiate() {
  Batch batch;
  begin(batch, IPSET_CMD_PROTOCOL);
  batch.end();
  auto replies = socket_.execute(batch);
  if (!replies) return fail(std::move(replies).error().in("IP sets"));
  const netlink::Reply& reply = replies->front();
  if (reply.error == EINVAL || reply.error == EOPNOTSUPP) {
    return fail(Error::unsupported("this kernel has no IP sets (module ip_set)"));
  }
  if (reply.error != 0) return fail(netlink::reply_error(reply, "IP set protocol"));
  const AttributeTable<kCommandAttributes> answer(netlink::after_header<nfgenmsg>(reply.data));
  const auto newest = answer[IPSET_ATTR_PROTOCOL] ? answer[IPSET_ATTR_PROTOCOL]->u8() : std::nullopt;
  protocol_ = std::min(newest.value_or(protocol_), kNewestProtocol);
  return {};
}

std::uint8_t NetlinkIpSets::revision_of(IpSetType type, Family family) {
  const auto key = std::pair(type, family);
  if (const auto found = revisions_.find(key); found != revisions_.end()) return found->second;
  Batch batch;
  begin(batch, IPSET_CMD_TYPE);
  batch.put_text(IPSET_ATTR_TYPENAME, reconcile::to_string(type));
  batch.put_u8(IPSET_ATTR_FAMILY, netlink::family_number(family));
  batch.end();
  std::uint8_t revision = 0;
  auto replies = socket_.execute(batch);
  // Any failure shows again, with its reason, in the creation that follows.
  if (!replies || replies->front().error != 0) return revision;
  const AttributeTable<kCommandAttributes> answer(netlink::after_header<nfgenmsg>(replies->front().data));
  const std::uint8_t newest =
      answer[IPSET_ATTR_REVISION] ? answer[IPSET_ATTR_REVISION]->u8().value_or(0) : std::uint8_t{0};
  const std::uint8_t oldest =
      answer[IPSET_ATTR_REVISION_MIN] ? answer[IPSET_ATTR_REVISION_MIN]->u8().value_or(0) : std::uint8_t{0};
  revision = std::max(oldest, std::min(newest, known_revision(type)));
  revisions_.emplace(key, revision);
  return revision;
}

Result<std::vector<IpSetHeader>> NetlinkIpSets::list_headers() {
  Batch batch;
  begin(batch, IPSET_CMD_LIST);
  batch.put_be32(IPSET_ATTR_FLAGS, IPSET_FLAG_LIST_HEADER);
  batch.end();
  std::vector<IpSetHeader> headers;
  auto done = socket_.dump(
      batch, "list IP sets", [&] { headers.clear(); },
      [&](const netlink::Message& message) {
        IpSetContents contents;
        if (parse_ip_set_message(message.payload, contents)) headers.push_back(std::move(contents.header));
      });
  if (!done) return fail(std::move(done).error());
  return headers;
}

Result<IpSetContents> NetlinkIpSets::list(std::string_view name) {
  Batch batch;
  begin(batch, IPSET_CMD_LIST);
  batch.put_text(IPSET_ATTR_SETNAME, name);
  batch.end();
  IpSetContents contents;
  bool malformed = false;
  auto done = socket_.dump(
      batch, "list IP set " + std::string(name), [&] { contents = {}; },
      [&](const netlink::Message& message) {
        malformed = !parse_ip_set_message(message.payload, contents) || malformed;
      });
  if (!done) {
    if (done.error().error_number() == ENOENT) return fail(Error::not_found("IP set " + std::string(name)));
    return fail(std::move(done).error());
  }
  if (malformed) return fail(Error::internal("malformed answer").in("list IP set " + std::string(name)));
  return contents;
}

// ---- Writing ----

void NetlinkIpSets::add_create(Batch& batch, const IpSetEdit& edit) {
  // Names say the family (spec §2.3).
  const Family family = edit.set.starts_with("cali6") ? Family::kIpv6 : Family::kIpv4;
  begin(batch, IPSET_CMD_CREATE, NLM_F_CREATE | NLM_F_EXCL);
  batch.put_text(IPSET_ATTR_SETNAME, edit.set);
  batch.put_text(IPSET_ATTR_TYPENAME, reconcile::to_string(edit.shape.type));
  batch.put_u8(IPSET_ATTR_REVISION, revision_of(edit.shape.type, family));
  batch.put_u8(IPSET_ATTR_FAMILY, netlink::family_number(family));
  const std::size_t data = batch.nest(IPSET_ATTR_DATA);
  batch.put_be32(IPSET_ATTR_HASHSIZE, first_hash_size(edit.expected_size));
  batch.put_be32(IPSET_ATTR_MAXELEM, edit.shape.max_elements);
  batch.end_nest(data);
  batch.end();
}

std::size_t NetlinkIpSets::add_members(Batch& batch, const IpSetEdit& edit, std::size_t first) const {
  const std::size_t last = std::min(edit.members.size(), first + kMembersPerMessage);
  begin(batch,
        edit.kind == IpSetEdit::Kind::kAdd ? IPSET_CMD_ADD : IPSET_CMD_DEL);  // without NLM_F_EXCL "exist" is implied
  batch.put_text(IPSET_ATTR_SETNAME, edit.set);
  batch.put_u32(IPSET_ATTR_LINENO, 0);
  const std::size_t list = batch.nest(IPSET_ATTR_ADT);
  for (std::size_t i = first; i < last; ++i) {
    const IpSetMember& member = edit.members[i];
    const std::size_t data = batch.nest(IPSET_ATTR_DATA);
    const std::size_t address = batch.nest(IPSET_ATTR_IP);
    const std::uint16_t kind = member.prefix.address.is_v4() ? IPSET_ATTR_IPADDR_IPV4 : IPSET_ATTR_IPADDR_IPV6;
    batch.put_address(kind | netlink::kNetworkByteOrder, member.prefix.address);
    batch.end_nest(address);
    if (!member.prefix.is_host()) batch.put_u8(IPSET_ATTR_CIDR, member.prefix.length);
    if (member.protocol != 0) {
      batch.put_be16(IPSET_ATTR_PORT, member.port);
      batch.put_u8(IPSET_ATTR_PROTO, member.protocol);
    }
    // Returned by the kernel in the outer LINENO when this member is refused; 0 would say "none".
    batch.put_u32(IPSET_ATTR_LINENO, static_cast<std::uint32_t>(i - first + 1));
    batch.end_nest(data);
  }
  batch.end_nest(list);
  batch.end();
  return last;
}

namespace {

// Which of the messages of a batch belong to which edit, and which members.
struct Part {
  std::size_t edit;
  std::size_t first_member;
  std::size_t last_member;
};

// Index of the refused member within its message, from the request as the kernel echoes it.
std::optional<std::size_t> refused_line(const netlink::Reply& reply) {
  const AttributeTable<kCommandAttributes> request(netlink::after_header<nfgenmsg>(reply.request));
  const auto line = request[IPSET_ATTR_LINENO] ? request[IPSET_ATTR_LINENO]->u32() : std::nullopt;
  if (!line || *line == 0) return std::nullopt;
  return *line - 1;
}

// Notes a refused member and returns the first one worth trying again: when the set is full, none of this message.
std::size_t refuse(std::size_t member, std::size_t end, int code, IpSetOutcome& outcome) {
  const std::size_t next = code == kSetFull ? end : member + 1;
  for (std::size_t i = member; i < next; ++i) outcome.refused_members.push_back(i);
  return next;
}

}  // namespace

Result<std::vector<IpSetOutcome>> NetlinkIpSets::apply(std::span<const IpSetEdit> edits) {
  Batch batch;
  std::vector<Part> parts;
  for (std::size_t i = 0; i < edits.size(); ++i) {
    const IpSetEdit& edit = edits[i];
    switch (edit.kind) {
      case IpSetEdit::Kind::kCreate: add_create(batch, edit); break;
      case IpSetEdit::Kind::kAdd:
      case IpSetEdit::Kind::kDelete:
        for (std::size_t first = 0; first < edit.members.size();) {
          const std::size_t last = add_members(batch, edit, first);
          parts.push_back({i, first, last});
          first = last;
        }
        continue;
      case IpSetEdit::Kind::kSwap:
      case IpSetEdit::Kind::kRename:
        begin(batch, edit.kind == IpSetEdit::Kind::kSwap ? IPSET_CMD_SWAP : IPSET_CMD_RENAME);
        batch.put_text(IPSET_ATTR_SETNAME, edit.set);
        batch.put_text(IPSET_ATTR_SETNAME2, edit.other);
        batch.end();
        break;
      case IpSetEdit::Kind::kDestroy:
        begin(batch, IPSET_CMD_DESTROY);
        batch.put_text(IPSET_ATTR_SETNAME, edit.set);
        batch.end();
        break;
    }
    parts.push_back({i, 0, 0});
  }
  std::vector<IpSetOutcome> outcomes(edits.size());
  if (parts.empty()) return outcomes;
  auto replies = socket_.execute(batch);
  if (!replies) return fail(std::move(replies).error().in("IP sets"));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const netlink::Reply& reply = (*replies)[i];
    if (reply.error == 0) continue;
    const Part& part = parts[i];
    IpSetOutcome& outcome = outcomes[part.edit];
    const auto line = refused_line(reply);
    if (line && part.first_member + *line < part.last_member) {
      const std::size_t member = part.first_member + *line;
      if (outcome.refused_members.empty()) {
        outcome.text = reconcile::to_string(edits[part.edit].members[member]) + ": " + refusal_text(reply.error);
      }
      const std::size_t next = refuse(member, part.last_member, reply.error, outcome);
      if (auto sent = resend_after_refusals(edits[part.edit], next, part.last_member, outcome); !sent) {
        return fail(std::move(sent).error());
      }
      continue;
    }
    outcome.failure = failure_of(edits[part.edit].kind, reply.error);
    outcome.text = refusal_text(reply.error);
  }
  return outcomes;
}

// The kernel stops at the first refused member of a message; the rest of that message is sent again without it.
Result<> NetlinkIpSets::resend_after_refusals(const IpSetEdit& edit, std::size_t from, std::size_t to,
                                              IpSetOutcome& outcome) {
  while (from < to) {
    IpSetEdit rest{.kind = edit.kind, .set = edit.set};
    rest.members.assign(edit.members.begin() + static_cast<std::ptrdiff_t>(from),
                        edit.members.begin() + static_cast<std::ptrdiff_t>(to));
    Batch batch;
    add_members(batch, rest, 0);
    auto replies = socket_.execute(batch);
    if (!replies) return fail(std::move(replies).error().in("IP sets"));
    const netlink::Reply& reply = replies->front();
    if (reply.error == 0) return {};
    const auto line = refused_line(reply);
    if (!line || *line >= rest.members.size()) {
      outcome.failure = failure_of(edit.kind, reply.error);
      outcome.text = refusal_text(reply.error);
      return {};
    }
    from = refuse(from + *line, to, reply.error, outcome);
  }
  return {};
}

}  // namespace kernel
