// demo.h: the narrated runs on a fresh lab, each step checked with real packets: the main job in nine steps, and a
// tunnel between hosts in eight.
#pragma once

#include <functional>
#include <string>

#include "lab/lab.h"

namespace lab {

struct DemoOptions {
  std::string name = "demo";
  AgentOptions agent;
  int patience = 1;
  bool keep = false;  // leave the lab up afterwards
  // Seconds a host is cut from etcd. Longer than the 20 s after which a dead connection must have been noticed.
  int cut_seconds = 30;
};

// Exit status: 0 if every step went as expected.
int run_demo(const DemoOptions& options);
// `how`: kIpip or kVxlan.
int run_tunnel_demo(const DemoOptions& options, Encapsulation how);

// Makes the lab, plays, shows the agents' last words if a step went wrong, and takes the lab away.
int play(const DemoOptions& options, const Topology& topology, const std::string& opening,
         const std::function<bool(Lab&)>& story);

}  // namespace lab
