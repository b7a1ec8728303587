// body.h: what copies of a Selector share, in one block of memory: most of a cloud's selectors wait for an endpoint
// that never comes to this host, a hundred thousand of them in a cloud of as many customers.
//
//   Body | restrictions | tests | text as written | values of tests and restrictions
//
// The canonical text and the identifier are made from the text when somebody asks, which happens for active ones only.
// Immutable but for these two and the count of references, which any thread may touch.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "model/selector.h"
#include "model/selector/program.h"
#include "model/selector/restrictions.h"
#include "model/selector/tree.h"

namespace model {

class Selector::Body {
 public:
  // `tree` was parsed from `text`. The new body has no reference yet.
  static const Body* create(std::string_view text, const selector::Tree& tree, base::Interner& interner);

  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;

  selector::Program program() const { return {{at<selector::Test>(tests_at()), test_count_}, at<Symbol>(values_at())}; }
  std::span<const LabelRestriction> restrictions() const {
    return {at<LabelRestriction>(sizeof(Body)), restriction_count_};
  }
  bool is_impossible() const { return impossible_; }
  bool matches_everything() const { return everything_; }
  std::string_view text() const { return {at<char>(text_at()), text_size_}; }

  const std::string& canonical() const { return derived().canonical; }
  const std::string& unique_id() const { return derived().unique_id; }

  void add_reference() const { references_.fetch_add(1, std::memory_order_relaxed); }
  void drop_reference() const;
  bool has_one_reference() const { return references_.load(std::memory_order_acquire) == 1; }

 private:
  static constexpr std::uint32_t kLongestText = (1u << 30) - 1;

  struct Derived {
    std::string canonical;
    std::string unique_id;
  };

  Body() = default;
  ~Body();
  const Derived& derived() const;
  void fill(std::string_view text, const selector::Compiled& compiled, const selector::Restrictions& restrictions);

  // Offsets in the block.
  std::size_t tests_at() const { return sizeof(Body) + restriction_count_ * sizeof(LabelRestriction); }
  std::size_t text_at() const { return tests_at() + test_count_ * sizeof(selector::Test); }
  std::size_t values_at() const { return (text_at() + text_size_ + alignof(Symbol) - 1) & ~(alignof(Symbol) - 1); }

  template <typename T>
  const T* at(std::size_t offset) const {
    return reinterpret_cast<const T*>(reinterpret_cast<const std::byte*>(this) + offset);
  }
  template <typename T>
  T* at(std::size_t offset) {
    return reinterpret_cast<T*>(reinterpret_cast<std::byte*>(this) + offset);
  }

  mutable std::atomic<const Derived*> derived_{nullptr};
  mutable std::atomic<std::uint32_t> references_{0};
  std::uint32_t test_count_ = 0;
  std::uint32_t restriction_count_ = 0;
  std::uint32_t text_size_ : 30 = 0;
  std::uint32_t impossible_ : 1 = false;
  std::uint32_t everything_ : 1 = false;
};

}  // namespace model
