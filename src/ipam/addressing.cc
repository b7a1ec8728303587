#include "ipam/addressing.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/strings.h"

namespace ipam {
namespace {

constexpr int kLongestBlockBits = 12;

Wide size_of(const base::Prefix& prefix) {
  const int bits = base::address_bits(prefix.family()) - prefix.length;
  return bits >= 128 ? 0 : Wide{1} << bits;  // 0: all of IPv6, which no pool can be
}

std::string_view family_name(base::Family family) { return family == base::Family::kIpv4 ? "ipv4" : "ipv6"; }

std::string dashed(const base::Prefix& block) { return base::replace_all(base::to_string(block), "/", "-"); }

// "ipv4/block/10.65.0.0-26"
std::optional<base::Prefix> parse_block_path(std::string_view path) {
  for (const base::Family family : {base::Family::kIpv4, base::Family::kIpv6}) {
    const std::string start = std::string(family_name(family)) + "/block/";
    if (!path.starts_with(start)) continue;
    const std::string_view name = path.substr(start.size());
    const auto block = base::parse_cidr(base::replace_all(name, "-", "/"));
    if (block && block->family() == family && is_block(*block) && dashed(*block) == name) return *block;
  }
  return std::nullopt;
}

// Spreads a small seed over all bits (SplitMix64's last step).
std::uint64_t mix(std::uint64_t z) {
  z += 0x9E3779B97F4A7C15ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

}  // namespace

Wide to_number(const base::IpAddress& address) {
  Wide number = 0;
  for (std::size_t i = 0; i < address.size(); ++i) number = (number << 8) | address.bytes()[i];
  return number;
}

base::IpAddress to_address(base::Family family, Wide number) {
  const std::size_t size = family == base::Family::kIpv4 ? 4 : 16;
  std::array<std::uint8_t, 16> bytes{};
  for (std::size_t i = size; i-- > 0; number >>= 8) bytes[i] = static_cast<std::uint8_t>(number & 0xff);
  return base::IpAddress::from_bytes(family, bytes.data());
}

base::IpAddress plus(const base::IpAddress& address, Wide offset) {
  return to_address(address.family(), to_number(address) + offset);
}

bool is_block(const base::Prefix& block) {
  return base::address_bits(block.family()) - block.length <= kLongestBlockBits;
}

std::uint32_t capacity(const base::Prefix& block) {
  CHECK(is_block(block));
  return 1U << (base::address_bits(block.family()) - block.length);
}

base::IpAddress address_at(const base::Prefix& block, std::uint32_t ordinal) { return plus(block.address, ordinal); }

std::optional<std::uint32_t> ordinal_of(const base::Prefix& block, const base::IpAddress& address) {
  if (!block.contains(address)) return std::nullopt;
  return static_cast<std::uint32_t>(to_number(address) - to_number(block.address));
}

base::Prefix block_around(const base::IpAddress& address, int block_size) {
  return base::Prefix{address, static_cast<std::uint8_t>(block_size)}.masked();
}

base::IpAddress last_address(const base::Prefix& prefix) { return plus(prefix.masked().address, size_of(prefix) - 1); }

std::string block_root(base::Family family) {
  return std::string(kBlockRoot) + std::string(family_name(family)) + "/block/";
}

std::string block_key(const base::Prefix& block) { return block_root(block.family()) + dashed(block); }

std::optional<base::Prefix> parse_block_key(std::string_view key) {
  if (!key.starts_with(kBlockRoot)) return std::nullopt;
  return parse_block_path(key.substr(kBlockRoot.size()));
}

std::string affinity_root(std::string_view host, base::Family family) {
  return std::string(kHostRoot) + std::string(host) + "/" + std::string(family_name(family)) + "/block/";
}

std::string affinity_key(std::string_view host, const base::Prefix& block) {
  return affinity_root(host, block.family()) + dashed(block);
}

std::optional<AffinityKey> parse_affinity_key(std::string_view key) {
  if (!key.starts_with(kHostRoot)) return std::nullopt;
  key.remove_prefix(kHostRoot.size());
  const auto slash = key.find('/');
  if (slash == key.npos || slash == 0) return std::nullopt;
  const auto block = parse_block_path(key.substr(slash + 1));
  if (!block) return std::nullopt;
  return AffinityKey{std::string(key.substr(0, slash)), *block};
}

std::string handle_key(std::string_view handle) { return std::string(kHandleRoot) + std::string(handle); }

std::string host_affinity(std::string_view host) { return "host:" + std::string(host); }

std::string_view host_of_affinity(std::string_view affinity) {
  constexpr std::string_view kHost = "host:";
  return affinity.starts_with(kHost) ? affinity.substr(kHost.size()) : std::string_view();
}

bool is_reserved(const base::IpAddress& address, std::span<const base::Prefix> reserved) {
  return std::ranges::any_of(reserved, [&](const base::Prefix& range) { return range.contains(address); });
}

BlockWalk::BlockWalk(const base::Prefix& pool, int block_size, std::uint64_t seed)
    : pool_(pool), block_size_(block_size), count_(Wide{1} << (block_size - pool.length)) {
  CHECK(pool.length <= block_size);
  start_ = ((Wide{mix(seed)} << 64) | mix(seed + 1)) % count_;
}

std::optional<base::Prefix> BlockWalk::next(std::span<const base::Prefix> reserved) {
  const int host_bits = base::address_bits(pool_.family()) - block_size_;
  while (visited_ < count_) {
    const Wide index = (start_ + visited_) % count_;
    const base::Prefix block{plus(pool_.address, index << host_bits), static_cast<std::uint8_t>(block_size_)};
    const auto covering =
        std::ranges::find_if(reserved, [&](const base::Prefix& range) { return range.contains(block); });
    if (covering == reserved.end()) {
      ++visited_;
      return block;
    }
    // To the end of the range or of the pool, whichever comes first.
    const Wide range_end = (to_number(last_address(*covering)) - to_number(block.address)) >> host_bits;
    visited_ += std::min(range_end + 1, count_ - index);
  }
  return std::nullopt;
}

Wide BlockWalk::distance(const base::Prefix& block) const {
  const int host_bits = base::address_bits(pool_.family()) - block_size_;
  const Wide index = (to_number(block.address) - to_number(pool_.address)) >> host_bits;
  return (index + count_ - start_) % count_;
}

std::uint32_t fnv1(std::string_view text) {
  std::uint32_t hash = 2166136261U;
  for (const char byte : text) hash = (hash * 16777619U) ^ static_cast<std::uint8_t>(byte);
  return hash;
}

}  // namespace ipam
