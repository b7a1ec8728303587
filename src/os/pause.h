// pause.h: waits, for what may block its thread. Everything else asks its loop (Loop::after). Handed in where it is
// used.
#pragma once

#include "base/clock.h"

namespace os {

// Counts whole milliseconds.
void pause(base::Duration duration);

}  // namespace os
