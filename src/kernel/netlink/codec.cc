#include "kernel/netlink/codec.h"

#include <bit>
#include <cstring>

#include <linux/netlink.h>
#include <sys/socket.h>

#include "base/check.h"

namespace kernel::netlink {
namespace {

static_assert(sizeof(nlmsghdr) == kHeaderSize);
static_assert(sizeof(nlattr) == kAttributeHeaderSize);
static_assert(std::endian::native == std::endian::little || std::endian::native == std::endian::big);

constexpr std::uint16_t kTypeMask = 0x3FFF;
constexpr std::uint16_t kFlagCapped = 0x100;            // NLM_F_CAPPED
constexpr std::uint16_t kFlagAttributesFollow = 0x200;  // NLM_F_ACK_TLVS
constexpr std::uint16_t kAckText = 1;                   // NLMSGERR_ATTR_MSG

template <typename T>
std::optional<T> load(Bytes bytes) {
  if (bytes.size() < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

// Network order and back.
std::uint16_t swap16(std::uint16_t v) {
  if constexpr (std::endian::native == std::endian::big) return v;
  return static_cast<std::uint16_t>((v << 8) | (v >> 8));
}
std::uint32_t swap32(std::uint32_t v) {
  if constexpr (std::endian::native == std::endian::big) return v;
  return __builtin_bswap32(v);
}

}  // namespace

std::uint8_t family_number(base::Family family) { return family == base::Family::kIpv4 ? AF_INET : AF_INET6; }

std::optional<Message> MessageReader::next() {
  if (rest_.empty()) return std::nullopt;
  const auto header = load<nlmsghdr>(rest_);
  if (!header || header->nlmsg_len < kHeaderSize || header->nlmsg_len > rest_.size()) {
    malformed_ = true;
    rest_ = {};
    return std::nullopt;
  }
  Message message{.type = header->nlmsg_type,
                  .flags = header->nlmsg_flags,
                  .sequence = header->nlmsg_seq,
                  .port = header->nlmsg_pid,
                  .payload = rest_.subspan(kHeaderSize, header->nlmsg_len - kHeaderSize)};
  const std::size_t step = aligned(header->nlmsg_len);
  rest_ = step < rest_.size() ? rest_.subspan(step) : Bytes{};
  return message;
}

std::optional<Attribute> AttributeReader::next() {
  if (rest_.empty()) return std::nullopt;
  const auto header = load<nlattr>(rest_);
  if (!header || header->nla_len < kAttributeHeaderSize || header->nla_len > rest_.size()) {
    malformed_ = true;
    rest_ = {};
    return std::nullopt;
  }
  Attribute attribute{.type = static_cast<std::uint16_t>(header->nla_type & kTypeMask),
                      .payload = rest_.subspan(kAttributeHeaderSize, header->nla_len - kAttributeHeaderSize)};
  const std::size_t step = aligned(header->nla_len);
  rest_ = step < rest_.size() ? rest_.subspan(step) : Bytes{};
  return attribute;
}

std::optional<std::uint8_t> Attribute::u8() const { return load<std::uint8_t>(payload); }
std::optional<std::uint16_t> Attribute::u16() const { return load<std::uint16_t>(payload); }
std::optional<std::uint32_t> Attribute::u32() const { return load<std::uint32_t>(payload); }

std::optional<std::uint16_t> Attribute::be16() const {
  const auto value = u16();
  return value ? std::optional(swap16(*value)) : std::nullopt;
}

std::optional<std::uint32_t> Attribute::be32() const {
  const auto value = u32();
  return value ? std::optional(swap32(*value)) : std::nullopt;
}

std::string_view Attribute::text() const {
  const std::string_view all(reinterpret_cast<const char*>(payload.data()), payload.size());
  return all.substr(0, all.find('\0'));
}

std::optional<base::IpAddress> Attribute::address() const {
  if (payload.size() == 4) return base::IpAddress::from_bytes(base::Family::kIpv4, payload.data());
  if (payload.size() == 16) return base::IpAddress::from_bytes(base::Family::kIpv6, payload.data());
  return std::nullopt;
}

std::optional<Acknowledgement> parse_acknowledgement(const Message& message) {
  const auto code = load<std::int32_t>(message.payload);
  if (!code) return std::nullopt;
  Acknowledgement ack;
  // The kernel's codes are small negative numbers; whatever else arrives must not overflow when negated.
  ack.error = *code > 0 ? *code : (*code == INT32_MIN ? INT32_MAX : -*code);
  const Bytes rest = message.payload.subspan(sizeof *code);
  if (message.type == NLMSG_DONE) return ack;  // a dump's end: no request follows the code
  const auto request = load<nlmsghdr>(rest);
  if (!request) return ack;
  std::size_t request_size = kHeaderSize;
  if ((message.flags & kFlagCapped) == 0 && ack.error != 0) {
    if (request->nlmsg_len < kHeaderSize || request->nlmsg_len > rest.size()) return ack;
    request_size = request->nlmsg_len;
    ack.request = rest.subspan(kHeaderSize, request_size - kHeaderSize);
  }
  if ((message.flags & kFlagAttributesFollow) != 0 && aligned(request_size) < rest.size()) {
    AttributeReader attributes(rest.subspan(aligned(request_size)));
    while (const auto attribute = attributes.next()) {
      if (attribute->type == kAckText) ack.text = attribute->text();
    }
  }
  return ack;
}

void Batch::begin(std::uint16_t type, std::uint16_t flags) {
  starts_.push_back(bytes_.size());
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = flags;
  append(&header, sizeof header);
}

void Batch::append(const void* data, std::size_t size) {
  const std::size_t at = bytes_.size();
  bytes_.resize(at + aligned(size));  // padding is zero
  std::memcpy(bytes_.data() + at, data, size);
}

void Batch::attribute_header(std::uint16_t type, std::size_t payload_size) {
  CHECK(payload_size + kAttributeHeaderSize <= kLargestAttribute);
  nlattr header{};
  header.nla_len = static_cast<std::uint16_t>(payload_size + kAttributeHeaderSize);
  header.nla_type = type;
  append(&header, sizeof header);
}

void Batch::put(std::uint16_t type, Bytes payload) {
  attribute_header(type, payload.size());
  if (!payload.empty()) append(payload.data(), payload.size());
}

void Batch::put_u8(std::uint16_t type, std::uint8_t value) { put(type, Bytes(&value, 1)); }

void Batch::put_u16(std::uint16_t type, std::uint16_t value) {
  attribute_header(type, sizeof value);
  append(&value, sizeof value);
}

void Batch::put_u32(std::uint16_t type, std::uint32_t value) {
  attribute_header(type, sizeof value);
  append(&value, sizeof value);
}

void Batch::put_be16(std::uint16_t type, std::uint16_t value) { put_u16(type | kNetworkByteOrder, swap16(value)); }
void Batch::put_be32(std::uint16_t type, std::uint32_t value) { put_u32(type | kNetworkByteOrder, swap32(value)); }

void Batch::put_text(std::uint16_t type, std::string_view text) {
  attribute_header(type, text.size() + 1);
  const std::size_t at = bytes_.size();
  bytes_.resize(at + aligned(text.size() + 1));
  std::memcpy(bytes_.data() + at, text.data(), text.size());
}

void Batch::put_address(std::uint16_t type, const base::IpAddress& address) {
  put(type, Bytes(address.bytes(), address.size()));
}

std::size_t Batch::nest(std::uint16_t type) {
  const std::size_t handle = bytes_.size();
  attribute_header(type | kNested, 0);
  return handle;
}

void Batch::end_nest(std::size_t handle) {
  const std::size_t size = bytes_.size() - handle;
  CHECK(size <= kLargestAttribute);
  const auto length = static_cast<std::uint16_t>(size);
  std::memcpy(bytes_.data() + handle + offsetof(nlattr, nla_len), &length, sizeof length);
}

void Batch::end() {
  const auto length = static_cast<std::uint32_t>(bytes_.size() - starts_.back());
  std::memcpy(bytes_.data() + starts_.back() + offsetof(nlmsghdr, nlmsg_len), &length, sizeof length);
}

void Batch::clear() {
  bytes_.clear();
  starts_.clear();
}

Bytes Batch::bytes(std::size_t first, std::size_t last) const {
  CHECK(first < last && last <= starts_.size());
  return Bytes(bytes_).subspan(starts_[first], end_of(last - 1) - starts_[first]);
}

void Batch::set_sequence(std::size_t index, std::uint32_t sequence) {
  std::memcpy(bytes_.data() + starts_[index] + offsetof(nlmsghdr, nlmsg_seq), &sequence, sizeof sequence);
}

void Batch::add_flags(std::size_t index, std::uint16_t flags) {
  std::uint8_t* at = bytes_.data() + starts_[index] + offsetof(nlmsghdr, nlmsg_flags);
  std::uint16_t all = 0;
  std::memcpy(&all, at, sizeof all);
  all = static_cast<std::uint16_t>(all | flags);
  std::memcpy(at, &all, sizeof all);
}

}  // namespace kernel::netlink
