// notify.h: messages to systemd (sd_notify protocol, a datagram to the socket named by NOTIFY_SOCKET). Written here
// because libsystemd has no static archive. Without the variable every call does nothing.
#pragma once

#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace os {

base::Result<> notify(std::string_view state);
inline base::Result<> notify_ready() { return notify("READY=1"); }
inline base::Result<> notify_stopping() { return notify("STOPPING=1"); }
inline base::Result<> notify_watchdog() { return notify("WATCHDOG=1"); }

// How often systemd wants WATCHDOG=1, if this process is the one it watches (WATCHDOG_USEC, WATCHDOG_PID).
std::optional<base::Duration> watchdog_period();

}  // namespace os
