#include "lab/ready.h"

#include <algorithm>
#include <thread>

#include <fmt/core.h>

namespace lab {

using namespace std::chrono_literals;

void pause_for(std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }

std::string wait_until(std::chrono::milliseconds limit, const std::function<std::string()>& problem) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (true) {
    std::string text = problem();
    if (text.empty() || std::chrono::steady_clock::now() >= end) return text;
    pause_for(20ms);
  }
}

std::string not_ready(const Lab& lab) {
  for (const Host& host : lab.plan().hosts) {
    if (!lab.agent_options().is_none() && !lab.agent_pid(host)) {
      return fmt::format("the agent of {} has ended; see {}", host.name, lab.paths().log(host.name, "agent"));
    }
    if (!lab.agent_ready(host)) return fmt::format("the agent of {} is not ready", host.name);
  }
  auto router = lab.bird_status(kRouterNode);
  if (!router) return router.error().text();
  for (const bgp::ProtocolRow& row : router->sessions) {
    if (!row.established())
      return fmt::format("BGP session {} of the router is {} {}", row.name, row.session, row.detail);
  }
  for (const Guest& guest : lab.plan().guests) {
    if (!lab.has_kernel_route(kRouterNode, guest.v4.address) || !lab.has_kernel_route(kRouterNode, guest.v6)) {
      return fmt::format("the router has no route to {}", guest.name);
    }
  }
  return {};
}

}  // namespace lab
