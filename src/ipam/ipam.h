// ipam.h: addresses from pools, in Calico's way (spec datamodel §7, spec cli §13): hosts claim blocks, addresses come
// from the host's own blocks, then from a new one, then, unless affinity is strict, from somebody else's.
//
// Any number of processes and hosts may work at once, ours and Calico's: every change is a compare-and-swap of one
// block. A handle may be used by one process at a time: then an address is neither lost nor given out twice even if the
// datastore fails to answer. With several the counts of the handle can come out too high, which `ipam check` shows.
//
// Blocking; one thread. Errors: kUnavailable when the datastore stayed away longer than Patience::outage; kConflict
// after too many refused tries; kInvalid for values that cannot be read; others below.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "ipam/access.h"
#include "ipam/block.h"
#include "ipam/values.h"
#include "store/blocking.h"

namespace ipam {

// Addresses of each new block that the host keeps for itself (Windows: three at the start, one at the end).
struct HostReserved {
  std::uint32_t at_start = 0;
  std::uint32_t at_end = 0;
  std::string handle = {};
  std::string note = {};
};

struct AutoAssign {
  std::string host;  // its Node must exist, except for load balancers
  Use use = Use::kWorkload;
  base::Family family = base::Family::kIpv4;
  std::size_t count = 1;
  std::optional<std::string> handle = {};
  Attributes attributes = {};
  std::vector<base::Prefix> pools = {};  // empty: those that select the node
  std::optional<LabelMap> namespace_labels = {};
  std::int64_t max_blocks_per_host = 0;  // 0: as configured
  HostReserved host_reserved = {};
};

struct Assignment {
  std::vector<base::IpAddress> addresses;
  std::optional<base::Error> shortfall;  // why there are fewer than asked for
};

struct AssignAddress {
  base::IpAddress address;
  std::string host;
  std::optional<std::string> handle = {};
  Attributes attributes = {};
  HostReserved host_reserved = {};
};

struct StoredBlock {
  store::Revision revision = 0;
  Block block;
};

class Ipam {
 public:
  Ipam(store::BlockingStore& store, Sources sources, Patience patience = {});

  // kNotFound: no Node, or no pool for this request.
  base::Result<Assignment> auto_assign(const AutoAssign& request);
  // kExists: it is in use. kNotFound: not in an enabled pool. Reservations and selectors are not looked at.
  base::Result<void> assign_address(const AssignAddress& request);

  // Each block's share is released wholly or not at all; the first error is returned after all blocks were tried. A
  // handle or number that does not match gives kConflict "update conflict: ADDRESS".
  struct ReleaseOutcome {
    std::vector<base::IpAddress> released;
    std::vector<base::IpAddress> unallocated;  // were free before
    std::optional<base::Error> error;
  };
  base::Result<ReleaseOutcome> release(std::span<const Release> requests);
  // kNotFound if there is no such handle. Returns how many were released.
  base::Result<std::size_t> release_by_handle(std::string_view handle);
  // Deletes a handle without looking at addresses, if it is still at `revision`; false if it is not or is gone.
  base::Result<bool> remove_handle(std::string_view handle, store::Revision revision);

  // Gives up blocks, empty or not: one in use stays without owner. kConflict if it belongs to another host, or is not
  // empty and has to be, or is not at `sequence`.
  struct GiveUp {
    bool require_empty = false;
    std::optional<std::uint64_t> sequence = {};
  };
  base::Result<void> release_affinity(std::string_view host, const base::Prefix& block, const GiveUp& how);
  base::Result<void> release_host_affinities(std::string_view host, bool require_empty);
  base::Result<void> release_pool_affinities(const base::Prefix& pool);
  // All that IPAM knows of a host but its addresses.
  base::Result<void> forget_host(std::string_view host);

  // What is stored; the configuration is created when it is not there.
  base::Result<Config> config();
  base::Result<void> set_config(const Config& config);
  base::Result<std::vector<Pool>> pools();
  base::Result<std::vector<base::Prefix>> reservations();
  // All blocks, or those of one family, by address. Values that cannot be read are left out; `unreadable` gets their
  // keys.
  base::Result<std::vector<StoredBlock>> blocks(std::optional<base::Family> family = {},
                                                std::vector<std::string>* unreadable = nullptr);
  // The block that holds the address, pools or not; nothing if there is none.
  base::Result<std::optional<StoredBlock>> block_of(const base::IpAddress& address);

  Access& access() { return access_; }

 private:
  friend class AutoAssigner;
  enum class Claim { kClaimed, kTaken };

  base::Result<std::optional<StoredBlock>> read_block(const base::Prefix& block);
  base::Result<std::optional<LabelMap>> node_labels(std::string_view host);

  base::Result<Claim> claim(std::string_view host, const base::Prefix& block, const HostReserved& reserved);
  base::Result<void> confirm(std::string_view host, const base::Prefix& block, store::Revision revision);
  base::Result<std::optional<store::Revision>> mark_pending(std::string_view host, const base::Prefix& block);
  // The block of an affinity found on a list; false if the affinity was stale.
  base::Result<bool> take_up(std::string_view host, const store::KeyValue& affinity, const base::Prefix& block,
                             const HostReserved& reserved);

  struct FromBlock {
    base::Prefix block;
    std::size_t count = 0;
    Owner owner;
    std::optional<std::string> required_host;  // the block must belong to it
    std::span<const base::Prefix> reserved;
  };
  base::Result<std::vector<base::IpAddress>> assign_from(const FromBlock& request);

  base::Result<std::map<base::Prefix, std::vector<Release>>> by_block(std::span<const Release> requests);
  base::Result<Released> release_in_block(const base::Prefix& block, std::span<const Release> requests);
  base::Result<Released> release_handle_in_block(const base::Prefix& block, std::string_view handle);
  template <typename Change>
  base::Result<Released> change_for_release(const base::Prefix& block, Change change);
  base::Result<void> release_unselected(const base::Prefix& block);

  base::Result<void> increment_handle(const std::string& handle, const base::Prefix& block, std::int64_t count);
  base::Result<void> decrement_handle(const std::string& handle, const base::Prefix& block, std::int64_t count);
  base::Result<void> forget_block_of_handle(const std::string& handle, const base::Prefix& block,
                                            store::Revision revision, std::int64_t count);
  base::Result<void> write_handle(const std::string& handle, const base::Prefix& block, std::int64_t change);

  std::string timestamp() const;
  std::uint64_t new_sequence() const;

  Access access_;
};

// RFC 3339 to a moment; nothing if it is none.
std::optional<base::WallTime> parse_rfc3339(std::string_view text);
std::string format_rfc3339(base::WallTime time);  // UTC, seconds

base::Error too_many_tries();

}  // namespace ipam
