#include "lab/ready.h"

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

namespace {

std::string bgp_problem(const Lab& lab, const std::string& node) {
  auto status = lab.bird_status(node);
  if (!status) return status.error().text();
  for (const bgp::ProtocolRow& row : status->sessions) {
    if (!row.established())
      return fmt::format("BGP session {} of {} is {} {}", row.name, node, row.session, row.detail);
  }
  return status->sessions.empty() ? fmt::format("{} has no BGP session", node) : std::string();
}

}  // namespace

std::string not_ready(const Lab& lab) {
  for (const Host& host : lab.plan().hosts) {
    if (!lab.agent_options().is_none() && !lab.agent_pid(host)) {
      return fmt::format("the agent of {} has ended; see {}", host.name, lab.paths().log(host.name, "agent"));
    }
    if (!lab.agent_ready(host)) return fmt::format("the agent of {} is not ready", host.name);
  }
  std::vector<std::string> speakers = lab.plan().speakers();
  // An agent other than percaled, or none, has peers only where the routers have.
  if (lab.agent_options().program.empty()) {
    for (const Host& host : lab.plan().hosts) speakers.push_back(host.name);
  }
  for (const std::string& node : speakers) {
    if (std::string problem = bgp_problem(lab, node); !problem.empty()) return problem;
  }
  for (const std::string& node : speakers) {
    if (const Guest* guest = lab.first_without_route(node))
      return fmt::format("{} has no route to {}", node, guest->name);
  }
  return {};
}

}  // namespace lab
