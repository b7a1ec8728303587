#include "config/value_type.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/parameter.h"

namespace config {
namespace {

const Probe kProbe = {[](const std::string& path) { return path == "/exists"; },
                      [](const std::string& name) {
                        return name == "plugin" ? std::optional<std::string>("/usr/bin/plugin") : std::nullopt;
                      }};

struct Case {
  ValueType type;
  std::string_view text;
  std::string_view printed;  // as to_string() prints it; "!" when the text must be refused
};

using namespace types;

const Case kCases[] = {
    {boolean(), "true", "true"},
    {boolean(), "YES", "true"},
    {boolean(), "1", "true"},
    {boolean(), "t", "true"},
    {boolean(), "n", "false"},
    {boolean(), "0", "false"},
    {boolean(), "maybe", "!"},
    {boolean(), "truely", "!"},
    {optional_boolean(), "False", "false"},
    {optional_boolean(), "", ""},
    {optional_boolean(), "2", "!"},

    {integer(), "42", "42"},
    {integer(), "-7", "-7"},
    {integer(), "0x10", "16"},
    {integer(), "0X1f", "31"},
    {integer(), "0b101", "5"},
    {integer(), "0o17", "15"},
    {integer(), "017", "15"},
    {integer(), "0", "0"},
    {integer(), "9223372036854775807", "9223372036854775807"},
    {integer(), "-9223372036854775808", "-9223372036854775808"},
    {integer(), "9223372036854775808", "!"},
    {integer(), "09", "!"},
    {integer(), "1_000", "1000"},
    {integer(), "0x_f_f", "255"},
    {integer(), "0_17", "15"},
    {integer(), "1__0", "!"},
    {integer(), "_1", "!"},
    {integer(), "-_1", "!"},
    {integer(), "1_", "!"},
    {integer(), "0x_", "!"},
    {integer(), "0x", "!"},
    {integer(), "--1", "!"},
    {integer(), "1 ", "!"},
    {integer(), "1.5", "!"},
    {integer(0, 65535), "65535", "65535"},
    {integer(0, 65535), "65536", "!"},
    {integer(0, 65535), "-1", "!"},
    {integer(-1), "-1", "-1"},
    {integer(-1), "-2", "!"},
    {integer(0), "100000", "100000"},

    {seconds(), "90", "90"},
    {seconds(), "0.5", "0.5"},
    {seconds(), "-1", "-1"},
    {seconds(), "1e3", "1000"},
    {seconds(), "1m30s", "!"},
    {seconds(), "inf", "!"},
    {seconds(), "nan", "!"},
    {seconds(), "1e12", "!"},
    {millis(), "50", "50"},
    {millis(), "0.25", "0.25"},
    {millis(), "x", "!"},

    {mark_mask(), "0xffff0000", "0xffff0000"},
    {mark_mask(), "4294901760", "0xffff0000"},
    {mark_mask(), "0x3", "0x3"},
    {mark_mask(), "0x1", "!"},
    {mark_mask(), "0x1ffffffff", "!"},

    {one_of("DROP|RETURN|ACCEPT"), "return", "RETURN"},
    {one_of("DROP|RETURN|ACCEPT"), "REJECT", "!"},

    {text(), "anything = at all", "anything = at all"},
    {file(), "/no/such/file", "/no/such/file"},
    {existing_file(), "/exists", "/exists"},
    {existing_file(), "/no/such/file", "!"},
    {program(), "plugin", "/usr/bin/plugin"},
    {program(), "other", "!"},

    {hostname(), "Node-1.example_x", "Node-1.example_x"},
    {hostname(), "node 1", "!"},
    {hostname(), "nöde", "!"},
    {host_address(), "::", "::"},
    {host_address(), "localhost", "localhost"},
    {host_address(), "[::1]", "!"},
    {host_address(), "0123456789012345678901234567890123456789012345678901234567890123456", "!"},
    {region(), "east-1", "east-1"},
    {region(), "East", "!"},
    {region(), "-east", "!"},
    {region(), "east-", "!"},
    {region(), "a123456789012345678901234567890123456789012345", "a123456789012345678901234567890123456789012345"},
    {region(), "a1234567890123456789012345678901234567890123456", "!"},
    {authority(), "etcd.example:2379", "etcd.example:2379"},
    {authority(), "etcd", "!"},
    {authority(), "::1:2379", "!"},
    {authority(), "host/x:1", "!"},
    {authority(), "host:70000", "!"},

    {interface_parameter(), "eth+", "eth+"},
    {interface_parameter(), "0123456789abcdef", "!"},
    {log_rate(), "10/second", "10/second"},
    {log_rate(), "9999/day", "9999/day"},
    {log_rate(), "0/day", "!"},
    {log_rate(), "10000/day", "!"},
    {log_rate(), "10/week", "!"},
    {log_rate(), "10", "!"},
    {regex(), "^eth.*", "^eth.*"},
    {regex(), "(", "!"},
    {datastore_type(), "ETCDV3", "etcdv3"},
    {datastore_type(), "Kubernetes", "kubernetes"},
    {datastore_type(), "dir:/etc/percale", "dir:/etc/percale"},
    {datastore_type(), "dir:", "!"},
    {datastore_type(), "mysql", "!"},

    {dscp(), "63", "63"},
    {dscp(), "EF", "46"},
    {dscp(), "cs5", "40"},
    {dscp(), "AF11", "10"},
    {dscp(), "af43", "38"},
    {dscp(), "AF44", "!"},
    {dscp(), "CS8", "!"},
    {dscp(), "64", "!"},
    {dscp(), "AF", "!"},

    {ipv4(), "10.0.0.1", "10.0.0.1"},
    {ipv4(), "::1", "!"},
    {ipv6(), "2001:DB8::1", "2001:db8::1"},
    {ipv6(), "10.0.0.1", "!"},

    {endpoint_list(), "http://127.0.0.1:2379", "http://127.0.0.1:2379/"},
    {endpoint_list(), "https://a:1/, https://[::1]:2", "https://a:1/,https://[::1]:2/"},
    {endpoint_list(), "https://a:1,http://b:2", "!"},
    {endpoint_list(), "https://a", "!"},
    {endpoint_list(), "ftp://a:1", "!"},
    {endpoint_list(), "a:1", "!"},
    {endpoint_list(), "http://u:p@a:1", "!"},
    {endpoint_list(), "http://a:1/v3", "!"},
    {endpoint_list(), "http://a:1?x", "!"},
    {endpoint_list(), "http://::1:2379", "!"},

    {interface_list(), "tap", "tap"},
    {interface_list(), "cali,tap", "cali,tap"},
    {interface_list(), "cali, tap", "!"},
    {interface_list(), "cali,", "!"},
    {interface_list(), "eth+", "!"},
    {interface_list(), "0123456789abcdef", "!"},
    {interface_parameter_list(), "docker+,lo", "docker+,lo"},
    {interface_parameter_list(), "docker*", "!"},
    {interface_regex_list(), "kube-ipvs0", "/^kube-ipvs0$/"},
    {interface_regex_list(), "kube,/^veth.*/", "/^kube$/,/^veth.*/"},
    {interface_regex_list(), "/(/", "!"},
    {interface_regex_list(), "/a b/", "!"},
    {interface_regex_list(), "a.b", "!"},

    {cidr_list(), "10.0.0.0/8, 1.2.3.4,2001:db8::/32", "10.0.0.0/8,1.2.3.4/32,2001:db8::/32"},
    {cidr_list(), "fe80::1", "fe80::1/128"},
    {cidr_list(), "10.0.0.0/33", "!"},
    {cidr_list(), "host", "!"},

    {port_list(), "22", "tcp:22"},
    {port_list(), "tcp:22, UDP:68", "tcp:22,udp:68"},
    {port_list(), "tcp:10.0.0.0/8:22", "tcp:10.0.0.0/8:22"},
    {port_list(), "udp:10.1.2.3:53", "udp:10.1.2.3/32:53"},
    {port_list(), "tcp:[2001:db8::/32]:22", "tcp:[2001:db8::/32]:22"},
    {port_list(), "22,22", "tcp:22,tcp:22"},
    {port_list(), "tcp:2001:db8::/32:22", "!"},
    {port_list(), "tcp:[10.0.0.0/8]:22", "!"},
    {port_list(), "sctp:22", "!"},
    {port_list(), "tcp:ssh", "!"},
    {port_list(), "tcp:65536", "!"},
    {port_list(), "tcp:", "!"},
    {port_range(), "1000:2000", "1000:2000"},
    {port_range(), "80", "80"},
    {port_range(), "2000:1000", "!"},
    {port_range(), "http", "!"},
    {port_range_list(), "30000:32767,80", "30000:32767,80"},
    {port_range_list(), "1-2", "!"},

    {route_table_range(), "1-250", "1-250"},
    {route_table_range(), "1-251", "!"},
    {route_table_range(), "0-5", "!"},
    {route_table_range(), "5", "!"},
    {route_table_ranges(), "1-10,20-30", "1-10,20-30"},
    {route_table_ranges(), "1-4294967295", "!"},
    {route_table_ranges(), "1-65535", "1-65535"},
    {route_table_ranges(), "1-65536", "!"},
    {route_table_ranges(), "9-3", "!"},
    {route_table_ranges(), "none here", "!"},

    {key_values(), "a=1, b=x=y,,", "a=1,b=x=y"},
    {key_values(), "a", "!"},
    {key_values(), "=1", "!"},
    {key_durations(), "CalculationGraph=1m30s,X=500ms", "CalculationGraph=90s,X=0.5s"},
    {key_durations(), "a=soon", "!"},
};

TEST(ValueType, AcceptsPrintsAndRefuses) {
  for (const Case& c : kCases) {
    SCOPED_TRACE("kind " + std::to_string(static_cast<int>(c.type.kind)) + ", text '" + std::string(c.text) + "'");
    auto value = parse_value(c.type, c.text, kProbe);
    if (c.printed == "!") {
      EXPECT_FALSE(value);
      continue;
    }
    ASSERT_TRUE(value) << value.error().text();
    const std::string printed = to_string(c.type, *value);
    EXPECT_EQ(printed, c.printed);
    if (c.type.kind == Kind::kProgram) continue;
    auto again = parse_value(c.type, printed, kProbe);
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, *value);
  }
}

TEST(ValueType, DurationsInGoNotation) {
  struct {
    std::string_view text;
    std::int64_t nanoseconds;
  } const good[] = {{"1m30s", 90'000'000'000},
                    {"1.5h", 5'400'000'000'000},
                    {"-20ms", -20'000'000},
                    {"0", 0},
                    {"1us2ns", 1002},
                    {"3µs", 3000},
                    {"0s", 0},
                    {".5s", 500'000'000}};
  for (const auto& c : good) {
    auto duration = parse_duration(c.text);
    ASSERT_TRUE(duration) << c.text;
    EXPECT_EQ(duration->count(), c.nanoseconds) << c.text;
  }
  for (const std::string_view bad : {"", "5", "s", "1x", "1m30", "--1s", "1e3s", "1 s", "1000000000000h"}) {
    EXPECT_FALSE(parse_duration(bad)) << bad;
  }
  EXPECT_EQ(seconds_text(std::chrono::milliseconds(1500)), "1.5");
  EXPECT_EQ(seconds_text(std::chrono::nanoseconds(-1)), "-0.000000001");
}

TEST(ParameterTable, IsCompleteAndEveryDefaultParses) {
  EXPECT_EQ(all_parameters().size(), 211u + 25u);  // Calico's, and ours
  for (const ParameterInfo& parameter : all_parameters()) {
    EXPECT_EQ(&info(parameter.id), &parameter) << parameter.name;
    EXPECT_EQ(find_parameter(parameter.name), &parameter) << parameter.name;
    EXPECT_EQ(find_field(parameter.field), parameter.field.empty() ? nullptr : &parameter) << parameter.field;
    EXPECT_FALSE(parameter.meaning.empty());
    EXPECT_FALSE(expectation(parameter.type).empty());
    if (parameter.type.kind == Kind::kProgram) continue;
    auto value = parse_value(parameter.type, parameter.default_value, Probe{});
    EXPECT_TRUE(value) << parameter.name << ": " << (value ? "" : value.error().text());
  }
}

TEST(ParameterTable, Names) {
  EXPECT_EQ(find_parameter("interfaceprefix"), &info(Parameter::kInterfacePrefix));
  EXPECT_EQ(find_parameter("nosuchthing"), nullptr);
  EXPECT_EQ(find_field("ipipMTU"), &info(Parameter::kIpInIpMtu));
  EXPECT_EQ(environment_name(info(Parameter::kIpv6Support)), "FELIX_IPV6SUPPORT");
  EXPECT_EQ(nearest_parameter("interfaceprefx"), "InterfacePrefix");
  EXPECT_EQ(nearest_parameter("somethingelsealtogether"), "");
}

}  // namespace
}  // namespace config
