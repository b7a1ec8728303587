// memory.h: what a long-running process says to the allocator.
#pragma once

namespace os {

// From now on large blocks, and the end of a heap that is free, go back to the kernel as soon as they are freed. Left
// to itself glibc keeps up to twice the largest block ever freed at the end of each thread's heap, which the function
// below does not reach (seen: 20 MB after fifty thousand routes). Once, before there are threads.
void return_freed_memory();

// Gives pages that hold nothing back to the kernel. Takes milliseconds per hundred megabytes, and stops other threads'
// allocations one arena at a time: for moments after which much has been freed, not for a hot path. Any thread.
void release_unused_memory();

}  // namespace os
