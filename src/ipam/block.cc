#include "ipam/block.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>

#include "base/check.h"
#include "base/strings.h"
#include "ipam/addressing.h"
#include "model/resource_text.h"

namespace ipam {
namespace {

namespace json = boost::json;
using base::Error;
using base::ErrorKind;

constexpr std::array<std::string_view, 9> kMembers = {
    "cidr",       "affinity",       "affinity_claim_time",         "allocations", "unallocated",
    "attributes", "sequenceNumber", "sequenceNumberForAllocation", "deleted"};

// What an index that names no owner becomes: no list of owners ever gets so long that it would come to mean somebody.
constexpr std::int64_t kNobody = 1'000'000;

std::optional<std::uint64_t> unsigned_of(const json::value& value) {
  if (value.is_uint64()) return value.get_uint64();
  if (value.is_int64() && value.get_int64() >= 0) return static_cast<std::uint64_t>(value.get_int64());
  return std::nullopt;
}

std::string text_of(const json::value& value) { return {value.get_string().data(), value.get_string().size()}; }

base::Result<Attributes> parse_attributes(const json::value& value) {
  Attributes attributes;
  if (!value.is_object()) return base::fail(Error::invalid("secondary is not an object"));
  for (const auto& [key, text] : value.get_object()) {
    if (!text.is_string()) return base::fail(Error::invalid("an attribute is not text", std::string(key)));
    attributes[std::string(key)] = text_of(text);
  }
  return attributes;
}

base::Result<Owner> parse_owner(const json::value& value) {
  if (!value.is_object()) return base::fail(Error::invalid("attributes holds something else than objects"));
  Owner owner;
  const json::object& object = value.get_object();
  if (const json::value* handle = object.if_contains("handle_id"); handle != nullptr && !handle->is_null()) {
    if (!handle->is_string()) return base::fail(Error::invalid("handle_id is not text"));
    owner.handle = text_of(*handle);
  }
  if (const json::value* secondary = object.if_contains("secondary"); secondary != nullptr && !secondary->is_null()) {
    auto attributes = parse_attributes(*secondary);
    if (!attributes) return base::fail(attributes.error());
    owner.attributes = *std::move(attributes);
  }
  if (const json::value* other = object.if_contains("alternateOwnerAttrs"); other != nullptr) owner.alternate = *other;
  return owner;
}

json::object encode_owner(const Owner& owner) {
  json::object object;
  if (owner.handle) object["handle_id"] = *owner.handle;
  if (owner.attributes && !owner.attributes->empty()) {
    json::object secondary;
    for (const auto& [key, text] : *owner.attributes) secondary[key] = text;
    object["secondary"] = std::move(secondary);
  }
  if (!owner.alternate.is_null()) object["alternateOwnerAttrs"] = owner.alternate;
  return object;
}

bool is_windows(const Owner* owner) {
  return owner != nullptr && base::equal_ignoring_case(owner->handle_text(), kWindowsHandle);
}

Error mismatch(const base::IpAddress& address) {
  return Error(ErrorKind::kConflict, "update conflict: " + base::to_string(address));
}

}  // namespace

std::string Owner::handle_text() const { return handle ? handle->substr(0, handle->find('\r')) : std::string(); }

Block Block::create(const base::Prefix& cidr, std::string affinity, std::string claim_time, std::uint64_t sequence) {
  Block block;
  block.cidr_ = cidr;
  block.affinity_ = std::move(affinity);
  block.claim_time_ = std::move(claim_time);
  block.allocations_.resize(capacity(cidr));
  for (std::uint32_t i = 0; i < capacity(cidr); ++i) block.unallocated_.push_back(i);
  block.sequence_ = sequence;
  block.sequences_.emplace();
  return block;
}

base::Result<Block> Block::parse(std::string_view value) {
  boost::system::error_code failure;
  const json::value parsed = json::parse(json::string_view(value.data(), value.size()), failure);
  if (failure || !parsed.is_object()) return base::fail(Error::invalid("block is not a JSON object"));
  Block block;
  const json::object& object = parsed.get_object();
  const auto member = [&](std::string_view name) -> const json::value* {
    const json::value* found = object.if_contains(name);
    return found != nullptr && !found->is_null() ? found : nullptr;
  };
  const json::value* cidr = member("cidr");
  if (cidr == nullptr || !cidr->is_string()) return base::fail(Error::invalid("block without cidr"));
  const auto prefix = base::parse_cidr(text_of(*cidr));
  if (!prefix || !is_block(*prefix)) return base::fail(Error::invalid("not the CIDR of a block", text_of(*cidr)));
  block.cidr_ = *prefix;
  if (const auto* affinity = member("affinity")) {
    if (!affinity->is_string()) return base::fail(Error::invalid("affinity is not text"));
    block.affinity_ = text_of(*affinity);
  }
  if (const auto* time = member("affinity_claim_time"); time != nullptr && time->is_string())
    block.claim_time_ = text_of(*time);

  const json::value* allocations = member("allocations");
  const bool right_size =
      allocations != nullptr && allocations->is_array() && allocations->get_array().size() == capacity(*prefix);
  if (!right_size) return base::fail(Error::invalid("allocations does not have one entry per address"));
  for (const json::value& entry : allocations->get_array()) {
    const bool index = entry.is_int64() && entry.get_int64() >= 0;
    if (!entry.is_null() && !index) return base::fail(Error::invalid("allocations holds other than indexes"));
    block.allocations_.push_back(entry.is_null() ? std::nullopt : std::optional(entry.get_int64()));
  }
  if (const auto* free = member("unallocated")) {
    if (!free->is_array()) return base::fail(Error::invalid("unallocated is not a list"));
    std::set<std::uint64_t> seen;
    for (const json::value& entry : free->get_array()) {
      const auto ordinal = unsigned_of(entry);
      if (!ordinal || *ordinal >= block.size()) return base::fail(Error::invalid("unallocated holds no ordinal"));
      // See the header: what is in use as well, or named twice, is not free.
      if (block.allocations_[*ordinal] || !seen.insert(*ordinal).second) continue;
      block.unallocated_.push_back(static_cast<std::uint32_t>(*ordinal));
    }
  }
  if (const auto* owners = member("attributes")) {
    if (!owners->is_array()) return base::fail(Error::invalid("attributes is not a list"));
    block.owners_.emplace();
    if (owners->get_array().size() >= static_cast<std::size_t>(kNobody))
      return base::fail(Error::invalid("attributes is too long"));
    for (const json::value& entry : owners->get_array()) {
      auto owner = parse_owner(entry);
      if (!owner) return base::fail(owner.error());
      block.owners_->push_back(*std::move(owner));
    }
  }
  const auto owner_count = static_cast<std::int64_t>(block.owners_ ? block.owners_->size() : 0);
  for (auto& index : block.allocations_) {
    if (index && *index >= owner_count) index = kNobody;
  }
  if (const auto* sequence = member("sequenceNumber")) {
    const auto number = unsigned_of(*sequence);
    if (!number) return base::fail(Error::invalid("sequenceNumber is not a number"));
    block.sequence_ = *number;
  }
  if (const auto* sequences = member("sequenceNumberForAllocation")) {
    if (!sequences->is_object()) return base::fail(Error::invalid("sequenceNumberForAllocation is not an object"));
    block.sequences_.emplace();
    for (const auto& [ordinal, entry] : sequences->get_object()) {
      const auto number = unsigned_of(entry);
      if (!number) return base::fail(Error::invalid("sequenceNumberForAllocation holds other than numbers"));
      block.sequences_->emplace(ordinal, *number);
    }
  }
  if (const auto* deleted = member("deleted")) block.deleted_ = deleted->is_bool() && deleted->get_bool();
  for (const auto& [name, content] : object) {
    if (std::ranges::find(kMembers, std::string_view(name)) == kMembers.end()) block.unknown_[name] = content;
  }
  return block;
}

std::string Block::encode() const {
  json::object object;
  object["cidr"] = base::to_string(cidr_);
  object["affinity"] = affinity_ ? json::value(*affinity_) : json::value(nullptr);
  if (!claim_time_.empty()) object["affinity_claim_time"] = claim_time_;
  json::array allocations;
  for (const auto& index : allocations_) allocations.push_back(index ? json::value(*index) : json::value(nullptr));
  object["allocations"] = std::move(allocations);
  object["unallocated"] = json::array(unallocated_.begin(), unallocated_.end());
  if (owners_) {
    json::array owners;
    for (const Owner& owner : *owners_) owners.push_back(encode_owner(owner));
    object["attributes"] = std::move(owners);
  } else {
    object["attributes"] = nullptr;
  }
  object["sequenceNumber"] = sequence_;
  if (sequences_) {
    json::object sequences;
    for (const auto& [ordinal, number] : *sequences_) sequences[ordinal] = number;
    object["sequenceNumberForAllocation"] = std::move(sequences);
  } else {
    object["sequenceNumberForAllocation"] = nullptr;
  }
  object["deleted"] = deleted_;
  for (const auto& [name, content] : unknown_) object[name] = content;
  return model::to_go_json(object);
}

std::string Block::encode_update() {
  ++sequence_;
  return encode();
}

std::string_view Block::host() const { return affinity_ ? host_of_affinity(*affinity_) : std::string_view(); }

void Block::set_affinity(std::optional<std::string> affinity, std::string claim_time) {
  affinity_ = std::move(affinity);
  claim_time_ = std::move(claim_time);
}

bool Block::empty() const {
  bool empty = true;
  for_each_used([&](const base::IpAddress&, const Owner* owner) { empty = empty && is_windows(owner); });
  return empty;
}

bool Block::has_free(std::span<const base::Prefix> reserved) const {
  return std::ranges::any_of(unallocated_,
                             [&](std::uint32_t i) { return !is_reserved(address_at(cidr_, i), reserved); });
}

std::optional<Owner> Block::owner_of(const base::IpAddress& address) const {
  const auto ordinal = ordinal_of(cidr_, address);
  if (!ordinal || !allocations_[*ordinal]) return std::nullopt;
  const auto index = static_cast<std::size_t>(*allocations_[*ordinal]);
  return owners_ && index < owners_->size() ? (*owners_)[index] : Owner{};
}

std::uint64_t Block::sequence_of(const base::IpAddress& address) const {
  const auto ordinal = ordinal_of(cidr_, address);
  if (!ordinal || !sequences_) return 0;
  const auto found = sequences_->find(std::to_string(*ordinal));
  return found == sequences_->end() ? 0 : found->second;
}

void Block::for_each_used(const std::function<void(const base::IpAddress&, const Owner*)>& visit) const {
  for (std::uint32_t i = 0; i < allocations_.size(); ++i) {
    if (!allocations_[i]) continue;
    const auto index = static_cast<std::size_t>(*allocations_[i]);
    visit(address_at(cidr_, i), owners_ && index < owners_->size() ? &(*owners_)[index] : nullptr);
  }
}

std::size_t Block::owner_index(const Owner& owner) {
  if (!owners_) owners_.emplace();
  const auto found =
      std::ranges::find_if(*owners_, [&](const Owner& known) { return known.alternate.is_null() && known == owner; });
  if (found != owners_->end()) return static_cast<std::size_t>(found - owners_->begin());
  owners_->push_back(owner);
  return owners_->size() - 1;
}

void Block::take(std::uint32_t ordinal, const Owner& owner) {
  allocations_[ordinal] = static_cast<std::int64_t>(owner_index(owner));
  if (!sequences_) sequences_.emplace();
  (*sequences_)[std::to_string(ordinal)] = sequence_;
}

std::vector<base::IpAddress> Block::assign(std::size_t count, const Owner& owner,
                                           std::span<const base::Prefix> reserved) {
  std::vector<base::IpAddress> taken;
  std::vector<std::uint32_t> rest;
  for (const std::uint32_t ordinal : unallocated_) {
    const base::IpAddress address = address_at(cidr_, ordinal);
    if (taken.size() == count || is_reserved(address, reserved)) {
      rest.push_back(ordinal);
      continue;
    }
    take(ordinal, owner);
    taken.push_back(address);
  }
  unallocated_ = std::move(rest);
  return taken;
}

base::Result<void> Block::assign_address(const base::IpAddress& address, const Owner& owner) {
  const auto ordinal = ordinal_of(cidr_, address);
  if (!ordinal) return base::fail(Error::invalid("not in block " + base::to_string(cidr_), base::to_string(address)));
  const auto free = std::ranges::find(unallocated_, *ordinal);
  if (free == unallocated_.end()) {
    return base::fail(Error(ErrorKind::kExists, "resource already exists: " + base::to_string(address) +
                                                    " with error: Address already assigned in block"));
  }
  unallocated_.erase(free);
  take(*ordinal, owner);
  return {};
}

base::Result<void> Block::reassign(const base::IpAddress& address, const Owner& owner) {
  const auto ordinal = ordinal_of(cidr_, address);
  if (!ordinal || !allocations_[*ordinal])
    return base::fail(Error::not_found(base::to_string(address) + " is not assigned"));
  take(*ordinal, owner);
  drop_unused_owners();
  return {};
}

void Block::free(std::uint32_t ordinal) {
  allocations_[ordinal] = std::nullopt;
  unallocated_.push_back(ordinal);
}

// What nobody refers to any more goes, and the others move up.
void Block::drop_unused_owners() {
  if (!owners_) return;
  std::vector<bool> used(owners_->size(), false);
  for (const auto& index : allocations_) {
    if (index && static_cast<std::size_t>(*index) < used.size()) used[static_cast<std::size_t>(*index)] = true;
  }
  std::vector<std::int64_t> moved(owners_->size(), 0);
  std::vector<Owner> kept;
  for (std::size_t i = 0; i < owners_->size(); ++i) {
    moved[i] = static_cast<std::int64_t>(kept.size());
    if (used[i]) kept.push_back(std::move((*owners_)[i]));
  }
  for (auto& index : allocations_) {
    if (index && *index != kNobody) *index = moved[static_cast<std::size_t>(*index)];
  }
  owners_ = std::move(kept);
}

base::Result<Released> Block::release(std::span<const Release> requests) {
  Released result;
  std::set<std::uint32_t> seen, freed;
  for (const Release& request : requests) {
    const auto ordinal = ordinal_of(cidr_, request.address);
    CHECK(ordinal.has_value());
    if (!seen.insert(*ordinal).second) continue;
    if (request.sequence && *request.sequence != sequence_of(request.address))
      return base::fail(mismatch(request.address));
    const auto owner = owner_of(request.address);
    if (!owner) {
      result.unallocated.push_back(request.address);
      continue;
    }
    if (request.handle && *request.handle != owner->handle_text()) return base::fail(mismatch(request.address));
    if (owner->handle) ++result.handles[owner->handle_text()];
    result.released.push_back(request.address);
    freed.insert(*ordinal);
  }
  for (const std::uint32_t ordinal : freed) {
    free(ordinal);
    if (sequences_) sequences_->erase(std::to_string(ordinal));
  }
  if (!freed.empty()) drop_unused_owners();
  return result;
}

Released Block::release_handle(std::string_view handle) {
  Released result;
  std::vector<std::uint32_t> ordinals;
  for_each_used([&](const base::IpAddress& address, const Owner* owner) {
    if (owner == nullptr || !owner->handle || owner->handle_text() != handle) return;
    result.released.push_back(address);
    ordinals.push_back(*ordinal_of(cidr_, address));
  });
  // Upstream leaves the numbers behind. They would then meet the sequence check of a later release of a free address,
  // so they go.
  for (const std::uint32_t ordinal : ordinals) {
    free(ordinal);
    if (sequences_) sequences_->erase(std::to_string(ordinal));
  }
  if (!ordinals.empty()) {
    result.handles[std::string(handle)] = static_cast<int>(ordinals.size());
    drop_unused_owners();
  }
  return result;
}

}  // namespace ipam
