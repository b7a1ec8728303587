// memory.h: what a long-running process says to the allocator.
#pragma once

namespace os {

// Gives pages that hold nothing back to the kernel. Takes milliseconds per hundred megabytes, and stops other threads'
// allocations one arena at a time: for moments after which much has been freed, not for a hot path. Any thread.
void release_unused_memory();

}  // namespace os
