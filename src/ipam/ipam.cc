// What is stored, handles, and time. Claiming is in affinity.cc, assignment in assign.cc, release in release.cc.

#include "ipam/ipam.h"

#include <fmt/chrono.h>
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "ipam/addressing.h"
#include "model/kinds/kinds.h"

namespace ipam {

using base::Error;
using base::ErrorKind;

namespace {

base::Result<Block> parse_block(const store::KeyValue& item) {
  auto block = Block::parse(item.value);
  if (!block) return base::fail(std::move(block).error().in(item.key));
  return block;
}

std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  if (at + count > text.size()) return std::nullopt;
  int number = 0;
  const char* end = text.data() + at + count;
  const auto [stop, failure] = std::from_chars(text.data() + at, end, number);
  if (failure != std::errc() || stop != end || number < 0) return std::nullopt;
  return number;
}

}  // namespace

Error too_many_tries() { return Error(ErrorKind::kConflict, "Max retries hit - excessive concurrent IPAM requests"); }

std::optional<base::WallTime> parse_rfc3339(std::string_view text) {
  const auto year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
  const auto hour = digits(text, 11, 2), minute = digits(text, 14, 2), second = digits(text, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  using namespace std::chrono;
  const year_month_day date{std::chrono::year{*year}, std::chrono::month{static_cast<unsigned>(*month)},
                            std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok()) return std::nullopt;
  auto moment = sys_days{date} + hours{*hour} + minutes{*minute} + seconds{*second};
  std::size_t at = 19;
  if (at < text.size() && text[at] == '.') {
    ++at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
  }
  if (text.substr(at) == "Z") return base::WallTime(moment);
  const auto zone_hours = digits(text, at + 1, 2), zone_minutes = digits(text, at + 4, 2);
  if (!zone_hours || !zone_minutes || (text[at] != '+' && text[at] != '-')) return std::nullopt;
  const auto offset = hours{*zone_hours} + minutes{*zone_minutes};
  return base::WallTime(text[at] == '+' ? moment - offset : moment + offset);
}

std::string format_rfc3339(base::WallTime time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(
                         std::chrono::time_point_cast<std::chrono::system_clock::duration>(time))));
}

Ipam::Ipam(store::BlockingStore& store, Sources sources, Patience patience)
    : access_(store, std::move(sources), patience) {}

std::string Ipam::timestamp() const { return format_rfc3339(access_.sources().wall()); }

std::uint64_t Ipam::new_sequence() const {
  return static_cast<std::uint64_t>(access_.sources().wall().time_since_epoch().count());
}

base::Result<Config> Ipam::config() {
  const std::string key(kConfigKey);
  for (int i = 0; i < access_.patience().tries; ++i) {
    const auto item = access_.get(key);
    if (!item) return base::fail(item.error());
    if (*item) return Config::parse((*item)->value);
    const auto created = access_.create(key, Config::initial().encode());
    if (!created) return base::fail(created.error());
    if (created->outcome == Written::kDone) return Config::initial();
  }
  return base::fail(too_many_tries());
}

base::Result<void> Ipam::set_config(const Config& config) {
  const auto before = this->config();
  if (!before) return base::fail(before.error());
  if (*before == config) return {};
  return access_.put(std::string(kConfigKey), config.encode());
}

base::Result<std::vector<Pool>> Ipam::pools() {
  const auto listing = access_.list(model::resource_prefix(model::kinds::kIpPool));
  if (!listing) return base::fail(listing.error());
  std::vector<Pool> pools;
  for (const store::KeyValue& item : listing->items) {
    const auto resource = model::decode_stored(model::kinds::kIpPool, item.value);
    if (!resource) continue;
    if (auto pool = pool_of(*resource)) pools.push_back(*std::move(pool));
  }
  return pools;
}

base::Result<std::vector<base::Prefix>> Ipam::reservations() {
  const auto listing = access_.list(model::resource_prefix(model::kinds::kIpReservation));
  if (!listing) return base::fail(listing.error());
  std::vector<base::Prefix> ranges;
  for (const store::KeyValue& item : listing->items) {
    const auto resource = model::decode_stored(model::kinds::kIpReservation, item.value);
    if (!resource) continue;
    const auto more = reserved_ranges(*resource);
    ranges.insert(ranges.end(), more.begin(), more.end());
  }
  return ranges;
}

base::Result<std::vector<StoredBlock>> Ipam::blocks(std::optional<base::Family> family,
                                                    std::vector<std::string>* unreadable) {
  const auto listing = access_.list(family ? block_root(*family) : std::string(kBlockRoot));
  if (!listing) return base::fail(listing.error());
  std::vector<StoredBlock> blocks;
  for (const store::KeyValue& item : listing->items) {
    const auto named = parse_block_key(item.key);
    if (!named) continue;
    auto block = parse_block(item);
    if (block && block->cidr() == *named) {
      blocks.push_back({item.mod_revision, *std::move(block)});
    } else if (unreadable != nullptr) {
      unreadable->push_back(item.key);
    }
  }
  std::ranges::sort(blocks, {}, [](const StoredBlock& stored) { return stored.block.cidr(); });
  return blocks;
}

