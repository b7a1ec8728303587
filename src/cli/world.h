// world.h: the whole datastore at one moment, and what a given host would make of it. For the commands that explain
// (trace, plan); nothing here writes or touches a kernel.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/symbol.h"
#include "calc/network/route_resolver.h"
#include "calc/output.h"
#include "model/update.h"
#include "store/blocking.h"

namespace cli {

// What a host calculates. `documents` are the resources that configure it.
struct HostView {
  calc::Snapshot snapshot;
  calc::State state;
  std::vector<model::DocumentChange> documents;
  std::vector<model::Diagnostic> problems;  // objects that were set aside, and why
};

class World {
 public:
  // Everything an agent reads, at one revision.
  static base::Result<World> read(store::BlockingStore& store);

  HostView view_of(std::string_view hostname, bool allow_source_spoofing = false,
                   calc::RouteSource routes = calc::RouteSource::kNone);

  const std::vector<store::KeyValue>& items() const { return items_; }
  base::Symbol intern(std::string_view text) { return names_->intern(text); }

 private:
  World() : names_(std::make_unique<base::Interner>()) {}
  std::vector<store::KeyValue> items_;
  std::unique_ptr<base::Interner> names_;  // symbols of all views live as long as this
};

}  // namespace cli
