// How hosts get blocks and give them up (spec datamodel §7.4).
//
// Two keys say that a block belongs to a host: the block's own `affinity`, which decides, and the affinity key, by
// which the host finds its blocks. They cannot be written together, so the affinity is announced (pending) before the
// block is created, and confirmed after; on the way back it is withdrawn (pendingDeletion) before the block is let go
// and deleted after. Whoever dies in between leaves a pending key, which the next user of the list repairs.

#include <utility>

#include "ipam/addressing.h"
#include "ipam/ipam.h"

namespace ipam {

using base::Error;
using base::ErrorKind;

namespace {

Error claimed_by_other(const base::Prefix& block) {
  return Error(ErrorKind::kConflict, "block " + base::to_string(block) + " belongs to another host");
}

void reserve_for_host(Block& block, const HostReserved& reserved) {
  if (reserved.at_start == 0 && reserved.at_end == 0) return;
  const auto size = static_cast<std::uint32_t>(block.size());
  Owner owner{.handle = reserved.handle, .attributes = Attributes{{"note", reserved.note}}, .alternate = {}};
  for (std::uint32_t i = 0; i < size; ++i) {
    const bool kept = i < reserved.at_start || i >= size - std::min(size, reserved.at_end);
    if (kept) (void)block.assign_address(address_at(block.cidr(), i), owner);
  }
}

}  // namespace

// Announces the host's claim. The revision of the affinity key now; nothing if somebody interfered.
base::Result<std::optional<store::Revision>> Ipam::mark_pending(std::string_view host, const base::Prefix& block) {
  const std::string key = affinity_key(host, block);
  const std::string pending = encode_affinity(AffinityState::kPending);
  const auto item = access_.get(key);
  if (!item) return base::fail(item.error());
  if (*item && parse_affinity((*item)->value) == AffinityState::kConfirmed) return std::optional((*item)->mod_revision);
  const auto written = *item ? access_.update(key, pending, (*item)->mod_revision) : access_.create(key, pending);
  if (!written) return base::fail(written.error());
  if (written->outcome != Written::kDone) return std::optional<store::Revision>();
  return std::optional(written->revision);
}

base::Result<void> Ipam::confirm(std::string_view host, const base::Prefix& block, store::Revision revision) {
  const std::string key = affinity_key(host, block);
  Backoff backoff(access_.sources());
  for (int i = 0; i < access_.patience().tries; ++i) {
    const auto item = access_.get(key);
    if (!item) return base::fail(item.error());
    if (*item && parse_affinity((*item)->value) == AffinityState::kConfirmed) return {};
    // Another process of the host may be claiming the same block; its pending is as good as ours. A withdrawal is not.
    const bool ours =
        *item && ((*item)->mod_revision == revision || parse_affinity((*item)->value) == AffinityState::kPending);
    if (!ours) return base::fail(claimed_by_other(block));
    const auto written = access_.update(key, encode_affinity(AffinityState::kConfirmed), (*item)->mod_revision);
    if (!written) return base::fail(written.error());
    if (written->outcome == Written::kDone) return {};
    backoff.wait();
  }
  return base::fail(too_many_tries());
}

base::Result<Ipam::Claim> Ipam::claim(std::string_view host, const base::Prefix& block, const HostReserved& reserved) {
  Backoff backoff(access_.sources());
  for (int i = 0; i < access_.patience().tries; ++i) {
    const auto pending = mark_pending(host, block);
    if (!pending) return base::fail(pending.error());
    if (!*pending) {
      backoff.wait();
      continue;
    }
    Block fresh = Block::create(block, host_affinity(host), timestamp(), new_sequence());
    reserve_for_host(fresh, reserved);
    const auto created = access_.create(block_key(block), fresh.encode());
    if (!created) return base::fail(created.error());
    if (created->outcome != Written::kDone) {
      const auto there = read_block(block);
      if (!there) return base::fail(there.error());
      if (!*there) continue;  // gone again
      if ((*there)->block.host() != host) {
        const auto removed = access_.remove(affinity_key(host, block), **pending);
        if (!removed) return base::fail(removed.error());
        return Claim::kTaken;
      }
    }
    const auto confirmed = confirm(host, block, **pending);
    if (confirmed) return Claim::kClaimed;
    if (confirmed.error().kind() != ErrorKind::kConflict) return base::fail(confirmed.error());
    backoff.wait();  // the block is being given up at this moment: once more from the start
  }
  return base::fail(too_many_tries());
}

base::Result<bool> Ipam::take_up(std::string_view host, const store::KeyValue& affinity, const base::Prefix& block,
                                 const HostReserved& reserved) {
  const auto there = read_block(block);
  if (!there) return base::fail(there.error());
  if (!*there) {
    const auto claimed = claim(host, block, reserved);
    if (!claimed) return base::fail(claimed.error());
    return *claimed == Claim::kClaimed;
  }
  if ((*there)->block.host() != host) {
    const auto removed = access_.remove(affinity.key, affinity.mod_revision);
    if (!removed) return base::fail(removed.error());
    return false;
  }
  if (parse_affinity(affinity.value) == AffinityState::kConfirmed) return true;
  const auto pending = mark_pending(host, block);
  if (!pending) return base::fail(pending.error());
  if (!*pending) return false;
  // Unchanged, but with a new revision: a release that has already read the block fails.
  Block again = (*there)->block;
  const auto written = access_.update(block_key(block), again.encode_update(), (*there)->revision);
  if (!written) return base::fail(written.error());
  if (written->outcome == Written::kRefused) return false;
  const auto confirmed = confirm(host, block, **pending);
  if (confirmed) return true;
  if (confirmed.error().kind() == ErrorKind::kConflict) return false;
  return base::fail(confirmed.error());
}

base::Result<void> Ipam::release_affinity(std::string_view host, const base::Prefix& block, const GiveUp& how) {
  const std::string key = affinity_key(host, block);
  Backoff backoff(access_.sources());
  for (int i = 0; i < access_.patience().tries; ++i) {
    const auto affinity = access_.get(key);
    if (!affinity) return base::fail(affinity.error());
    auto there = read_block(block);
    if (!there) return base::fail(there.error());
    if (!*there) {
      if (!*affinity) return {};
      const auto removed = access_.remove(key, (*affinity)->mod_revision);
      if (!removed) return base::fail(removed.error());
      if (removed->outcome == Written::kDone) return {};
      backoff.wait();
      continue;
    }
    Block& owned = (*there)->block;
    if (owned.host() != host) {
      if (*affinity) {
        const auto removed = access_.remove(key, (*affinity)->mod_revision);
        if (!removed) return base::fail(removed.error());
      }
      return base::fail(claimed_by_other(block));
    }
    if (how.sequence && owned.sequence() != *how.sequence)
      return base::fail(Error(ErrorKind::kConflict, "block " + base::to_string(block) + " has changed"));
    if (how.require_empty && !owned.empty())
      return base::fail(Error(ErrorKind::kConflict, "block " + base::to_string(block) + " is not empty"));
    store::Revision marked_at = 0;
    if (*affinity) {
      const auto marked =
          access_.update(key, encode_affinity(AffinityState::kPendingDeletion), (*affinity)->mod_revision);
      if (!marked) return base::fail(marked.error());
      if (marked->outcome != Written::kDone) {
        backoff.wait();
        continue;
      }
      marked_at = marked->revision;
    }
    const bool empty = owned.empty();
    owned.set_affinity(std::nullopt, {});
    const auto written = empty ? access_.remove(block_key(block), (*there)->revision)
                               : access_.update(block_key(block), owned.encode_update(), (*there)->revision);
    if (!written) return base::fail(written.error());
    if (written->outcome == Written::kDone) {
      if (marked_at == 0) return {};
      // Not if somebody has announced a new claim meanwhile.
      const auto removed = access_.remove(key, marked_at);
      if (!removed) return base::fail(removed.error());
      return {};
    }
    backoff.wait();
  }
  return base::fail(too_many_tries());
}

base::Result<void> Ipam::release_host_affinities(std::string_view host, bool require_empty) {
  base::Result<void> first;
  for (const base::Family family : {base::Family::kIpv4, base::Family::kIpv6}) {
    const auto listing = access_.list_keys(affinity_root(host, family));
    if (!listing) return base::fail(listing.error());
    for (const store::KeyValue& item : listing->items) {
      const auto key = parse_affinity_key(item.key);
      if (!key) continue;
      const auto done = release_affinity(host, key->block, {.require_empty = require_empty});
      // Of another host: the stale key is gone, which is what was wanted.
      const bool stale = !done && !require_empty && done.error().kind() == ErrorKind::kConflict;
      if (!done && !stale && first) first = base::fail(done.error());
    }
  }
  return first;
}

base::Result<void> Ipam::release_pool_affinities(const base::Prefix& pool) {
  base::Result<void> first;
  const auto listing = access_.list_keys(std::string(kHostRoot));
  if (!listing) return base::fail(listing.error());
  for (const store::KeyValue& item : listing->items) {
    const auto key = parse_affinity_key(item.key);
    if (!key || !pool.contains(key->block)) continue;
    const auto done = release_affinity(key->host, key->block, {});
    const bool stale = !done && done.error().kind() == ErrorKind::kConflict;
    if (!done && !stale && first) first = base::fail(done.error());
  }
  return first;
}

base::Result<void> Ipam::forget_host(std::string_view host) {
  if (auto released = release_host_affinities(host, false); !released) return released;
  const auto removed = access_.remove(std::string(kHostRoot) + std::string(host), 0);  // marker of old releases
  if (!removed) return base::fail(removed.error());
  return {};
}

}  // namespace ipam
