#include "render/iptables/marks.h"

#include <fmt/core.h>

namespace render::iptables {

base::Result<Marks> allocate_marks(std::uint32_t mask) {
  Marks marks;
  std::uint32_t left = mask;
  for (std::uint32_t* bit : {&marks.accept, &marks.pass, &marks.drop, &marks.scratch0, &marks.scratch1}) {
    *bit = left & (~left + 1);
    left &= left - 1;
  }
  if (left == 0) {
    return base::fail(base::Error::invalid("IptablesMarkMask needs at least six bits", fmt::format("{:#x}", mask)));
  }
  marks.endpoint = left;
  return marks;
}

}  // namespace render::iptables
