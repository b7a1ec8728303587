// profile_table.h: the rules of profiles, and which profiles this host's endpoints use.
//
// A profile that an endpoint names and that does not exist is a deny-all stand-in (spec felix-agent §3.3): a missing
// profile must not open anything. projectcalico-default-allow always exists.
#pragma once

#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include "calc/output.h"
#include "calc/rules/stored_rules.h"
#include "calc/sets/rule_sets.h"
#include "model/policy.h"

namespace calc {

bool is_built_in_profile(Symbol name);
// The rules that stand for a profile whose value is not there.
ActiveProfile stand_in_profile(Symbol name);

class ProfileTable {
 public:
  void put(Symbol name, StoredRules rules);
  void erase(Symbol name);

  // One reference per local endpoint and mention.
  void acquire(Symbol name);
  void release(Symbol name);

  // Adds what happened to active profiles since the last call, and takes and gives back their sets.
  void collect(SetIndex& sets, Changes& changes);

  std::size_t count() const { return count_; }  // that exist

  // Profiles in use that do not exist, sorted.
  std::vector<Symbol> missing() const;

  void begin_resync() { ++generation_; }
  void keep(Symbol name);             // counts as put
  std::vector<Symbol> stale() const;  // not put since begin_resync()

 private:
  struct Entry {
    StoredRules rules;  // if it exists
    RuleSets sets;
    std::uint32_t references = 0;
    std::uint8_t generation = 0;
    bool exists = false;
    bool announced = false;
    bool changed = false;  // what was announced, if anything, is out of date
  };
  using Symbols = boost::unordered_flat_set<Symbol, std::hash<Symbol>>;

  boost::unordered_flat_map<Symbol, Entry, std::hash<Symbol>> entries_;
  Symbols dirty_;
  std::size_t count_ = 0;
  std::uint8_t generation_ = 0;
};

}  // namespace calc
