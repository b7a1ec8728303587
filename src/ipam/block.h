// block.h: one block of addresses, as its value in etcd describes it (spec datamodel §7.1–§7.3). Pure.
//
// The value is byte-compatible with Calico's: the same members in the same order; members unknown to us are kept and
// written last. An address is handed out only if both `allocations` and `unallocated` call it free, so that a damaged
// value can lose addresses but never give one out twice.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/ip.h"
#include "base/result.h"

namespace ipam {

using Attributes = std::map<std::string, std::string>;

inline constexpr std::string_view kWindowsHandle = "windows-reserved-ipam-handle";

// Who holds an address, and what for.
struct Owner {
  std::optional<std::string> handle = {};     // as stored
  std::optional<Attributes> attributes = {};  // `secondary`
  boost::json::value alternate = {};          // `alternateOwnerAttrs`; null if absent

  std::string handle_text() const;  // up to the first carriage return (repairs old data); "" without one
  friend bool operator==(const Owner&, const Owner&) = default;
};

// An address to be given back. Without `handle` or `sequence` that part is not compared.
struct Release {
  base::IpAddress address;
  std::optional<std::string> handle = {};
  std::optional<std::uint64_t> sequence = {};
};

struct Released {
  std::vector<base::IpAddress> released;
  std::vector<base::IpAddress> unallocated;  // were free
  std::map<std::string, int> handles;        // how many of each handle were released
};

class Block {
 public:
  // Empty. `sequence` is the time of creation in nanoseconds.
  static Block create(const base::Prefix& cidr, std::string affinity, std::string claim_time, std::uint64_t sequence);
  // The error says what is wrong with the value.
  static base::Result<Block> parse(std::string_view value);
  std::string encode() const;
  // For writing a changed block: counts the change first.
  std::string encode_update();

  const base::Prefix& cidr() const { return cidr_; }
  const std::optional<std::string>& affinity() const { return affinity_; }
  std::string_view host() const;  // owner of kind "host", "" for any other and for none
  const std::string& claim_time() const { return claim_time_; }
  void set_affinity(std::optional<std::string> affinity, std::string claim_time);
  std::uint64_t sequence() const { return sequence_; }

  std::size_t size() const { return allocations_.size(); }
  std::size_t free_count() const { return unallocated_.size(); }
  bool empty() const;  // nothing in use but what Windows reserves
  bool has_free(std::span<const base::Prefix> reserved) const;

  // Null if the address is free or outside the block. A broken index gives an Owner without anything.
  std::optional<Owner> owner_of(const base::IpAddress& address) const;
  // The sequence number recorded when the address was given out; 0 if none.
  std::uint64_t sequence_of(const base::IpAddress& address) const;
  // Calls for each address in use, ascending. The index may be broken: then no owner.
  void for_each_used(const std::function<void(const base::IpAddress&, const Owner*)>& visit) const;

  // Up to `count` addresses from the front of the free list, passing over reserved ones, which keep their place.
  std::vector<base::IpAddress> assign(std::size_t count, const Owner& owner, std::span<const base::Prefix> reserved);
  // kExists if it is in use, kInvalid if it is not of this block.
  base::Result<void> assign_address(const base::IpAddress& address, const Owner& owner);
  // Gives an address in use to another owner; kNotFound if it is free.
  base::Result<void> reassign(const base::IpAddress& address, const Owner& owner);

  // All or nothing: kConflict if one address does not carry the handle or the number demanded. Addresses named twice
  // count once. REQUIRES that all are of this block.
  base::Result<Released> release(std::span<const Release> requests);
  // All addresses of one handle.
  Released release_handle(std::string_view handle);

 private:
  std::size_t owner_index(const Owner& owner);
  void take(std::uint32_t ordinal, const Owner& owner);
  void free(std::uint32_t ordinal);
  void drop_unused_owners();

  base::Prefix cidr_;
  std::optional<std::string> affinity_;
  std::string claim_time_;
  std::vector<std::optional<std::int64_t>> allocations_;
  std::vector<std::uint32_t> unallocated_;
  std::optional<std::vector<Owner>> owners_;
  std::uint64_t sequence_ = 0;
  std::optional<std::map<std::string, std::uint64_t>> sequences_;  // by ordinal as text
  bool deleted_ = false;
  boost::json::object unknown_;  // and the legacy hostAffinity
};

}  // namespace ipam
