// resource_keys.h: where the resources that carry configuration lie in the datastore (spec felix-agent §1.6).
#pragma once

#include <string>
#include <string_view>

namespace agent {

constexpr std::string_view kResourceRoot = "/calico/resources/v3/projectcalico.org/";
constexpr std::string_view kFelixConfigurations = "/calico/resources/v3/projectcalico.org/felixconfigurations/";
constexpr std::string_view kClusterInformations = "/calico/resources/v3/projectcalico.org/clusterinformations/";
constexpr std::string_view kNodes = "/calico/resources/v3/projectcalico.org/nodes/";
constexpr std::string_view kIpPools = "/calico/resources/v3/projectcalico.org/ippools/";

}  // namespace agent
