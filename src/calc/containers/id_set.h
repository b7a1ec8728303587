// id_set.h: a set of small numbers in eight bytes, without an allocation for none or one, the usual case in an index by
// label value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include <boost/unordered/unordered_flat_set.hpp>

namespace calc {

class IdSet {
 public:
  IdSet() = default;
  IdSet(IdSet&& other) noexcept : content_(std::exchange(other.content_, kNone)) {}
  IdSet& operator=(IdSet&& other) noexcept {
    IdSet(std::move(other)).swap(*this);
    return *this;
  }
  IdSet(const IdSet&) = delete;
  IdSet& operator=(const IdSet&) = delete;
  ~IdSet() {
    if (has_many()) delete many();
  }

  bool insert(std::uint32_t id) {
    if (has_many()) return many()->insert(id).second;
    if (content_ == one(id)) return false;
    if (content_ == kNone) {
      content_ = one(id);
      return true;
    }
    auto* const both = new Many{only(), id};
    content_ = reinterpret_cast<std::uintptr_t>(both);
    return true;
  }

  bool erase(std::uint32_t id) {
    if (!has_many()) {
      if (content_ != one(id)) return false;
      content_ = kNone;
      return true;
    }
    if (many()->erase(id) == 0) return false;
    if (many()->size() == 1) {
      Many* const former = many();
      content_ = one(*former->begin());
      delete former;
    }
    return true;
  }

  bool contains(std::uint32_t id) const { return has_many() ? many()->contains(id) : content_ == one(id); }
  bool empty() const { return content_ == kNone; }
  std::size_t size() const { return has_many() ? many()->size() : empty() ? 0 : 1; }

  // The visitor must not change this set. Order is unspecified but the same for the same history.
  template <typename Visitor>
  void for_each(Visitor visit) const {
    if (has_many()) {
      for (const std::uint32_t id : *many()) visit(id);
    } else if (!empty()) {
      visit(only());
    }
  }

 private:
  using Many = boost::unordered_flat_set<std::uint32_t>;
  static_assert(alignof(Many) > 1 && sizeof(std::uintptr_t) == 8);

  // Nothing, one number with the lowest bit set beside it, or the address of many, which is even.
  static constexpr std::uintptr_t kNone = 0;
  static constexpr std::uintptr_t one(std::uint32_t id) { return std::uintptr_t{id} << 1 | 1; }

  bool has_many() const { return content_ != kNone && (content_ & 1) == 0; }
  Many* many() const { return reinterpret_cast<Many*>(content_); }
  std::uint32_t only() const { return static_cast<std::uint32_t>(content_ >> 1); }
  void swap(IdSet& other) noexcept { std::swap(content_, other.content_); }

  std::uintptr_t content_ = kNone;
};

}  // namespace calc
