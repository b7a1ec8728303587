// calculator.h: the calculation: datastore updates in, what this host needs out. Pure, incremental and deterministic:
// equal updates in equal order give equal output.
//
//   Calculator calculator("compute-1");
//   calculator.update(...);                 // any number, in any order of kinds
//   calculator.in_sync();                   // the datastore's first snapshot is complete
//   auto output = calculator.flush();       // the first time a Snapshot, later a Delta or nothing
//
// Before in_sync() nothing comes out, however often flush() is called: half a snapshot must never reach the kernel.
//
// A datastore that starts over with a new snapshot is told by resync_begin(), the snapshot's updates, resync_end():
// whatever was not put in between is then erased. Objects that are still the same cause no output at all.
//
// The kinds that other consumers need (documents) may be passed in and are ignored. Not thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "calc/labels/index_work.h"
#include "calc/network/route_resolver.h"
#include "calc/output.h"
#include "model/update.h"

namespace calc {

// Of the whole cloud, for metrics.
struct CloudCounts {
  std::size_t hosts = 0;  // Nodes with an address, and hosts that endpoints name
  std::size_t workload_endpoints = 0;
  std::size_t host_endpoints = 0;
  std::size_t network_sets = 0;
  std::size_t tiers = 0;
  std::size_t policies = 0;
  std::size_t profiles = 0;
};

class Calculator {
 public:
  // An endpoint is local if its node is `hostname`; spelled as in the datastore. Workload endpoints without interface
  // side are never local. `routes`: where State::routes come from; without them they cost nothing.
  explicit Calculator(std::string hostname, RouteSource routes = RouteSource::kNone);
  ~Calculator();
  Calculator(const Calculator&) = delete;
  Calculator& operator=(const Calculator&) = delete;

  // Taken by value: moving an update in saves copying its rules.
  void update(model::Update update);

  // What this update is about is still there, but its new value cannot be used: it stays as it was, also over a resync.
  // The update's own value is not looked at.
  void keep(const model::Update& update);

  // From now on State::routes come from `source`. Complete after a resync, which the caller has to begin.
  // REQUIRES: routes() is kNone.
  void begin_routes(RouteSource source);
  RouteSource routes() const;

  void in_sync();
  void resync_begin();
  void resync_end();

  std::optional<Output> flush();

  CloudCounts counts() const;
  // Of the index that fills IP sets.
  const IndexWork& index_work() const;

  // What is wrong with the objects themselves or between them, as of the last flush; sorted.
  const std::vector<model::Diagnostic>& problems() const;

 private:
  struct Stages;
  std::unique_ptr<Stages> stages_;
};

}  // namespace calc
