// demo.h: the narrated run: nine steps on a fresh lab, each checked with real packets.
#pragma once

#include <string>

#include "lab/lab.h"

namespace lab {

struct DemoOptions {
  std::string name = "demo";
  AgentOptions agent;
  bool keep = false;  // leave the lab up afterwards
  // Seconds a host is cut from etcd. Longer than the 20 s after which a dead connection must have been noticed.
  int cut_seconds = 30;
};

// Exit status: 0 if every step went as expected.
int run_demo(const DemoOptions& options);

}  // namespace lab
