#include "lab/verdicts.h"

#include <algorithm>

#include <fmt/core.h>

#include "calc/calculator.h"
#include "calc/evaluator.h"
#include "model/decoder.h"

namespace lab {

struct Verdicts::View {
  base::Interner interner;
  calc::State state;

  const calc::LocalWorkload* endpoint(const Guest& guest) const {
    for (const auto& [key, workload] : state.workloads) {
      if (workload->interface->name == guest.tap) return workload.get();
    }
    return nullptr;
  }
};

namespace {

calc::Packet packet_of(const Flow& flow) {
  const bool v4 = flow.family == base::Family::kIpv4;
  calc::Packet packet;
  packet.source = v4 ? flow.from->v4.address : flow.from->v6;
  packet.destination = v4 ? flow.to->v4.address : flow.to->v6;
  packet.source_port = 40000;
  packet.destination_port = flow.service.port;
  if (flow.service.protocol == "tcp")
    packet.protocol = 6;
  else if (flow.service.protocol == "udp")
    packet.protocol = 17;
  else
    packet.protocol = v4 ? 1 : 58;
  packet.icmp_type = v4 ? 8 : 128;
  return packet;
}

}  // namespace

Verdicts::Verdicts(const Plan& plan, const std::vector<store::KeyValue>& items) {
  for (const Host& host : plan.hosts) {
    auto view = std::make_unique<View>();
    model::Decoder decoder({.hostname = host.name}, view->interner);
    calc::Calculator calculator(host.name);
    model::Decoder::Output decoded;
    for (const store::KeyValue& item : items) decoder.put(item.key, item.value, decoded);
    for (model::Update& update : decoded.updates) calculator.update(std::move(update));
    calculator.in_sync();
    if (auto output = calculator.flush()) calc::apply(view->state, *output);
    views_[host.name] = std::move(view);
  }
}

Verdicts::~Verdicts() = default;
Verdicts::Verdicts(Verdicts&&) noexcept = default;
Verdicts& Verdicts::operator=(Verdicts&&) noexcept = default;

Expected Verdicts::expect(const Flow& flow) const {
  const calc::Packet packet = packet_of(flow);
  struct Side {
    const Guest* guest;
    calc::Direction direction;
  };
  Expected expected;
  for (const Side& side : {Side{flow.from, calc::Direction::kEgress}, {flow.to, calc::Direction::kIngress}}) {
    const View& view = *views_.at(side.guest->host);
    const calc::LocalWorkload* endpoint = view.endpoint(*side.guest);
    if (endpoint == nullptr) return {false, fmt::format("{} has no endpoint", side.guest->name)};
    const calc::Verdict verdict = calc::evaluate(view.state, *endpoint, side.direction, packet);
    expected.because = fmt::format("{}: {}", side.guest->name, calc::to_string(verdict, side.direction));
    expected.allowed = verdict.action == calc::Verdict::Action::kAllow;
    if (!expected.allowed) return expected;
  }
  return expected;
}

base::Result<Verdicts> read_verdicts(Lab& lab) {
  auto store = lab.datastore();
  if (!store) return base::fail(std::move(store).error());
  auto listing = (*store)->list("/calico/resources/");
  if (!listing) return base::fail(std::move(listing).error());
  return Verdicts(lab.plan(), listing->items);
}

}  // namespace lab
