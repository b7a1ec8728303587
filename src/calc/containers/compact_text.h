// compact_text.h: a text of exactly the memory it needs, for keys of which there are a hundred thousand.
#pragma once

#include <memory>
#include <string_view>

#include "base/packed_text.h"

namespace calc {

class CompactText {
 public:
  explicit CompactText(std::string_view text)
      : packed_(std::make_unique_for_overwrite<char[]>(base::packed_size(text))) {
    base::pack_text(text, packed_.get());
  }
  std::string_view view() const { return base::unpack_text(packed_.get()); }

 private:
  std::unique_ptr<char[]> packed_;
};

}  // namespace calc
