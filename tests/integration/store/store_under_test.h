// store_under_test.h: one kind of store for the conformance suite, with two clients of the same data where that is
// possible.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "store/store.h"

namespace store_test {

class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;
  virtual store::Store& store() = 0;
};

struct Backend {
  std::string name;
  std::function<std::unique_ptr<StoreUnderTest>()> make;
  int keys_of_three_pages = 0;
};

}  // namespace store_test
