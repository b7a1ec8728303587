// shaky_store.h: a Store between a bridge and a MemoryStore whose messages take their time, get lost when the test says
// so, and whose conditions can be taken away, to prove that they are needed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "store/store.h"
#include "testing/rng.h"
#include "testing/sim_loop.h"

namespace neutron_test {

// What protects etcd against older states, each of which a test can take away from a bridge that knows nothing of it.
enum class Without {
  kNothing,
  kComparison,      // writes go through whatever was written in between
  kGuards,          // only an object's own keys are compared, not the guards
  kRevisionNumber,  // stored values do not tell the revision_number that they were made from
  kReRead,          // objects that the resync looks at once more are read from the state that its page had
  kReadAfterAsking  // hooks bring the state of their own commit, instead of reading when they are told to
};

struct StoreFaults {
  bool stalls = false;        // events of a watch may come seconds late
  bool lost_replies = false;  // a commit may have happened or not, and the bridge is told that etcd does not answer
  Without without = Without::kNothing;
};

// Requests that are under way when the process dies (see Alive) still reach etcd; their replies reach nobody.
using Alive = std::shared_ptr<bool>;

class ShakyStore final : public store::Store {
 public:
  // Everything outlives it; it outlives every task on `loop`.
  ShakyStore(store::Store& inner, testing::SimLoop& loop, testing::Rng& rng, const StoreFaults& faults, Alive alive)
      : inner_(inner), loop_(loop), rng_(rng), faults_(faults), alive_(std::move(alive)) {}

  std::unique_ptr<store::Subscription> subscribe(std::vector<std::string> prefixes, base::Loop& reader,
                                                 store::EventHandler handler) override;
  void read(store::ReadRequest request, const store::RequestOptions& options, base::Loop& loop,
            store::Done<store::ReadReply> done) override;
  void put(store::PutRequest request, const store::RequestOptions& options, base::Loop& loop,
           store::Done<store::WriteReply> done) override;
  void remove(store::RemoveRequest request, const store::RequestOptions& options, base::Loop& loop,
              store::Done<store::WriteReply> done) override;
  void commit(store::Transaction request, const store::RequestOptions& options, base::Loop& loop,
              store::Done<store::Revision> done) override;
  void compact(store::Revision revision, const store::RequestOptions& options, base::Loop& loop,
               store::Done<store::Revision> done) override;
  void status(const store::RequestOptions& options, base::Loop& loop, store::Done<store::StoreStatus> done) override;
  std::string describe() const override { return "shaky"; }

 private:
  base::Duration delay(base::Duration most);
  void later(std::function<void()> task) { loop_.after(delay(std::chrono::milliseconds(3)), std::move(task)); }
  template <typename T>
  store::Done<T> slow(store::Done<T> done);
  void disguise(store::KeyValue& item) const;
  void disguise(store::StoreEvent& event) const;

  store::Store& inner_;
  testing::SimLoop& loop_;
  testing::Rng& rng_;
  const StoreFaults& faults_;
  Alive alive_;
};

}  // namespace neutron_test
