// etcd_store.h: etcd v3 as a Store. Starts one thread; connects when the first request or subscription needs it.
//
// Requests: reads and unconditional puts are repeated on another endpoint when a connection breaks; conditional writes
// and removals are not, since the first attempt may have worked: their kUnavailable means "outcome unknown". Nothing is
// sent before a member with a leader has answered. A refused token is renewed once per request. Subscriptions: see
// watch_session.h.
#pragma once

#include <memory>

#include "base/log.h"
#include "base/metrics.h"
#include "store/etcd/endpoint.h"
#include "store/store.h"

namespace store {

std::unique_ptr<Store> make_etcd_store(EtcdSettings settings, base::Log& log, base::MetricRegistry& metrics);

}  // namespace store
