// mounts.h: the mount namespace a program has made for itself.
#pragma once

#include "base/result.h"

namespace os {

// Ends the sharing of mounts with the namespace this one was copied from, so that what is mounted from here on is seen
// here only. Inside a chroot whose root is no mount point the mount beneath is out of reach: there every mount that can
// be seen is made private, and the mount beneath must not be shared (a `mount --bind DIR DIR` before the chroot sees to
// that).
base::Result<> make_mounts_private();

}  // namespace os
