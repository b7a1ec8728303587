// id_set.h: a set of small numbers that costs sixteen bytes for none or one, the usual case in an index by label value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include <boost/unordered/unordered_flat_set.hpp>

#include "calc/containers/slab.h"

namespace calc {

class IdSet {
 public:
  bool insert(std::uint32_t id) {
    if (many_) return many_->insert(id).second;
    if (only_ == id) return false;
    if (only_ == kNoIndex) {
      only_ = id;
      return true;
    }
    many_ = std::make_unique<Many>();
    many_->insert(only_);
    many_->insert(id);
    only_ = kNoIndex;
    return true;
  }

  bool erase(std::uint32_t id) {
    if (!many_) {
      if (only_ != id || id == kNoIndex) return false;
      only_ = kNoIndex;
      return true;
    }
    if (many_->erase(id) == 0) return false;
    if (many_->size() == 1) {
      only_ = *many_->begin();
      many_.reset();
    }
    return true;
  }

  bool contains(std::uint32_t id) const { return many_ ? many_->contains(id) : only_ == id && id != kNoIndex; }
  bool empty() const { return !many_ && only_ == kNoIndex; }
  std::size_t size() const { return many_ ? many_->size() : only_ == kNoIndex ? 0 : 1; }

  // The visitor must not change this set. Order is unspecified but the same for the same history.
  template <typename Visitor>
  void for_each(Visitor visit) const {
    if (many_) {
      for (const std::uint32_t id : *many_) visit(id);
    } else if (only_ != kNoIndex) {
      visit(only_);
    }
  }

 private:
  using Many = boost::unordered_flat_set<std::uint32_t>;
  std::uint32_t only_ = kNoIndex;
  std::unique_ptr<Many> many_;
};

}  // namespace calc
