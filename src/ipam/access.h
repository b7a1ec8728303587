// access.h: reads and conditional writes whose outcome is known, even when the datastore goes away in between.
//
// A conditional write that is not answered may or may not have happened. It is then looked up: the key holds what we
// wrote (done), what was there before (written again), or something else (kUnclear: the caller has to look whether its
// change is part of it). Waiting is jittered, so that writers who met once do not meet again.
//
// Blocking; one thread.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "store/blocking.h"

namespace ipam {

// Time and chance, handed in.
struct Sources {
  std::function<base::WallTime()> wall;
  std::function<base::Instant()> now;
  std::function<double()> jitter;  // in [0, 1)
  std::function<void(base::Duration)> pause;
};

struct Patience {
  int tries = 100;  // of one guarded step, as upstream
  // How long the datastore may be away. Then the error is returned; what was being written may have happened.
  base::Duration outage = std::chrono::seconds(60);
};

enum class Written { kDone, kRefused, kUnclear };
struct WriteResult {
  Written outcome = Written::kDone;
  store::Revision revision = 0;  // kDone: of the key now
};

// Pauses of growing length: a random part of 4, 8, 16 … 512 ms.
class Backoff {
 public:
  explicit Backoff(const Sources& sources) : sources_(sources) {}
  void wait();

 private:
  const Sources& sources_;
  int step_ = 0;
};

class Access {
 public:
  Access(store::BlockingStore& store, Sources sources, Patience patience);

  base::Result<std::optional<store::KeyValue>> get(const std::string& key);
  base::Result<store::Listing> list(const std::string& prefix);
  base::Result<store::Listing> list_keys(const std::string& prefix);

  base::Result<WriteResult> create(const std::string& key, const std::string& value);
  base::Result<WriteResult> update(const std::string& key, const std::string& value, store::Revision expected);
  // An absent key counts as removed. `expected` 0: whatever is there.
  base::Result<WriteResult> remove(const std::string& key, store::Revision expected);
  base::Result<void> put(const std::string& key, const std::string& value);

  const Sources& sources() const { return sources_; }
  const Patience& patience() const { return patience_; }

 private:
  // Repeats `call` while the datastore is away. `before_repeat` may end it with a result of its own.
  template <typename T>
  base::Result<T> persist(const std::function<base::Result<T>()>& call,
                          const std::function<std::optional<T>()>& before_repeat = nullptr);
  base::Result<WriteResult> write(const std::string& key, const std::string& value, store::Revision expected);

  store::BlockingStore& store_;
  Sources sources_;
  Patience patience_;
};

}  // namespace ipam
