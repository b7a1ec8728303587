// set_index.h: IP set membership (spec felix-agent §3.6): every endpoint and network set of the cloud on one side, the
// sets that this host's rules use on the other.
//
// Sets are reference counted by acquire() and release(); a set is filled, and one without references dropped, only by
// collect(), so that a set which loses its last user and finds a new one between two flushes never leaves the kernel.
//
// Costs: an endpoint change is proportional to the sets it is or was in; a new set to its members and to the groups
// that have its rarest label. Not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include "calc/containers/compact_array.h"
#include "calc/containers/compact_text.h"
#include "calc/containers/slab.h"
#include "calc/labels/label_index.h"
#include "calc/network/host_census.h"
#include "calc/output.h"
#include "calc/sets/member_counts.h"
#include "calc/sets/set_spec.h"
#include "model/endpoint.h"

namespace calc {

using SetRef = std::uint32_t;
// Of an endpoint for as long as it exists; small, and used again afterwards.
using EndpointNumber = std::uint32_t;

class SetIndex {
 public:
  // Endpoints enter their hosts in the census. Both outlive the index.
  SetIndex(const ProfileLabels& profiles, HostCensus& census) : index_(profiles), census_(census) {}

  // Contributors of members. Putting an equal value again changes nothing. A workload's number is what other stages
  // may file it by: names are long.
  EndpointNumber put(const model::WorkloadEndpointKey& key, Symbol node, const model::Membership& value);
  void put(const model::HostEndpointKey& key, Symbol node, const model::Membership& value);
  void put(const model::NetworkSetKey& key, const model::NetworkSet& value);
  EndpointNumber erase(const model::WorkloadEndpointKey& key);  // which number is free now; kNoIndex: it was not there
  void erase(const model::HostEndpointKey& key);
  void erase(const model::NetworkSetKey& key);

  // Around a change of a profile's labels.
  void before_profile_change(Symbol profile) { index_.before_profile_change(profile); }
  void after_profile_change(Symbol profile);

  SetRef acquire(const SetSpec& spec);
  void release(SetRef set);

  // Adds what happened to sets since the last call.
  void collect(Changes& changes);

  std::size_t workload_count() const { return workloads_.size(); }
  std::size_t host_endpoint_count() const { return hosts_.size(); }
  std::size_t network_set_count() const { return network_sets_.size(); }
  const IndexWork& work() const { return index_.work(); }

  // Everything that has not been put between begin and end is erased at the end, which returns the workloads among it.
  void begin_resync() { ++generation_; }
  void keep(const model::WorkloadEndpointKey& key) { keep_in(workloads_, key); }  // counts as put
  void keep(const model::HostEndpointKey& key) { keep_in(hosts_, key); }
  void keep(const model::NetworkSetKey& key) { keep_in(network_sets_, key); }
  std::vector<EndpointNumber> end_resync();

 private:
  // An endpoint or network set. The usual endpoint has one IPv4 address and no named ports and needs no allocation
  // here.
  struct Holder {
    GroupId group = kNoIndex;
    std::uint32_t next = kNoIndex;  // of the same group
    std::uint32_t previous = kNoIndex;
    std::uint32_t only_v4 = 0;
    bool has_only_v4 = false;
    std::uint8_t generation = 0;
    Symbol node;  // of an endpoint
    CompactArray<base::Prefix> nets;
    CompactArray<model::EndpointPort> ports;
  };
  struct Value {
    Symbol node;
    std::span<const model::Label> labels;
    std::span<const Symbol> profiles;
    std::span<const base::Prefix> nets;
    std::span<const model::EndpointPort> ports;
  };
  struct Set {
    SetSpec spec;
    std::uint32_t references = 0;
    bool filled = false;
    bool announced = false;
    bool dirty = false;
    MemberCounts members;
  };
  // A set of these is a map from names to holders, whose entries are without the gap that a map would have.
  struct Workload {
    Symbol ns;
    mutable std::uint32_t holder;  // no part of the key
    CompactText name;
  };
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(const Workload& key) const { return of(key.ns, key.name.view()); }
    std::size_t operator()(const model::WorkloadEndpointKey& key) const { return of(key.ns, key.name); }
    static std::size_t of(Symbol ns, std::string_view name) {
      return std::hash<std::string_view>{}(name) ^ std::hash<Symbol>{}(ns);
    }
  };
  struct NameEqual {
    using is_transparent = void;
    bool operator()(const Workload& a, const Workload& b) const { return is(a, b.ns, b.name.view()); }
    bool operator()(const Workload& a, const model::WorkloadEndpointKey& b) const { return is(a, b.ns, b.name); }
    bool operator()(const model::WorkloadEndpointKey& a, const Workload& b) const { return is(b, a.ns, a.name); }
    static bool is(const Workload& workload, Symbol ns, std::string_view name) {
      return workload.ns == ns && workload.name.view() == name;
    }
  };
  struct HostHash {
    std::size_t operator()(const model::HostEndpointKey& key) const { return std::hash<Symbol>{}(key.name); }
  };
  struct NetworkSetHash {
    std::size_t operator()(const model::NetworkSetKey& key) const {
      return std::hash<Symbol>{}(key.ns) * 31 + std::hash<Symbol>{}(key.name);
    }
  };

  static std::uint32_t holder_of(const Workload& entry) { return entry.holder; }
  static std::uint32_t holder_of(const auto& entry) { return entry.second; }
  void keep_in(const auto& table, const auto& key) {
    if (const auto known = table.find(key); known != table.end()) holders_[holder_of(*known)].generation = generation_;
  }
  void put(std::uint32_t& id, Symbol node, const model::Membership& value);
  void put(std::uint32_t& id, const Value& value);
  void erase(std::uint32_t id);
  bool same(const Holder& holder, const Value& value) const;
  void link(std::uint32_t id);
  void unlink(std::uint32_t id);
  void contribute(const Holder& holder, SetRef set);
  void withdraw(const Holder& holder, SetRef set);
  template <typename Visitor>
  void for_each_member(const Holder& holder, const SetSpec& spec, Visitor visit) const;
  void mark_if_changed(SetRef ref, Set& set);
  void drop_unreferenced(Changes& changes);
  void fill_new(Changes& changes);

  LabelIndex index_;
  HostCensus& census_;
  Slab<Holder> holders_;
  std::vector<std::uint32_t> first_of_group_;
  boost::unordered_flat_set<Workload, NameHash, NameEqual> workloads_;
  boost::unordered_flat_map<model::HostEndpointKey, std::uint32_t, HostHash> hosts_;
  boost::unordered_flat_map<model::NetworkSetKey, std::uint32_t, NetworkSetHash> network_sets_;

  Slab<Set> sets_;
  boost::unordered_flat_map<SetId, SetRef> by_id_;
  std::vector<SetRef> new_;           // to be filled
  std::vector<SetRef> unreferenced_;  // to be dropped unless referred to again
  std::vector<SetRef> dirty_;

  std::uint8_t generation_ = 0;
  std::vector<base::Prefix> scratch_;
};

}  // namespace calc
