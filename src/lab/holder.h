// holder.h: what a node's process 1 does: mounts what its kind needs, brings loopback up, and then answers probes
// (guests) or just reaps (hosts, router, etcd).
#pragma once

#include <span>
#include <string>

namespace lab {

// Arguments after "lab __holder": LAB NODE KIND ROOT READY_FD. Never returns.
[[noreturn]] void run_holder(std::span<const std::string> arguments) noexcept;

}  // namespace lab
