#include "lab/matrix.h"

#include <algorithm>
#include <chrono>
#include <set>

#include <fmt/core.h>

#include "lab/capture.h"

namespace lab {
namespace {

constexpr int kListed = 20;  // differences told in full; the grid shows all

using base::fail;
using base::Result;

std::string describe(const Flow& flow) {
  return fmt::format("{} -> {} IPv{} {}{}", flow.from->name, flow.to->name, flow.family == base::Family::kIpv4 ? 4 : 6,
                     flow.service.protocol, flow.service.port == 0 ? "" : fmt::format("/{}", flow.service.port));
}

std::vector<Flow> flows_from(const Plan& plan, const Guest& from) {
  std::vector<Flow> flows;
  for (const Guest& to : plan.guests) {
    if (to.name == from.name) continue;
    for (base::Family family : {base::Family::kIpv4, base::Family::kIpv6}) {
      for (const Service& service : matrix_services()) flows.push_back({&from, &to, family, service});
    }
  }
  return flows;
}

Probe probe_of(const Flow& flow, int timeout_ms) {
  return {.protocol = flow.service.protocol,
          .target = flow.family == base::Family::kIpv4 ? flow.to->v4.address : flow.to->v6,
          .port = flow.service.port,
          .timeout_ms = timeout_ms};
}

}  // namespace

const std::vector<Service>& matrix_services() {
  static const std::vector<Service> kServices = {
      {"icmp", 0, 'i'}, {"tcp", 80, 'w'}, {"tcp", 5432, 'd'}, {"udp", 9000, 'u'}};
  return kServices;
}

int MatrixReport::differences() const {
  return static_cast<int>(std::ranges::count_if(cells, [](const Cell& cell) { return !cell.agrees(); }) +
                          std::ssize(wrong_travels));
}

int MatrixReport::allowed() const {
  return static_cast<int>(std::ranges::count_if(cells, [](const Cell& cell) { return cell.expected.allowed; }));
}

namespace {

// What arrived must have been seen on its way.
void add_unseen(const std::vector<Cell>& cells, const Sightings& sightings, std::vector<std::string>& lines) {
  std::set<std::string> told;
  for (const Cell& cell : cells) {
    const Flow& flow = cell.flow;
    if (cell.seen.verdict != Verdict::kOk || flow.from->host == flow.to->host) continue;
    if (sightings.contains({flow.from->host, flow.to->host, flow.family})) continue;
    std::string line = fmt::format("{} -> {} IPv{}: packets arrived that the uplink has not seen", flow.from->host,
                                   flow.to->host, flow.family == base::Family::kIpv4 ? 4 : 6);
    if (told.insert(line).second) lines.push_back(std::move(line));
  }
}

}  // namespace

Result<MatrixReport> run_matrix(const Lab& lab, const Expectation& expectation, int timeout_ms) {
  const auto started = std::chrono::steady_clock::now();
  const Plan& plan = lab.plan();
  std::vector<ProbeClient> clients;
  std::vector<std::vector<Flow>> flows;
  for (const Guest& guest : plan.guests) {
    auto client = lab.prober(guest.name);
    if (!client) return fail(std::move(client).error());
    clients.push_back(std::move(*client));
    flows.push_back(flows_from(plan, guest));
  }
  auto capture = UplinkCapture::start(lab);
  if (!capture) return fail(std::move(capture).error());
  for (std::size_t i = 0; i < clients.size(); ++i) {
    std::vector<Probe> probes;
    for (const Flow& flow : flows[i]) probes.push_back(probe_of(flow, timeout_ms * lab.patience()));
    if (auto begun = clients[i].begin(probes); !begun) return fail(std::move(begun).error());
  }
  MatrixReport report;
  for (std::size_t i = 0; i < clients.size(); ++i) {
    auto results = clients[i].finish();
    if (!results) return fail(std::move(results).error().in(plan.guests[i].name));
    for (std::size_t k = 0; k < flows[i].size(); ++k) {
      report.cells.push_back({flows[i][k], expectation(flows[i][k]), (*results)[k]});
    }
  }
  auto sightings = capture->read();
  if (!sightings) return fail(std::move(sightings).error());
  report.travelled = to_text(*sightings);
  report.wrong_travels = wrong_travels(plan, *sightings);
  add_unseen(report.cells, *sightings, report.wrong_travels);
  report.milliseconds = static_cast<int>(
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started).count());
  return report;
}

std::string to_text(const Plan& plan, const MatrixReport& report) {
  std::string text = "from \\ to    IPv4 and IPv6: i icmp echo, w tcp/80, d tcp/5432, u udp/9000; . blocked; ! wrong\n";
  text += fmt::format("{:<9}", "");
  for (const Guest& to : plan.guests) text += fmt::format(" {:<9}", to.name);
  text += '\n';
  for (const Guest& from : plan.guests) {
    text += fmt::format("{:<9}", from.name);
    for (const Guest& to : plan.guests) {
      std::string cell = from.name == to.name ? "-" : "";
      for (const Cell& c : report.cells) {
        if (c.flow.from->name != from.name || c.flow.to->name != to.name) continue;
        if (c.flow.family == base::Family::kIpv6 && cell.size() == matrix_services().size()) cell += ' ';
        cell += !c.agrees() ? '!' : c.expected.allowed ? c.flow.service.letter : '.';
      }
      text += fmt::format(" {:<9}", cell);
    }
    text += '\n';
  }
  int listed = 0;
  for (const Cell& c : report.cells) {
    if (c.agrees() || ++listed > kListed) continue;
    text += fmt::format(
        "wrong: {}: expected {}{}, seen {}\n", describe(c.flow), c.expected.allowed ? "to pass" : "to be blocked",
        c.expected.because.empty() ? "" : fmt::format(" ({})", c.expected.because), to_string(c.seen.verdict));
  }
  for (const std::string& line : report.wrong_travels) text += fmt::format("wrong: {}\n", line);
  if (!report.travelled.empty()) text += report.travelled + "\n";
  text += fmt::format("{} flows, {} of them allowed, {} differ; {} ms\n", report.cells.size(), report.allowed(),
                      report.differences(), report.milliseconds);
  return text;
}

}  // namespace lab
