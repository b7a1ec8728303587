#include "history.h"

#include <charconv>
#include <utility>
#include <variant>

#include <boost/json/parse.hpp>

namespace neutron_test {
namespace {

using neutron::inner;
using neutron::Kind;
using neutron::ObjectId;

// "v17" as 17, nothing for other texts.
std::optional<std::int64_t> number_in(std::string_view name) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(name.data() + 1, name.data() + name.size(), number);
  if (name.size() < 2 || name.front() != 'v' || error != std::errc() || end != name.data() + name.size()) return {};
  return number;
}

// 10.65.x.y by its number.
std::int64_t number_of_gateway(std::string_view address) {
  std::int64_t number = 0, part = 0;
  for (const char c : address) {
    if (c != '.') {
      part = part * 10 + (c - '0');
      continue;
    }
    number = number * 256 + part;
    part = 0;
  }
  return number * 256 + part;
}

std::map<std::string, std::int64_t> versions_in(const std::string& value) {
  std::map<std::string, std::int64_t> versions;
  boost::system::error_code error;
  const json::value parsed = json::parse(value, error);
  if (error || !parsed.is_object()) return versions;
  const json::object& object = parsed.get_object();
  const json::object& metadata = inner(object, "metadata");
  if (const auto generation = neutron::number(metadata, "generation")) versions["revision_number"] = *generation;
  for (const auto& [name, label] : inner(metadata, "labels")) {
    if (const auto number = label.is_string() ? number_in(neutron::view(label.get_string())) : std::nullopt) {
      versions[std::string(name)] = *number;
    }
  }
  for (const auto& [part, member] :
       {std::pair(&object, "gateway_ip"), std::pair(&inner(object, "spec"), "ipv4Gateway")}) {
    if (const auto gateway = neutron::text(*part, member); !gateway.empty()) {
      versions["gateway"] = number_of_gateway(gateway);
    }
  }
  return versions;
}

}  // namespace

History::History(store::Store& store, testing::SimLoop& loop, const RandomCloud& cloud, bool strict)
    : cloud_(cloud), strict_(strict) {
  subscription_ = store.subscribe({"/calico/resources/", "/calico/dhcp/"}, loop, [this](store::StoreEvent event) {
    const auto* delta = std::get_if<store::Delta>(&event);
    if (delta == nullptr) return;
    // What one transaction removes and writes under another name has not been away.
    for (const bool removed : {false, true}) {
      for (const auto& change : delta->changes) {
        if (change.removed == removed) take(change);
      }
    }
  });
}

void History::take(const store::Change& change) {
  const auto owner = region_.owner(change.item.key);
  if (!owner) return;
  auto& keys = keys_[*owner];
  if (change.removed) {
    keys.erase(change.item.key);
    if (!keys.empty()) return;
    if (!strict_) seen_.erase(*owner);  // nothing is left that could tell a late reader how late it is
    if (strict_ && !in_database(*owner)) gone_.insert(*owner);
    return;
  }
  keys.insert(change.item.key);
  if (gone_.contains(*owner)) complain(owner->id + " has come back");
  compare(*owner, versions_in(change.item.value));
}

void History::compare(const ObjectId& owner, const Versions& now) {
  Versions& seen = seen_[owner];
  for (const auto& [name, number] : now) {
    const auto before = seen.find(name);
    if (before != seen.end() && number < before->second && (strict_ || name == "revision_number")) {
      complain(owner.id + ": " + name + " went back from " + std::to_string(before->second) + " to " +
               std::to_string(number));
    }
  }
  seen = now;
}

bool History::in_database(const ObjectId& owner) const {
  const auto state = cloud_.state();
  switch (owner.kind) {
    case Kind::kPort: return state->ports.contains(owner.id);
    case Kind::kSecurityGroup: return state->security_groups.contains(owner.id);
    case Kind::kSubnet: return state->subnets.contains(owner.id);
    case Kind::kAddressGroup: return state->address_groups.contains(owner.id);
    case Kind::kNetwork: break;
  }
  return true;
}

void History::complain(std::string text) {
  if (complaint_.empty()) complaint_ = std::move(text);
}

}  // namespace neutron_test
