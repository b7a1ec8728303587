#include "neutron/translate/check.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace neutron {
namespace {

struct Case {
  std::string_view name, operation, kind, object, original, attribute;  // attribute: "-" means accepted
  bool spoofing = false;
};

constexpr Case kCases[] = {
    {"plain port", "create", "port", R"({"device_owner":"compute:nova","device_id":"d","binding:vnic_type":"normal"})",
     "", "-"},
    {"other vnic", "create", "port", R"({"device_owner":"","binding:vnic_type":"direct"})", "", "binding:vnic_type"},
    {"other vnic of another service's port", "create", "port",
     R"({"device_owner":"baremetal:none","binding:vnic_type":"baremetal"})", "", "-"},
    {"other vnic that was there", "update", "port", R"({"device_owner":"","name":"b","binding:vnic_type":"direct"})",
     R"({"device_owner":"","name":"a","binding:vnic_type":"direct"})", "-"},
    {"other vnic when it becomes a machine's", "update", "port",
     R"({"device_owner":"compute:nova","binding:vnic_type":"direct"})",
     R"({"device_owner":"","binding:vnic_type":"direct"})", "binding:vnic_type"},
    {"slash in device", "create", "port", R"({"device_owner":"compute:x","device_id":"a/b"})", "", "device_id"},
    {"slash of a router", "create", "port", R"({"device_owner":"network:router_interface","device_id":"a/b"})", "",
     "-"},
    {"DHCP options", "create", "port",
     R"({"device_owner":"compute:x","extra_dhcp_opts":[{"opt_name":"bootfile-name","opt_value":"x","ip_version":4}]})",
     "", "-"},
    {"unknown DHCP option", "create", "port",
     R"({"device_owner":"compute:x","extra_dhcp_opts":[{"opt_name":"a","opt_value":"x","ip_version":4}]})", "",
     "extra_dhcp_opts"},
    {"a DHCP option of the other family", "update", "port",
     R"({"device_owner":"compute:x","extra_dhcp_opts":[{"opt_name":"router","opt_value":"x","ip_version":6}]})",
     R"({"device_owner":"compute:x","extra_dhcp_opts":[]})", "extra_dhcp_opts"},
    {"a DHCP option that says more", "create", "port",
     R"({"device_owner":"","extra_dhcp_opts":[{"opt_name":"67","opt_value":"a\nb","ip_version":4}]})", "",
     "extra_dhcp_opts"},
    {"DHCP options of a node that is no machine here", "create", "port",
     R"({"device_owner":"baremetal:none","extra_dhcp_opts":[{"opt_name":"a","opt_value":"x","ip_version":4}]})", "",
     "-"},
    {"no port security", "create", "port", R"({"device_owner":"compute:x","port_security_enabled":false})", "",
     "port_security_enabled"},
    {"no port security, allowed", "create", "port", R"({"device_owner":"compute:x","port_security_enabled":false})", "",
     "-", true},
    {"no port security on a router's port", "create", "port",
     R"({"device_owner":"network:dhcp","port_security_enabled":false})", "", "-"},
    {"small pair", "create", "port", R"({"allowed_address_pairs":[{"ip_address":"10.0.0.0/26"}]})", "", "-"},
    {"large pair", "create", "port", R"({"allowed_address_pairs":[{"ip_address":"10.0.0.0/25"}]})", "",
     "allowed_address_pairs"},
    {"large pair, allowed", "create", "port", R"({"allowed_address_pairs":[{"ip_address":"0.0.0.0/0"}]})", "", "-",
     true},
    {"QoS", "update", "port", R"({"qos_policy_id":"q"})", R"({"qos_policy_id":null})", "qos_policy_id"},
    {"QoS that was there", "update", "port", R"({"qos_policy_id":"q"})", R"({"qos_policy_id":"q"})", "-"},
    {"QoS of a network", "create", "network", R"({"qos_policy_id":"q"})", "", "qos_policy_id"},
    {"live migration", "update", "port", R"({"device_owner":"compute:x","binding:profile":{"migrating_to":"h2"}})",
     R"({"device_owner":"compute:x","binding:profile":{}})", "binding:profile"},
    {"live migration ends", "update", "port", R"({"device_owner":"compute:x","binding:profile":{"migrating_to":""}})",
     R"({"device_owner":"compute:x","binding:profile":{"migrating_to":"h2"}})", "-"},
    {"vlan network", "create", "network", R"({"provider:network_type":"vlan"})", "", "provider:network_type"},
    {"stateless group", "create", "security_group", R"({"stateful":false})", "", "stateful"},
    {"group becomes stateless", "update", "security_group", R"({"stateful":false})", R"({"stateful":true})",
     "stateful"},
    {"group", "create", "security_group", R"({"stateful":true})", "", "-"},
    {"leading zeros", "create", "security_group_rule", R"({"direction":"ingress","ethertype":"IPv4","protocol":"007"})",
     "", "protocol"},
    {"udplite with ports", "create", "security_group_rule",
     R"({"direction":"ingress","ethertype":"IPv4","protocol":"udplite","port_range_min":1,"port_range_max":2})", "",
     "port_range_min"},
    {"ICMP type 255", "create", "security_group_rule",
     R"({"direction":"ingress","ethertype":"IPv4","protocol":"icmp","port_range_min":255})", "", "port_range_min"},
    {"rule", "create", "security_group_rule", R"({"direction":"ingress","ethertype":"IPv4","protocol":"tcp"})", "",
     "-"},
    {"trunk", "create", "trunk", "{}", "", ""},
    {"trunk goes", "delete", "trunk", "{}", "", "-"},
    {"port forwarding", "create", "port_forwarding", "{}", "", ""},
    {"address group", "create", "address_group", R"({"addresses":["10.0.0.0/8","fd00::1/128"]})", "", "-"},
    {"address group with a name", "create", "address_group", R"({"addresses":["example.org"]})", "", "addresses"},
};

TEST(Check, RefusesWhatCannotBeHonoured) {
  for (const Case& c : kCases) {
    const json::value object = json::parse(to_json(c.object));
    const json::value original = c.original.empty() ? json::value(json::object{}) : json::parse(to_json(c.original));
    const auto refusal = check_request({.operation = c.operation,
                                        .kind = c.kind,
                                        .object = object.as_object(),
                                        .original = c.original.empty() ? nullptr : &original.as_object()},
                                       {.spoofing_allowed = c.spoofing});
    EXPECT_EQ(refusal ? refusal->attribute : "-", c.attribute) << c.name << ": " << (refusal ? refusal->message : "");
    if (refusal) {
      EXPECT_NE(refusal->message, "") << c.name;
    }
  }
}

}  // namespace
}  // namespace neutron
