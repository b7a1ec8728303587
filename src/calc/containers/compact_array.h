// compact_array.h: an array that costs eight bytes when empty and one exact allocation otherwise. For the many small
// lists of the many objects that rarely change.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <type_traits>

namespace calc {

template <typename T>
class CompactArray {
  static_assert(std::is_trivially_copyable_v<T>);
  static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);

 public:
  CompactArray() = default;
  explicit CompactArray(std::span<const T> items) {
    if (items.empty()) return;
    bytes_ = std::make_unique_for_overwrite<std::byte[]>(kHeader + items.size_bytes());
    const auto count = static_cast<std::uint32_t>(items.size());
    std::memcpy(bytes_.get(), &count, sizeof count);
    std::memcpy(bytes_.get() + kHeader, items.data(), items.size_bytes());
  }

  std::size_t size() const {
    if (!bytes_) return 0;
    std::uint32_t count = 0;
    std::memcpy(&count, bytes_.get(), sizeof count);
    return count;
  }
  bool empty() const { return !bytes_; }
  std::span<const T> items() const {
    return bytes_ ? std::span(reinterpret_cast<const T*>(bytes_.get() + kHeader), size()) : std::span<const T>();
  }

 private:
  static constexpr std::size_t kHeader = alignof(T) > sizeof(std::uint32_t) ? alignof(T) : sizeof(std::uint32_t);
  std::unique_ptr<std::byte[]> bytes_;
};

}  // namespace calc
