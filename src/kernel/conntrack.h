// conntrack.h: forgetting the connections of an address that has left (spec dataplane §16.6).
//
// remove() starts; busy() says whether it is still going on; `finished` tells when an address is done (or was given
// up), always from the loop, never from inside remove(). All on the owner's loop thread.
#pragma once

#include <functional>

#include "base/ip.h"

namespace kernel {

class ConntrackCleaner {
 public:
  virtual ~ConntrackCleaner() = default;
  // Deletes all entries with this address as source of the original or of the reply direction.
  virtual void remove(const base::IpAddress& address) = 0;
  virtual bool busy(const base::IpAddress& address) const = 0;
  virtual void on_finished(std::function<void(const base::IpAddress&)> finished) = 0;
};

}  // namespace kernel
