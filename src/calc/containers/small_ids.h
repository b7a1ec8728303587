// small_ids.h: a list of numbers in sixteen bytes, the first two without an allocation. There is one for every group of
// endpoints of the cloud.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>

namespace calc {

class SmallIds {
 public:
  SmallIds() = default;
  SmallIds(SmallIds&& other) noexcept { swap(other); }
  SmallIds& operator=(SmallIds&& other) noexcept {
    SmallIds(std::move(other)).swap(*this);
    return *this;
  }
  SmallIds(const SmallIds&) = delete;
  SmallIds& operator=(const SmallIds&) = delete;
  ~SmallIds() {
    if (is_outside()) delete[] ids_.outside;
  }

  std::span<const std::uint32_t> items() const { return {data(), size_}; }
  std::span<std::uint32_t> items() { return {data(), size_}; }

  void push_back(std::uint32_t id) {
    if (size_ == capacity_) grow();
    data()[size_++] = id;
  }
  // The last one takes its place. REQUIRES that it is there.
  void erase(std::uint32_t id) {
    *std::ranges::find(items(), id) = data()[size_ - 1];
    --size_;
  }
  void assign(std::span<const std::uint32_t> ids) {
    SmallIds copy;
    for (const std::uint32_t id : ids) copy.push_back(id);
    swap(copy);
  }

 private:
  static constexpr std::uint32_t kInside = 2;

  bool is_outside() const { return capacity_ > kInside; }
  std::uint32_t* data() { return is_outside() ? ids_.outside : ids_.inside; }
  const std::uint32_t* data() const { return is_outside() ? ids_.outside : ids_.inside; }
  void swap(SmallIds& other) noexcept {
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    std::swap(ids_, other.ids_);
  }
  void grow() {
    auto* larger = new std::uint32_t[std::size_t{2} * capacity_];
    std::ranges::copy(items(), larger);
    if (is_outside()) delete[] ids_.outside;
    ids_.outside = larger;
    capacity_ *= 2;
  }

  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = kInside;
  union {
    std::uint32_t inside[kInside] = {};
    std::uint32_t* outside;
  } ids_;
};

}  // namespace calc
