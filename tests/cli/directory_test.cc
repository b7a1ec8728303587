// percalectl on dir:PATH: the same commands as on etcd, on files that people can read.
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/commands.h"
#include "cli/system_environment.h"
#include "testing/temp_directory.h"

namespace cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// The system's, except for the streams.
class CapturedEnvironment final : public Environment {
 public:
  void print(std::string_view text) override { output += text; }
  void print_error(std::string_view text) override { output += text; }
  base::Result<std::string> read_standard_input() override { return input; }
  std::optional<std::string> variable(const std::string&) const override { return std::nullopt; }
  std::string new_uid() override { return system_.new_uid(); }
  std::string timestamp() override { return system_.timestamp(); }
  void pause(base::Duration) override {}
  base::WallTime wall() override { return system_.wall(); }
  base::Instant now() override { return system_.now(); }
  double jitter() override { return 0.5; }
  node::Host& host() override { return system_.host(); }
  node::Prober& prober() override { return system_.prober(); }
  base::Result<std::unique_ptr<store::Store>> open(const store::ConnectionSettings& settings) override {
    return system_.open(settings);
  }
  std::string input, output;

 private:
  SystemEnvironment system_{nullptr};
};

class OnDirectory : public ::testing::Test {
 protected:
  std::string run_command(std::vector<std::string> words, std::string input = {}) {
    CapturedEnvironment environment;
    environment.input = std::move(input);
    words.insert(words.begin(), {"--datastore", "dir:" + directory_.path().string()});
    status_ = run("percalectl", words, environment);
    return environment.output;
  }

  testing::TempDirectory directory_;
  int status_ = -1;
};

constexpr std::string_view kNode =
    "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: host-a}\nspec: {bgp: {ipv4Address: 10.1.0.5/24}}\n";

TEST_F(OnDirectory, WhatIsAppliedIsReadBackAndDeleted) {
  EXPECT_EQ(run_command({"apply", "-f", "-"}, std::string(kNode)), "Successfully applied 1 'Node' resource(s)\n");
  EXPECT_TRUE(std::filesystem::exists(directory_.path() / "nodes" / "host-a.yaml"));
  EXPECT_EQ(run_command({"get", "nodes", "-o", "wide"}),
            "NAME     ASN       IPV4          IPV6   \nhost-a   (64512)   10.1.0.5/24          \n\n");
  EXPECT_EQ(
      run_command({"get", "tiers"}),
      "NAME            ORDER   \nkube-admin      1000    \ndefault         1e+06   \nkube-baseline   1e+07   \n\n");
  EXPECT_EQ(run_command({"label", "node", "host-a", "rack=1"}), "Successfully set label rack on node host-a\n");
  EXPECT_THAT(run_command({"get", "node", "host-a", "-o", "yaml"}), HasSubstr("  labels:\n    rack: \"1\"\n"));
  EXPECT_EQ(run_command({"delete", "node", "host-a"}), "Successfully deleted 1 'Node' resource(s)\n");
  EXPECT_EQ(run_command({"delete", "node", "host-a"}),
            "Failed to delete 'Node' resource: resource does not exist: Node(host-a) with error: <nil>\n\n");
  EXPECT_EQ(status_, 1);
}

TEST_F(OnDirectory, FilesWrittenByHandCount) {
  directory_.write(
      "mine.yaml",
      std::string(kNode) +
          "---\napiVersion: projectcalico.org/v3\nkind: WorkloadEndpoint\nmetadata: {namespace: openstack, labels: "
          "{role: web}}\n"
          "spec: {node: host-a, orchestrator: openstack, workload: vm, endpoint: port, interfaceName: tapport, "
          "ipNetworks: [10.65.0.7/32]}\n"
          "---\napiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: web, namespace: openstack}\n"
          "spec: {selector: role == 'web', ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]}\n");
  EXPECT_EQ(run_command({"get", "wep", "-A"}),
            "NAMESPACE   WORKLOAD   NODE     NETWORKS       INTERFACE   \nopenstack   vm         host-a   10.65.0.7/32 "
            "  tapport     \n\n");
  EXPECT_THAT(run_command({"trace", "192.0.2.1", "port", "tcp/80"}),
              HasSubstr("allow by ingress rule 0 of np/openstack/web in tier default"));
  EXPECT_THAT(run_command({"trace", "192.0.2.1", "port", "tcp/81"}),
              StartsWith("tcp 192.0.2.1:40000 -> 10.65.0.7:81: DENY\n"));
}

TEST_F(OnDirectory, ADirectoryThatIsMissingIsNamed) {
  CapturedEnvironment environment;
  const std::vector<std::string> words = {"--datastore", "dir:/no/such/directory", "get", "nodes"};
  EXPECT_EQ(run("percalectl", words, environment), 1);
  EXPECT_THAT(environment.output, StartsWith("Failed to create Calico API client: "));
  EXPECT_THAT(environment.output, HasSubstr("/no/such/directory"));
}

}  // namespace
}  // namespace cli
