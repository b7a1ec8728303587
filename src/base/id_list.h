// id_list.h: a list of numbers in eight bytes, the first without an allocation. For the many lists that nearly always
// have one element.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"

namespace base {

class IdList {
 public:
  IdList() = default;
  IdList(IdList&& other) noexcept { std::swap(words_, other.words_); }
  IdList& operator=(IdList&& other) noexcept {
    IdList(std::move(other)).swap(*this);
    return *this;
  }
  IdList(const IdList&) = delete;
  IdList& operator=(const IdList&) = delete;
  ~IdList() { delete many(); }

  std::span<const std::uint32_t> items() const {
    if (const Many* const all = many()) return *all;
    return {&words_[1], words_[0] == kOne ? 1u : 0u};
  }
  bool empty() const { return items().empty(); }
  std::size_t size() const { return items().size(); }

  void push_back(std::uint32_t id) {
    if (Many* const all = many()) {
      all->push_back(id);
    } else if (words_[0] == kOne) {
      const auto address = reinterpret_cast<std::uintptr_t>(new Many{words_[1], id});
      std::memcpy(words_, &address, sizeof address);
    } else {
      words_[0] = kOne;
      words_[1] = id;
    }
  }
  // The first equal one; the others keep their order. REQUIRES that it is there.
  void erase(std::uint32_t id) {
    Many* const all = many();
    if (all == nullptr) {
      CHECK(words_[0] == kOne && words_[1] == id);
      words_[0] = words_[1] = 0;
      return;
    }
    const auto found = std::find(all->begin(), all->end(), id);
    CHECK(found != all->end());
    all->erase(found);
    if (all->size() > 1) return;
    const std::uint32_t only = all->front();
    delete all;
    words_[0] = kOne;
    words_[1] = only;
  }

 private:
  using Many = std::vector<std::uint32_t>;
  // Both words nothing; or kOne and the number; or the address of many, whose lower half is even and comes first.
  static constexpr std::uint32_t kOne = 1;
  static_assert(sizeof(std::uintptr_t) == 8 && alignof(Many) > 1 && std::endian::native == std::endian::little);

  Many* many() const {
    if (words_[0] == kOne) return nullptr;
    std::uintptr_t address = 0;
    std::memcpy(&address, words_, sizeof address);
    return reinterpret_cast<Many*>(address);
  }
  void swap(IdList& other) noexcept { std::swap(words_, other.words_); }

  alignas(8) std::uint32_t words_[2] = {0, 0};
};

}  // namespace base
