// context.h: what all parts of the bridge use. Everything in this folder, except the socket server's thread, runs on
// `loop`; nothing here is for other threads.
#pragma once

#include <functional>
#include <string>

#include "base/log.h"
#include "base/loop.h"
#include "neutron/translate/names.h"
#include "neutron/translate/port.h"
#include "neutron/translate/value.h"
#include "store/store.h"

namespace neutron {

struct Context {
  base::Loop& loop;
  store::Store& store;
  base::Log& log;
  Region region;
  store::RequestOptions request;           // how long a request to etcd may take
  std::function<std::string()> fresh_uid;  // random version 4 UUIDs
  PortSettings port;                       // spoofing_allowed follows FelixConfiguration

  Stamp stamp() const;
};

std::string rfc3339(base::WallTime time);  // UTC, seconds

}  // namespace neutron
