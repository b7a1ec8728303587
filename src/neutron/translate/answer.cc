#include "neutron/translate/answer.h"

namespace neutron {
namespace {

const json::object& object_or_empty(const json::value& value) {
  static const json::object kNone;
  return value.is_object() ? value.get_object() : kNone;
}

}  // namespace

Answer::Index Answer::index(const json::array& objects) {
  Index index;
  index.reserve(objects.size());
  for (const auto& item : objects) {
    if (const auto* object = item.if_object()) index.emplace(text(*object, "id"), object);
  }
  return index;
}

Answer::Answer(const json::value& data)
    : data_(object_or_empty(data)),
      networks_(index(list(data_, "networks"))),
      subnets_(index(list(data_, "subnets"))),
      groups_(index(list(data_, "security_groups"))),
      projects_(index(list(data_, "projects"))) {
  for (const auto& item : list(data_, "floatingips")) {
    if (const auto* object = item.if_object()) floating_ips_[text(*object, "port_id")].push_back(object);
  }
}

const std::vector<const json::object*>& Answer::floating_ips(std::string_view port) const {
  static const std::vector<const json::object*> kNone;
  const auto found = floating_ips_.find(port);
  return found == floating_ips_.end() ? kNone : found->second;
}

}  // namespace neutron
