// addressing.h: arithmetic on addresses and blocks, and the keys under /calico/ipam/v2/ (spec datamodel §1.4). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/ip.h"

namespace ipam {

// A /48 of IPv6 has more addresses than 64 bits can count.
__extension__ typedef unsigned __int128 Wide;

Wide to_number(const base::IpAddress& address);
base::IpAddress to_address(base::Family family, Wide number);
base::IpAddress plus(const base::IpAddress& address, Wide offset);  // wraps

// Addresses of a block: 2^(bits - length). REQUIRES is_block(block).
std::uint32_t capacity(const base::Prefix& block);
// Blocks have at most 4,096 addresses: /20 or longer, IPv6 /116 or longer (spec datamodel §4.11).
bool is_block(const base::Prefix& block);
base::IpAddress address_at(const base::Prefix& block, std::uint32_t ordinal);
std::optional<std::uint32_t> ordinal_of(const base::Prefix& block, const base::IpAddress& address);
base::Prefix block_around(const base::IpAddress& address, int block_size);
base::IpAddress last_address(const base::Prefix& prefix);

// Keys.
inline constexpr std::string_view kConfigKey = "/calico/ipam/v2/config";
inline constexpr std::string_view kHandleRoot = "/calico/ipam/v2/handle/";
inline constexpr std::string_view kBlockRoot = "/calico/ipam/v2/assignment/";
inline constexpr std::string_view kHostRoot = "/calico/ipam/v2/host/";

std::string block_key(const base::Prefix& block);
std::string block_root(base::Family family);
std::optional<base::Prefix> parse_block_key(std::string_view key);

std::string affinity_key(std::string_view host, const base::Prefix& block);
std::string affinity_root(std::string_view host, base::Family family);
struct AffinityKey {
  std::string host;
  base::Prefix block;
};
std::optional<AffinityKey> parse_affinity_key(std::string_view key);

std::string handle_key(std::string_view handle);
// What a block's `affinity` says about its owner.
std::string host_affinity(std::string_view host);              // "host:NAME"
std::string_view host_of_affinity(std::string_view affinity);  // "" for other owners
bool is_reserved(const base::IpAddress& address, std::span<const base::Prefix> reserved);

// The blocks of a pool in the order in which one host looks at them: from a start that differs from host to host, once
// round. Blocks that lie wholly in one reserved range are left out, a whole range at a time.
class BlockWalk {
 public:
  // REQUIRES pool.length <= block_size.
  BlockWalk(const base::Prefix& pool, int block_size, std::uint64_t seed);
  std::optional<base::Prefix> next(std::span<const base::Prefix> reserved);
  // How far from the start a block of the pool lies. REQUIRES that it is one.
  Wide distance(const base::Prefix& block) const;

 private:
  base::Prefix pool_;
  int block_size_;
  Wide count_;
  Wide start_;
  Wide visited_ = 0;
};

std::uint32_t fnv1(std::string_view text);  // 32 bits

}  // namespace ipam
