#include "calc/sets/set_spec.h"

#include "base/check.h"

namespace calc {
namespace {

std::string_view protocol_text(std::uint8_t protocol) {
  switch (protocol) {
    case 0: return "any";
    case 6: return "tcp";
    case 17: return "udp";
    case 132: return "sctp";
    default: base::check_failed("a named port is tcp, udp, sctp or any", __FILE__, __LINE__);
  }
}

}  // namespace

SetSpec selector_set(Condition condition) {
  SetId id = condition.unique_id();
  return {.id = std::move(id), .condition = std::move(condition), .port_name = {}, .port_protocol = 0};
}

SetSpec named_port_set(Condition condition, Symbol port_name, std::uint8_t port_protocol) {
  std::string content = condition.unique_id();
  content.append(",").append(protocol_text(port_protocol)).append(",").append(port_name.view());
  return {.id = model::hashed_id("n:", content),
          .condition = std::move(condition),
          .port_name = port_name,
          .port_protocol = port_protocol};
}

}  // namespace calc
