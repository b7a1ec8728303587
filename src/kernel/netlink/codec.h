// codec.h: builds and reads netlink messages. Own code, because libmnl has no archive to link statically.
//
// Reading is safe on any bytes: every length is checked against what is left, and a message or attribute that claims
// more than there is ends the walk with malformed() set. Nothing is copied; spans point into the caller's buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/ip.h"

namespace kernel::netlink {

using Bytes = std::span<const std::uint8_t>;

constexpr std::size_t kHeaderSize = 16;          // struct nlmsghdr
constexpr std::size_t kAttributeHeaderSize = 4;  // struct nlattr
constexpr std::size_t kLargestAttribute = 0xFFFF;
constexpr std::uint16_t kNested = 0x8000;            // NLA_F_NESTED
constexpr std::uint16_t kNetworkByteOrder = 0x4000;  // NLA_F_NET_BYTEORDER

constexpr std::size_t aligned(std::size_t size) { return (size + 3) & ~std::size_t{3}; }

// ---- Reading ----

struct Message {
  std::uint16_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  std::uint32_t port = 0;
  Bytes payload;
};

class MessageReader {
 public:
  explicit MessageReader(Bytes bytes) : rest_(bytes) {}
  std::optional<Message> next();
  bool malformed() const { return malformed_; }

 private:
  Bytes rest_;
  bool malformed_ = false;
};

struct Attribute {
  std::uint16_t type = 0;  // without the two flag bits
  Bytes payload;

  // Nothing when the payload is shorter than the type asked for.
  std::optional<std::uint8_t> u8() const;
  std::optional<std::uint16_t> u16() const;
  std::optional<std::uint32_t> u32() const;
  std::optional<std::uint16_t> be16() const;
  std::optional<std::uint32_t> be32() const;
  std::string_view text() const;                   // up to the first NUL
  std::optional<base::IpAddress> address() const;  // 4 or 16 bytes exactly
};

class AttributeReader {
 public:
  explicit AttributeReader(Bytes bytes) : rest_(bytes) {}
  std::optional<Attribute> next();
  bool malformed() const { return malformed_; }

 private:
  Bytes rest_;
  bool malformed_ = false;
};

// The attributes of one message by type; of two with one type the last counts, as in the kernel. Types ≥ N are skipped.
template <std::size_t N>
class AttributeTable {
 public:
  explicit AttributeTable(Bytes bytes) {
    AttributeReader reader(bytes);
    while (const auto attribute = reader.next()) {
      if (attribute->type < N) slots_[attribute->type] = attribute;
    }
    malformed_ = reader.malformed();
  }
  const std::optional<Attribute>& operator[](std::size_t type) const { return slots_[type]; }
  bool malformed() const { return malformed_; }

 private:
  std::optional<Attribute> slots_[N];
  bool malformed_ = false;
};

// AF_INET or AF_INET6, as fixed headers want it.
std::uint8_t family_number(base::Family family);

// Copies a fixed header (rtmsg, nfgenmsg …) from the front of a payload; nothing when the payload is too short.
template <typename T>
std::optional<T> fixed_header(Bytes payload) {
  if (payload.size() < sizeof(T)) return std::nullopt;
  T header;
  __builtin_memcpy(&header, payload.data(), sizeof header);
  return header;
}
template <typename T>
Bytes after_header(Bytes payload) {
  const std::size_t size = aligned(sizeof(T));
  return payload.size() < size ? Bytes{} : payload.subspan(size);
}

// What an NLMSG_ERROR or NLMSG_DONE says. error 0 is an acknowledgement.
struct Acknowledgement {
  int error = 0;          // errno, positive
  std::string_view text;  // the kernel's own words (extended acknowledgement), often empty
  Bytes request;          // the request's payload as echoed by the kernel; empty when capped
};
std::optional<Acknowledgement> parse_acknowledgement(const Message& message);

// ---- Writing ----

// Requests for one socket, one after the other in one buffer. Sequence numbers are set when the batch is sent.
// REQUIRES: begin() … end() for each message, nests closed in order, no attribute above 64 KiB (checked).
class Batch {
 public:
  void begin(std::uint16_t type, std::uint16_t flags);
  template <typename T>
  void header(const T& fixed) {
    append(&fixed, sizeof fixed);
  }
  void put(std::uint16_t type, Bytes payload);
  void put_u8(std::uint16_t type, std::uint8_t value);
  void put_u16(std::uint16_t type, std::uint16_t value);
  void put_u32(std::uint16_t type, std::uint32_t value);
  void put_be16(std::uint16_t type, std::uint16_t value);
  void put_be32(std::uint16_t type, std::uint32_t value);
  void put_text(std::uint16_t type, std::string_view text);  // NUL-terminated
  void put_address(std::uint16_t type, const base::IpAddress& address);
  [[nodiscard]] std::size_t nest(std::uint16_t type);  // the handle for end_nest()
  void end_nest(std::size_t handle);
  void end();

  std::size_t size() const { return starts_.size(); }
  std::size_t bytes_in_message() const { return bytes_.size() - starts_.back(); }
  void clear();

  Bytes bytes(std::size_t first, std::size_t last) const;  // messages [first, last)
  void set_sequence(std::size_t index, std::uint32_t sequence);
  void add_flags(std::size_t index, std::uint16_t flags);

 private:
  void append(const void* data, std::size_t size);
  void attribute_header(std::uint16_t type, std::size_t payload_size);
  std::size_t end_of(std::size_t index) const {
    return index + 1 < starts_.size() ? starts_[index + 1] : bytes_.size();
  }

  std::vector<std::uint8_t> bytes_;
  std::vector<std::size_t> starts_;
};

}  // namespace kernel::netlink
