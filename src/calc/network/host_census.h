// host_census.h: how many hosts the datastore knows (spec felix-agent §3.14): Nodes with an address, and hosts that an
// endpoint names. Each object enters its host once and leaves it when it goes or moves.
#pragma once

#include <cstddef>
#include <cstdint>

#include <boost/unordered/unordered_flat_map.hpp>

#include "base/check.h"
#include "base/symbol.h"

namespace calc {

class HostCensus {
 public:
  // The empty name is no host.
  void enter(base::Symbol host) {
    if (!host.empty()) ++objects_[host];
  }
  // REQUIRES an enter() of the same host before.
  void leave(base::Symbol host) {
    if (host.empty()) return;
    const auto known = objects_.find(host);
    CHECK(known != objects_.end());
    if (--known->second == 0) objects_.erase(known);
  }
  std::size_t hosts() const { return objects_.size(); }

 private:
  boost::unordered_flat_map<base::Symbol, std::uint32_t, std::hash<base::Symbol>> objects_;
};

}  // namespace calc
