#include "os/pause.h"

#include <poll.h>

namespace os {

void pause(base::Duration duration) {
  ::poll(nullptr, 0, static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count()));
}

}  // namespace os
