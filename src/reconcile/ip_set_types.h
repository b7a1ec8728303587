// ip_set_types.h: IP sets as values (spec dataplane §2.3, §14).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"

namespace reconcile {

enum class IpSetType : std::uint8_t {
  kHashNet,
  kHashIp,
  kHashIpPort,
  kOther,  // only ever read from the kernel; never equal to what is wanted
};
std::string_view to_string(IpSetType type);  // the kernel's type name, "hash:net"
IpSetType parse_ip_set_type(std::string_view text);

// Protocol and port only in hash:ip,port sets; hash:ip and hash:ip,port hold host prefixes. A hash:net set cannot hold
// /0: whoever fills it splits /0 in two.
struct IpSetMember {
  base::Prefix prefix;
  std::uint8_t protocol = 0;  // IANA number
  std::uint16_t port = 0;

  friend bool operator==(const IpSetMember&, const IpSetMember&) = default;
  friend auto operator<=>(const IpSetMember&, const IpSetMember&) = default;
};
struct IpSetMemberHash {
  using is_avalanching = void;
  std::size_t operator()(const IpSetMember& member) const noexcept;
};
std::string to_string(const IpSetMember& member);

// What cannot be changed once a set exists.
struct IpSetShape {
  IpSetType type = IpSetType::kHashNet;
  std::uint32_t max_elements = 1'048'576;  // MaxIpsetSize
  friend bool operator==(const IpSetShape&, const IpSetShape&) = default;
};

// "cali40" or "cali60" and the ID, cut (not hashed) to the 31 characters the kernel allows.
std::string main_ip_set_name(base::Family family, std::string_view id);
// "cali4t7": sets in the making and sets swapped out.
std::string temporary_ip_set_name(base::Family family, std::uint64_t number);
// Names that belong to this agent or to an older one, and are destroyed when not wanted (§2.4).
bool is_owned_ip_set_name(base::Family family, std::string_view name);
// "cali4t…": never wanted under that name.
bool is_temporary_ip_set_name(base::Family family, std::string_view name);

// One edit. Edits of a plan are carried out in order.
struct IpSetEdit {
  enum class Kind : std::uint8_t { kCreate, kAdd, kDelete, kSwap, kRename, kDestroy };
  Kind kind = Kind::kCreate;
  std::string set = {};                   // what it acts on
  std::string other = {};                 // kSwap, kRename: the second name
  IpSetShape shape = {};                  // kCreate
  std::uint32_t expected_size = 0;        // kCreate: how many members will follow, for the size of the hash table
  std::vector<IpSetMember> members = {};  // kAdd, kDelete

  friend bool operator==(const IpSetEdit&, const IpSetEdit&) = default;
};
std::string to_string(const IpSetEdit& edit);  // for logs and plans: "add cali40s:x 3 members"

// A set as the kernel reports it.
struct IpSetHeader {
  std::string name = {};
  base::Family family = base::Family::kIpv4;
  IpSetShape shape = {};
  // Without extensions of which this agent never makes use (counters, comments, timeouts, nomatch …).
  bool plain = true;
  std::uint32_t references = 0;
};
struct IpSetContents {
  IpSetHeader header;
  std::vector<IpSetMember> members = {};
};

}  // namespace reconcile
