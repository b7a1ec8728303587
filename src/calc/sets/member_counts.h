// member_counts.h: the members of one IP set, each with the number of objects that contribute it, and what changed
// since the last look. Two endpoints with one address are normal (a live migration), so a member leaves with its last
// contributor.
#pragma once

#include <cstdint>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "calc/output.h"

namespace calc {

class MemberCounts {
 public:
  void add(const SetMember& member);
  void remove(const SetMember& member);  // REQUIRES that it is there
  void reserve_more(std::size_t members);

  std::vector<SetMember> all() const;  // sorted

  // From now on changes are remembered until take_changes() fetches them.
  void watch() { watched_ = true; }
  bool changed() const { return !v4_.before.empty() || !v6_.before.empty(); }
  IpSetDelta take_changes();

 private:
  // A cloud's members are IPv4 addresses, so those are packed into one word that sorts as SetMember does.
  using Packed = std::uint64_t;
  struct MemberHash {
    std::size_t operator()(const SetMember& member) const noexcept;
  };
  template <typename Key, typename Hash>
  struct Counts {
    boost::unordered_flat_map<Key, std::uint32_t, Hash> count;
    boost::unordered_flat_map<Key, bool, Hash> before;  // touched since the last look: was it a member then?
    void add(const Key& key, bool watched);
    void remove(const Key& key, bool watched);
    void split_changes(std::vector<Key>& added, std::vector<Key>& removed);
  };

  Counts<Packed, boost::hash<Packed>> v4_;
  Counts<SetMember, MemberHash> v6_;
  bool watched_ = false;
};

}  // namespace calc
