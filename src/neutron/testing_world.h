// testing_world.h: what every part of the bridge stands on, in a test: a virtual clock, a store in memory, the context
// and the mirror of the store.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "base/log.h"
#include "neutron/context.h"
#include "neutron/mirror.h"
#include "store/memory_store.h"
#include "testing/sim_loop.h"

namespace neutron {

class WorldTest : public ::testing::Test {
 protected:
  // Loads the mirror.
  void start_mirror(Mirror::Events events = {}) {
    mirror_.start(std::move(events));
    loop_.run_pending();
  }
  // Of a key in the store; "-" if it is not there.
  std::string value(const std::string& key) {
    const auto* item = store_.table().find(key);
    return item == nullptr ? "-" : item->value;
  }

  testing::SimLoop loop_;
  store::MemoryStore store_{loop_};
  base::NullLog log_;
  Context context_{.loop = loop_,
                   .store = store_,
                   .log = log_,
                   .region = *Region::make(""),
                   .request = {},
                   .fresh_uid = [] { return "uid"; },
                   .port = {}};
  Mirror mirror_{context_};
};

}  // namespace neutron
