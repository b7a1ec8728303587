#include "calc/sets/set_index.h"

#include <algorithm>

#include "base/check.h"

namespace calc {

EndpointNumber SetIndex::put(const model::WorkloadEndpointKey& key, Symbol node, const model::Membership& value) {
  auto known = workloads_.find(key);
  if (known == workloads_.end()) {
    known = workloads_.insert(Workload{key.ns, kNoIndex, CompactText(key.name)}).first;
  }
  put(known->holder, node, value);
  return known->holder;
}

void SetIndex::put(const model::HostEndpointKey& key, Symbol node, const model::Membership& value) {
  put(hosts_.try_emplace(key, kNoIndex).first->second, node, value);
}

void SetIndex::put(const model::NetworkSetKey& key, const model::NetworkSet& value) {
  scratch_.clear();
  for (const base::Prefix& net : value.nets) {
    if (net.length > 0) {
      scratch_.push_back(net);
      continue;
    }
    // The kernel's hash:net cannot hold /0, so it goes in as two halves.
    const std::uint8_t high[16] = {0x80};
    scratch_.push_back({net.address, 1});
    scratch_.push_back({base::IpAddress::from_bytes(net.family(), high), 1});
  }
  put(network_sets_.try_emplace(key, kNoIndex).first->second, Value{{}, value.labels, value.profiles, scratch_, {}});
}

void SetIndex::put(std::uint32_t& id, Symbol node, const model::Membership& value) {
  scratch_.clear();
  for (const base::IpAddress& address : value.addresses) scratch_.push_back(base::Prefix::host(address));
  put(id, Value{node, value.labels, value.profiles, scratch_, value.ports});
}

bool SetIndex::same(const Holder& holder, const Value& value) const {
  const bool same_nets = holder.has_only_v4
                             ? value.nets.size() == 1 && value.nets[0].is_host() && value.nets[0].address.is_v4() &&
                                   value.nets[0].address.v4_host_order() == holder.only_v4
                             : std::ranges::equal(holder.nets.items(), value.nets);
  return same_nets && std::ranges::equal(holder.ports.items(), value.ports) &&
         index_.is(holder.group, value.labels, value.profiles);
}

void SetIndex::put(std::uint32_t& id, const Value& value) {
  const bool is_new = id == kNoIndex;
  if (is_new) id = holders_.allocate();
  Holder& current = holders_[id];
  if (is_new || current.node != value.node) {
    census_.leave(current.node);
    census_.enter(value.node);
    current.node = value.node;
  }
  if (!is_new && same(current, value)) {
    current.generation = generation_;
    return;
  }
  Holder changed;
  changed.generation = generation_;
  changed.node = value.node;
  changed.group = index_.acquire(value.labels, value.profiles).group;
  if (value.nets.size() == 1 && value.nets[0].is_host() && value.nets[0].address.is_v4()) {
    changed.has_only_v4 = true;
    changed.only_v4 = value.nets[0].address.v4_host_order();
  } else {
    changed.nets = CompactArray<base::Prefix>(value.nets);
  }
  changed.ports = CompactArray<model::EndpointPort>(value.ports);

  // Added before removed, so that a member in both never goes away.
  for (const SetRef set : index_.matches(changed.group)) contribute(changed, set);
  if (!is_new) {
    for (const SetRef set : index_.matches(current.group)) withdraw(current, set);
    unlink(id);
    index_.release(current.group);
  }
  current = std::move(changed);
  link(id);
}

EndpointNumber SetIndex::erase(const model::WorkloadEndpointKey& key) {
  const auto known = workloads_.find(key);
  if (known == workloads_.end()) return kNoIndex;
  const EndpointNumber number = known->holder;
  erase(number);
  workloads_.erase(known);
  return number;
}

void SetIndex::erase(const model::HostEndpointKey& key) {
  const auto known = hosts_.find(key);
  if (known == hosts_.end()) return;
  erase(known->second);
  hosts_.erase(known);
}

void SetIndex::erase(const model::NetworkSetKey& key) {
  const auto known = network_sets_.find(key);
  if (known == network_sets_.end()) return;
  erase(known->second);
  network_sets_.erase(known);
}

void SetIndex::erase(std::uint32_t id) {
  Holder& holder = holders_[id];
  for (const SetRef set : index_.matches(holder.group)) withdraw(holder, set);
  unlink(id);
  index_.release(holder.group);
  census_.leave(holder.node);
  holders_.release(id);
}

std::vector<EndpointNumber> SetIndex::end_resync() {
  std::vector<EndpointNumber> erased;
  const auto sweep = [&](auto& table) {
    erase_if(table, [&](const auto& entry) {
      const std::uint32_t holder = holder_of(entry);
      if (holders_[holder].generation == generation_) return false;
      erase(holder);
      erased.push_back(holder);
      return true;
    });
  };
  sweep(hosts_);
  sweep(network_sets_);
  erased.clear();
  sweep(workloads_);
  return erased;
}

void SetIndex::link(std::uint32_t id) {
  Holder& holder = holders_[id];
  if (first_of_group_.size() <= holder.group) first_of_group_.resize(holder.group + 1, kNoIndex);
  std::uint32_t& first = first_of_group_[holder.group];
  holder.next = first;
  if (first != kNoIndex) holders_[first].previous = id;
  first = id;
}

void SetIndex::unlink(std::uint32_t id) {
  const Holder& holder = holders_[id];
  if (holder.previous != kNoIndex) {
    holders_[holder.previous].next = holder.next;
  } else {
    first_of_group_[holder.group] = holder.next;
  }
  if (holder.next != kNoIndex) holders_[holder.next].previous = holder.previous;
}

template <typename Visitor>
void SetIndex::for_each_member(const Holder& holder, const SetSpec& spec, Visitor visit) const {
  const auto visit_net = [&](const base::Prefix& net) {
    if (spec.type() == SetType::kNet) return visit(SetMember{.prefix = net});
    for (const model::EndpointPort& port : holder.ports.items()) {
      if (port.name != spec.port_name) continue;
      if (spec.port_protocol != 0 && spec.port_protocol != port.protocol) continue;
      visit(SetMember{.prefix = net, .protocol = port.protocol, .port = port.port});
    }
  };
  if (holder.has_only_v4) {
    visit_net(base::Prefix::host(base::IpAddress::v4(holder.only_v4)));
  } else {
    for (const base::Prefix& net : holder.nets.items()) visit_net(net);
  }
}

void SetIndex::mark_if_changed(SetRef ref, Set& set) {
  if (set.dirty || !set.members.changed()) return;
  set.dirty = true;
  dirty_.push_back(ref);
}

void SetIndex::contribute(const Holder& holder, SetRef ref) {
  Set& set = sets_[ref];
  if (holder.nets.size() > 1) set.members.reserve_more(holder.nets.size());
  for_each_member(holder, set.spec, [&](const SetMember& member) { set.members.add(member); });
  mark_if_changed(ref, set);
}

void SetIndex::withdraw(const Holder& holder, SetRef ref) {
  Set& set = sets_[ref];
  for_each_member(holder, set.spec, [&](const SetMember& member) { set.members.remove(member); });
  mark_if_changed(ref, set);
}

void SetIndex::after_profile_change(Symbol profile) {
  for (const LabelIndex::MatchChange& change : index_.after_profile_change(profile)) {
    for (std::uint32_t id = first_of_group_[change.group]; id != kNoIndex; id = holders_[id].next) {
      change.matches ? contribute(holders_[id], change.selector) : withdraw(holders_[id], change.selector);
    }
  }
}

SetRef SetIndex::acquire(const SetSpec& spec) {
  const auto [known, is_new] = by_id_.try_emplace(spec.id, kNoIndex);
  if (is_new) {
    known->second = sets_.allocate();
    sets_[known->second].spec = spec;
    new_.push_back(known->second);
  }
  ++sets_[known->second].references;
  return known->second;
}

void SetIndex::release(SetRef ref) {
  CHECK(sets_[ref].references > 0);
  if (--sets_[ref].references == 0) unreferenced_.push_back(ref);
}

void SetIndex::drop_unreferenced(Changes& changes) {
  for (const SetRef ref : unreferenced_) {
    Set& set = sets_[ref];
    if (set.references > 0 || set.spec.id.empty()) continue;  // in use again, or listed twice and gone already
    if (set.filled) index_.remove(ref);
    if (set.announced) changes.sets_removed.insert(set.spec.id);
    by_id_.erase(set.spec.id);
    sets_.release(ref);
  }
  unreferenced_.clear();
}

void SetIndex::fill_new(Changes& changes) {
  std::erase_if(new_, [&](SetRef ref) { return sets_[ref].spec.id.empty(); });  // dropped before it was filled
  std::vector<const Condition*> conditions;
  for (const SetRef ref : new_) conditions.push_back(&sets_[ref].spec.condition);
  index_.prepare(conditions);
  for (const SetRef ref : new_) {
    Set& set = sets_[ref];
    index_.add(ref, set.spec.condition).for_each([&](GroupId group) {
      for (std::uint32_t id = first_of_group_[group]; id != kNoIndex; id = holders_[id].next) {
        contribute(holders_[id], ref);
      }
    });
    changes.sets_created.emplace(set.spec.id, IpSet{set.spec.type(), set.members.all()});
    set.filled = set.announced = true;
    set.members.watch();
  }
  new_.clear();
}

void SetIndex::collect(Changes& changes) {
  drop_unreferenced(changes);
  for (const SetRef ref : dirty_) {
    Set& set = sets_[ref];
    if (!set.dirty) continue;  // dropped
    set.dirty = false;
    IpSetDelta delta = set.members.take_changes();
    if (delta.added.empty() && delta.removed.empty()) continue;
    changes.sets_changed.emplace(set.spec.id, std::move(delta));
  }
  dirty_.clear();
  fill_new(changes);
}

}  // namespace calc
