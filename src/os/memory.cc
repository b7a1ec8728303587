#include "os/memory.h"

#include <malloc.h>

namespace os {

void release_unused_memory() { ::malloc_trim(0); }

}  // namespace os
