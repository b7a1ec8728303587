// memory_store.h: a Store without I/O, for tests and the simulator. It behaves like etcd (the conformance suite
// compares them) and can be told to fail.
//
// Everything happens on `home`, which may be a virtual loop. The functions for faults and inspection are for home's
// thread.
#pragma once

#include <memory>
#include <string>

#include "store/local_store.h"

namespace store {

class MemoryStore final : public LocalStore {
 public:
  explicit MemoryStore(base::Loop& home);

  std::string describe() const override { return "memory"; }

  // Subscribers receive ConnectionState and then nothing; requests fail with `error`. Writes of others go on: see
  // write().
  void disconnect(base::Error error = base::Error::unavailable("memory store is disconnected"));
  // Subscribers continue where they stopped, or with a new snapshot if that has been compacted.
  void reconnect();
  // The next `count` requests fail with `error` without having any effect.
  void fail_requests(int count, base::Error error);

  // A write by somebody else, which works while we are disconnected. An absent value removes the key.
  Revision write(const std::string& key, std::optional<std::string> value);
  // Likewise.
  void compact_now();
  void set_page_keys(std::int64_t keys);
  const Table& table() const;

 private:
  class Core;
  explicit MemoryStore(const std::shared_ptr<Core>& core);

  std::shared_ptr<Core> memory_;
};

}  // namespace store
