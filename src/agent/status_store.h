// status_store.h: what the status reporters need of the datastore. A narrow port, so that they can be tested on a
// virtual clock; status_store.cc connects it to a Store.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/loop.h"
#include "base/result.h"

namespace store {
class Store;
}

namespace agent {

struct StatusWrites {
  std::vector<std::pair<std::string, std::string>> puts;
  std::vector<std::string> removals;  // removing what is not there is no error
  bool empty() const { return puts.empty() && removals.empty(); }
  std::size_t size() const { return puts.size() + removals.size(); }
  friend bool operator==(const StatusWrites&, const StatusWrites&) = default;
};

// Callbacks come on the caller's loop, never inside the call, and not after the port is gone.
class StatusStore {
 public:
  using Done = std::function<void(base::Result<>)>;
  using Listed = std::function<void(base::Result<std::vector<std::pair<std::string, std::string>>>)>;

  virtual ~StatusStore() = default;
  // One key under a fresh lease that nobody renews.
  virtual void put_for(std::string key, std::string value, std::chrono::seconds time_to_live, Done done) = 0;
  // All or nothing, in one commit.
  virtual void write(StatusWrites writes, Done done) = 0;
  virtual void list(std::string prefix, Listed listed) = 0;
};

// Writes are given up after 2 s: the next tick has newer values. `store` and `loop` outlive the result.
std::unique_ptr<StatusStore> make_status_store(store::Store& store, base::Loop& loop);

}  // namespace agent
