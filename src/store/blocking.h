// blocking.h: a Store for programs without a loop (the command line): every call waits for its answer or its timeout.
//
// Not thread-safe; the store outlives it. Must not be used on a loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/store.h"

namespace store {

struct Listing {
  Revision revision = 0;
  std::vector<KeyValue> items;  // ascending keys
};

class BlockingStore {
 public:
  explicit BlockingStore(Store& store, RequestOptions options = {});
  ~BlockingStore();

  // kNotFound when the key is not there. `revision` 0: the latest.
  base::Result<KeyValue> get(const std::string& key, Revision revision = 0);
  // All keys with the prefix at one revision (the latest when 0), read in pages.
  base::Result<Listing> list(const std::string& prefix, Revision revision = 0);
  // The same without values, for telling what exists.
  base::Result<Listing> list_keys(const std::string& prefix);

  // Refused writes are values, not errors: see WriteReply::status and refusal().
  base::Result<WriteReply> put(const std::string& key, std::string value);
  base::Result<WriteReply> create(const std::string& key, std::string value);
  base::Result<WriteReply> update(const std::string& key, std::string value, Revision expected);
  base::Result<WriteReply> put(PutRequest request);
  base::Result<WriteReply> remove(const std::string& key, Revision expected = 0);
  base::Result<Revision> commit(Transaction transaction);
  base::Result<Revision> compact(Revision revision);
  base::Result<StoreStatus> status();

  Store& async() { return store_; }

 private:
  class Waiter;
  base::Result<Listing> list_range(const std::string& prefix, Revision revision, bool keys_only);
  template <typename T>
  base::Result<T> wait(const std::function<void(base::Loop&, Done<T>)>& start);

  Store& store_;
  RequestOptions options_;
  std::shared_ptr<Waiter> waiter_;  // shared with requests that are still unanswered
};

}  // namespace store
