// group_content.h: the labels and profiles of a group of endpoints, in one allocation.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>

#include "model/labels.h"

namespace calc {

class GroupContent {
 public:
  GroupContent() = default;
  GroupContent(std::span<const model::Label> labels, std::span<const model::Symbol> profiles) {
    if (labels.empty() && profiles.empty()) return;
    bytes_ = std::make_unique_for_overwrite<std::byte[]>(sizeof(Header) + labels.size_bytes() + profiles.size_bytes());
    const Header header{static_cast<std::uint32_t>(labels.size()), static_cast<std::uint32_t>(profiles.size())};
    std::memcpy(bytes_.get(), &header, sizeof header);
    copy(labels, sizeof(Header));
    copy(profiles, sizeof(Header) + labels.size_bytes());
  }

  std::span<const model::Label> labels() const { return view<model::Label>(sizeof(Header), header().labels); }
  std::span<const model::Symbol> profiles() const {
    const Header counts = header();
    return view<model::Symbol>(sizeof(Header) + counts.labels * sizeof(model::Label), counts.profiles);
  }
  bool is(std::span<const model::Label> labels, std::span<const model::Symbol> profiles) const {
    return std::ranges::equal(this->labels(), labels) && std::ranges::equal(this->profiles(), profiles);
  }

 private:
  struct Header {
    std::uint32_t labels = 0;
    std::uint32_t profiles = 0;
  };

  Header header() const {
    Header header;
    if (bytes_) std::memcpy(&header, bytes_.get(), sizeof header);
    return header;
  }
  template <typename T>
  void copy(std::span<const T> items, std::size_t offset) {
    if (!items.empty()) std::memcpy(bytes_.get() + offset, items.data(), items.size_bytes());
  }
  template <typename T>
  std::span<const T> view(std::size_t offset, std::size_t count) const {
    return count == 0 ? std::span<const T>() : std::span(reinterpret_cast<const T*>(bytes_.get() + offset), count);
  }

  std::unique_ptr<std::byte[]> bytes_;
};

}  // namespace calc
