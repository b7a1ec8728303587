#include "cli/world.h"

#include <iterator>
#include <utility>

#include "base/check.h"
#include "calc/calculator.h"
#include "model/decoder.h"

namespace cli {

base::Result<World> World::read(store::BlockingStore& store) {
  World world;
  store::Revision revision = 0;
  for (const std::string& prefix : model::agent_prefixes()) {
    auto listing = store.list(prefix, revision);
    if (!listing) return base::fail(std::move(listing).error());
    revision = listing->revision;
    std::move(listing->items.begin(), listing->items.end(), std::back_inserter(world.items_));
  }
  return world;
}

HostView World::view_of(std::string_view hostname, bool allow_source_spoofing, calc::RouteSource routes) {
  model::Decoder decoder({.hostname = std::string(hostname), .allow_source_spoofing = allow_source_spoofing}, *names_);
  calc::Calculator calculator{std::string(hostname), routes};
  HostView view;
  for (const store::KeyValue& item : items_) {
    model::Decoder::Output decoded;
    decoder.put(item.key, item.value, decoded);
    std::move(decoded.diagnostics.begin(), decoded.diagnostics.end(), std::back_inserter(view.problems));
    for (model::Update& update : decoded.updates) {
      if (auto* document = std::get_if<model::DocumentChange>(&update)) view.documents.push_back(*document);
      calculator.update(std::move(update));
    }
  }
  calculator.in_sync();
  auto output = calculator.flush();
  CHECK(output && std::holds_alternative<calc::Snapshot>(*output));
  calc::apply(view.state, *output);
  view.snapshot = std::get<calc::Snapshot>(std::move(*output));
  const auto& problems = calculator.problems();
  view.problems.insert(view.problems.end(), problems.begin(), problems.end());
  return view;
}

}  // namespace cli
