// value_pool.h: equal values kept once, and named by four bytes. For the fifty thousand routes of which a thousand
// differ in more than where they lead to.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/check.h"

namespace base {

using PooledId = std::uint32_t;
inline constexpr PooledId kNotPooled = UINT32_MAX;  // no value has it

template <typename T>
class ValuePool {
 public:
  ValuePool() = default;
  ValuePool(ValuePool&&) = default;
  ValuePool& operator=(ValuePool&&) = default;
  ValuePool(const ValuePool&) = delete;
  ValuePool& operator=(const ValuePool&) = delete;

  // One reference more. Equal values have equal numbers; a number is used again once nobody refers to it.
  PooledId acquire(const T& value) {
    const auto [known, is_new] = ids_.try_emplace(value, kNotPooled);
    if (is_new) {
      known->second = free_number();
      slots_[known->second].value = known;
    }
    ++slots_[known->second].references;
    return known->second;
  }
  void release(PooledId id) {
    Slot& slot = slots_[id];
    CHECK(slot.references > 0);
    if (--slot.references > 0) return;
    ids_.erase(slot.value);
    free_.push_back(id);
  }

  // REQUIRES a reference, and lasts as long as one does.
  const T& operator[](PooledId id) const { return slots_[id].value->first; }
  std::size_t size() const { return ids_.size(); }

 private:
  using Ids = std::map<T, PooledId>;
  struct Slot {
    typename Ids::iterator value{};
    std::uint32_t references = 0;
  };
  PooledId free_number() {
    if (free_.empty()) {
      slots_.emplace_back();
      return static_cast<PooledId>(slots_.size() - 1);
    }
    const PooledId id = free_.back();
    free_.pop_back();
    return id;
  }

  Ids ids_;
  std::vector<Slot> slots_;
  std::vector<PooledId> free_;
};

}  // namespace base
