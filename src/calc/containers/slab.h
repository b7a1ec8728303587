// slab.h: objects with small stable numbers. A hundred thousand objects refer to each other by four bytes instead of
// eight, and growing never moves or copies one.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace calc {

inline constexpr std::uint32_t kNoIndex = UINT32_MAX;

// T is default-constructed when its chunk is made and assigned a fresh T{} when released.
template <typename T>
class Slab {
 public:
  std::uint32_t allocate() {
    if (!free_.empty()) {
      const std::uint32_t index = free_.back();
      free_.pop_back();
      return index;
    }
    if (end_ == chunks_.size() * kChunk) chunks_.push_back(std::make_unique<T[]>(kChunk));
    return end_++;
  }

  void release(std::uint32_t index) {
    (*this)[index] = T{};
    free_.push_back(index);
  }

  T& operator[](std::uint32_t index) { return chunks_[index / kChunk][index % kChunk]; }
  const T& operator[](std::uint32_t index) const { return chunks_[index / kChunk][index % kChunk]; }

  // One past the highest number ever handed out; released ones among them hold T{}.
  std::uint32_t end() const { return end_; }

 private:
  static constexpr std::uint32_t kChunk = 256;
  std::vector<std::unique_ptr<T[]>> chunks_;
  std::vector<std::uint32_t> free_;
  std::uint32_t end_ = 0;
};

}  // namespace calc
