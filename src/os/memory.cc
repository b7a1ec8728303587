#include "os/memory.h"

#include <malloc.h>

namespace os {
namespace {

// A block of this size costs about as much to fill as to fetch from the kernel and give back.
constexpr int kLargeBlock = 256 << 10;
constexpr int kFreeEnd = 1 << 20;

}  // namespace

void return_freed_memory() {
  ::mallopt(M_MMAP_THRESHOLD, kLargeBlock);  // also ends its growing with what is freed
  ::mallopt(M_TRIM_THRESHOLD, kFreeEnd);
}

void release_unused_memory() { ::malloc_trim(0); }

}  // namespace os
