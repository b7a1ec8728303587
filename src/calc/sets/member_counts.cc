#include "calc/sets/member_counts.h"

#include <algorithm>

#include "base/check.h"

namespace calc {
namespace {

std::uint64_t pack(const SetMember& member) {
  return std::uint64_t{member.prefix.address.v4_host_order()} << 32 | std::uint64_t{member.prefix.length} << 24 |
         std::uint64_t{member.protocol} << 16 | member.port;
}

SetMember unpack(std::uint64_t packed) {
  return {.prefix = {base::IpAddress::v4(static_cast<std::uint32_t>(packed >> 32)),
                     static_cast<std::uint8_t>(packed >> 24)},
          .protocol = static_cast<std::uint8_t>(packed >> 16),
          .port = static_cast<std::uint16_t>(packed)};
}

void append(std::vector<std::uint64_t>& packed, std::vector<SetMember>& out) {
  std::ranges::sort(packed);
  for (const std::uint64_t member : packed) out.push_back(unpack(member));
}

// IPv4 sorts before IPv6, so the second family is appended.
void append(std::vector<SetMember>& members, std::vector<SetMember>& out) {
  std::ranges::sort(members);
  out.insert(out.end(), members.begin(), members.end());
}

}  // namespace

std::size_t MemberCounts::MemberHash::operator()(const SetMember& member) const noexcept {
  return std::hash<base::Prefix>{}(member.prefix) * 31 + (std::size_t{member.protocol} << 16 | member.port);
}

template <typename Key, typename Hash>
void MemberCounts::Counts<Key, Hash>::add(const Key& key, bool watched) {
  if (++count[key] == 1 && watched) before.try_emplace(key, false);
}

template <typename Key, typename Hash>
void MemberCounts::Counts<Key, Hash>::remove(const Key& key, bool watched) {
  const auto known = count.find(key);
  CHECK(known != count.end());
  if (--known->second > 0) return;
  count.erase(known);
  if (watched) before.try_emplace(key, true);
}

template <typename Key, typename Hash>
void MemberCounts::Counts<Key, Hash>::split_changes(std::vector<Key>& added, std::vector<Key>& removed) {
  for (const auto& [key, was_member] : before) {
    const bool is_member = count.contains(key);
    if (is_member && !was_member) added.push_back(key);
    if (!is_member && was_member) removed.push_back(key);
  }
  before = {};
}

void MemberCounts::add(const SetMember& member) {
  member.prefix.address.is_v4() ? v4_.add(pack(member), watched_) : v6_.add(member, watched_);
}

void MemberCounts::remove(const SetMember& member) {
  member.prefix.address.is_v4() ? v4_.remove(pack(member), watched_) : v6_.remove(member, watched_);
}

void MemberCounts::reserve_more(std::size_t members) { v4_.count.reserve(v4_.count.size() + members); }

std::vector<SetMember> MemberCounts::all() const {
  std::vector<SetMember> members;
  members.reserve(v4_.count.size() + v6_.count.size());
  std::vector<std::uint64_t> packed;
  packed.reserve(v4_.count.size());
  for (const auto& [member, count] : v4_.count) packed.push_back(member);
  append(packed, members);
  std::vector<SetMember> wide;
  for (const auto& [member, count] : v6_.count) wide.push_back(member);
  append(wide, members);
  return members;
}

IpSetDelta MemberCounts::take_changes() {
  std::vector<Packed> added4, removed4;
  std::vector<SetMember> added6, removed6;
  v4_.split_changes(added4, removed4);
  v6_.split_changes(added6, removed6);
  IpSetDelta delta;
  append(added4, delta.added);
  append(added6, delta.added);
  append(removed4, delta.removed);
  append(removed6, delta.removed);
  return delta;
}

}  // namespace calc
