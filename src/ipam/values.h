// values.h: the smaller values of IPAM: affinities, handles, the global configuration (spec datamodel §7.4–§7.6), and
// what it reads of pools and reservations (§4.11, §4.12). Pure.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "base/ip.h"
#include "base/result.h"
#include "model/resource.h"

namespace ipam {

enum class AffinityState { kConfirmed, kPending, kPendingDeletion };

std::string encode_affinity(AffinityState state);
// An empty value or state means confirmed; so does a text that is none, as a reader of the key has to decide.
AffinityState parse_affinity(std::string_view value);

// How many addresses of a handle lie in each block. A hint: the blocks decide.
struct Handle {
  std::map<std::string, std::int64_t> blocks;  // by CIDR

  static base::Result<Handle> parse(std::string_view value);
  std::string encode() const;

  void add(const base::Prefix& block, std::int64_t count);
  // Counts below zero do not come about: wrong counts of others are corrected on the way.
  void subtract(const base::Prefix& block, std::int64_t count);
  bool empty() const { return blocks.empty(); }
};

struct Config {
  bool strict_affinity = false;
  bool auto_allocate_blocks = false;  // also what an absent member means
  std::int64_t max_blocks_per_host = 0;
  std::string vm_persistence = {};  // "Enabled", "Disabled" or unset
  boost::json::object unknown = {};

  static Config initial();
  static base::Result<Config> parse(std::string_view value);
  std::string encode() const;
  friend bool operator==(const Config&, const Config&) = default;
};

enum class Use { kWorkload, kTunnel, kLoadBalancer };
std::string_view to_string(Use use);

struct Pool {
  std::string name;
  base::Prefix cidr;
  int block_size = 26;
  bool disabled = false;
  bool deleting = false;
  bool unallocatable = false;  // a condition says so
  bool manual = false;         // assignmentMode
  std::string node_selector = "all()";
  std::string namespace_selector;
  std::vector<Use> uses;
  std::string ipip_mode = "Never";
  std::string vxlan_mode = "Never";

  bool enabled() const { return !disabled && !deleting && !unallocatable; }
  bool allows(Use use) const;
};

// Nothing if the pool's CIDR or block size cannot be used.
std::optional<Pool> pool_of(const model::Resource& resource);
// Ranges of an IPReservation; those that do not parse are left out.
std::vector<base::Prefix> reserved_ranges(const model::Resource& reservation);

using LabelMap = std::map<std::string, std::string>;
LabelMap labels_of(const model::Resource& resource);
// False for a selector that does not parse.
bool selects(const std::string& selector, const LabelMap& labels);

// The pool that holds the address or block; null if there is none.
const Pool* pool_containing(std::span<const Pool> pools, const base::Prefix& range);

struct PoolQuery {
  base::Family family = base::Family::kIpv4;
  Use use = Use::kWorkload;
  std::vector<base::Prefix> requested = {};       // empty: by selectors
  std::optional<LabelMap> namespace_labels = {};  // of the workload's namespace
  std::string host = {};                          // for messages
  LabelMap node_labels = {};
};
// The pools from which such a request may be served, in the order of `pools` or of `requested`. kNotFound with
// upstream's text when there is none (spec cli §13.2).
base::Result<std::vector<Pool>> eligible_pools(std::span<const Pool> pools, const PoolQuery& query);

}  // namespace ipam