base::Result<std::optional<StoredBlock>> Ipam::read_block(const base::Prefix& block) {
  const auto item = access_.get(block_key(block));
  if (!item) return base::fail(item.error());
  if (!*item) return std::optional<StoredBlock>();
  auto parsed = parse_block(**item);
  if (!parsed) return base::fail(std::move(parsed).error());
  if (parsed->cidr() != block)
    return base::fail(Error::invalid("holds another block", base::to_string(parsed->cidr())).in((*item)->key));
  return std::optional(StoredBlock{(*item)->mod_revision, *std::move(parsed)});
}

base::Result<std::optional<StoredBlock>> Ipam::block_of(const base::IpAddress& address) {
  const auto known = pools();
  if (!known) return base::fail(known.error());
  if (const Pool* pool = pool_containing(*known, base::Prefix::host(address))) {
    auto found = read_block(block_around(address, pool->block_size));
    if (!found || *found) return found;
  }
  auto all = blocks(address.family());
  if (!all) return base::fail(all.error());
  for (StoredBlock& stored : *all) {
    if (stored.block.cidr().contains(address)) return std::optional(std::move(stored));
  }
  return std::optional<StoredBlock>();
}

base::Result<std::optional<LabelMap>> Ipam::node_labels(std::string_view host) {
  const auto item = access_.get(model::resource_key(model::kinds::kNode, {}, host));
  if (!item) return base::fail(item.error());
  if (!*item) return std::optional<LabelMap>();
  const auto node = model::decode_stored(model::kinds::kNode, (*item)->value);
  if (!node) return base::fail(node.error());
  return std::optional(labels_of(*node));
}

// --- Handles ---

base::Result<void> Ipam::write_handle(const std::string& handle, const base::Prefix& block, std::int64_t change) {
  const std::string key = handle_key(handle);
  Backoff backoff(access_.sources());
  for (int i = 0; i < access_.patience().tries; ++i) {
    const auto item = access_.get(key);
    if (!item) return base::fail(item.error());
    if (!*item && change < 0) return {};
    auto counts = *item ? Handle::parse((*item)->value) : Handle();
    if (!counts) return base::fail(counts.error().in(key));
    if (change > 0) counts->add(block, change);
    if (change < 0) counts->subtract(block, -change);
    const auto written = !*item            ? access_.create(key, counts->encode())
                         : counts->empty() ? access_.remove(key, (*item)->mod_revision)
                                           : access_.update(key, counts->encode(), (*item)->mod_revision);
    if (!written) return base::fail(written.error());
    if (written->outcome == Written::kDone) return {};
    backoff.wait();
  }
  return base::fail(too_many_tries());
}

base::Result<void> Ipam::increment_handle(const std::string& handle, const base::Prefix& block, std::int64_t count) {
  return count > 0 ? write_handle(handle, block, count) : base::Result<void>();
}

base::Result<void> Ipam::decrement_handle(const std::string& handle, const base::Prefix& block, std::int64_t count) {
  return count > 0 ? write_handle(handle, block, -count) : base::Result<void>();
}

// After everything of the handle in the block was released: what its count still says is wrong, unless somebody has
// touched the handle since `revision`, who may be about to take addresses.
base::Result<void> Ipam::forget_block_of_handle(const std::string& handle, const base::Prefix& block,
                                                store::Revision revision, std::int64_t count) {
  const std::string key = handle_key(handle);
  const auto item = access_.get(key);
  if (!item) return base::fail(item.error());
  if (!*item) return {};
  if ((*item)->mod_revision == revision) {
    auto counts = Handle::parse((*item)->value);
    if (!counts) return base::fail(counts.error().in(key));
    counts->blocks.erase(base::to_string(block));
    const auto written =
        counts->empty() ? access_.remove(key, revision) : access_.update(key, counts->encode(), revision);
    if (!written) return base::fail(written.error());
    if (written->outcome != Written::kRefused) return {};
  }
  return decrement_handle(handle, block, count);
}

base::Result<bool> Ipam::remove_handle(std::string_view handle, store::Revision revision) {
  const auto item = access_.get(handle_key(handle));
  if (!item) return base::fail(item.error());
  if (!*item || (*item)->mod_revision != revision) return false;
  const auto removed = access_.remove(handle_key(handle), revision);
  if (!removed) return base::fail(removed.error());
  return removed->outcome == Written::kDone;
}

}  // namespace ipam
