#include "cli/commands.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/strings.h"
#include "cli/commands_fixture.h"
#include "testing/temp_directory.h"

namespace cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string pool(std::string_view name, std::string_view cidr, std::string_view rest = "") {
  return "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: " + std::string(name) +
         "}\nspec: {cidr: " + std::string(cidr) + std::string(rest) + "}\n";
}

TEST_F(Commands, CreateGetDelete) {
  EXPECT_EQ(run_command({"create", "-f", "-"},
                        pool("ippool-name1", "10.0.1.0/24", ", ipipMode: Always, nodeSelector: \"foo == 'bar'\"")),
            "Successfully created 1 'IPPool' resource(s)\n");
  EXPECT_EQ(status_, 0);
  EXPECT_EQ(run_command({"get", "ippool", "ippool-name1"}),
            "NAME           CIDR          SELECTOR       \n"
            "ippool-name1   10.0.1.0/24   foo == 'bar'   \n\n");
  EXPECT_EQ(run_command({"get", "pools", "-owide"}),
            "NAME           CIDR          NAT     IPIPMODE   VXLANMODE   DISABLED   DISABLEBGPEXPORT   SELECTOR       "
            "ASSIGNMENTMODE   \n"
            "ippool-name1   10.0.1.0/24   false   Always     Never       false      false              foo == 'bar'   "
            "Automatic        \n\n");
  EXPECT_THAT(
      run_command({"get", "ippool", "ippool-name1", "-o", "yaml"}),
      ::testing::MatchesRegex(
          "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata:\n  creationTimestamp: \"2026-01-15T10:20:30Z\"\n"
          "  name: ippool-name1\n  resourceVersion: \"[0-9]+\"\n  uid: [-0-9]+\nspec:\n  allowedUses:\n"
          "  - Workload\n  - Tunnel\n  assignmentMode: Automatic\n  blockSize: 26\n  cidr: 10.0.1.0/24\n"
          "  ipipMode: Always\n  nodeSelector: foo == 'bar'\n  vxlanMode: Never\n"));
  EXPECT_EQ(run_command({"create", "-f", "-"}, pool("ippool-name1", "10.0.1.0/24")),
            "failed to create 'IPPool' resource: [resource already exists: IPPool(ippool-name1) with error: <nil>]\n");
  EXPECT_EQ(status_, 1);
  EXPECT_EQ(run_command({"create", "-f", "-", "--skip-exists"}, pool("ippool-name1", "10.0.1.0/24")),
            "Successfully created 1 'IPPool' resource(s)\n");
  EXPECT_EQ(run_command({"delete", "ippool", "ippool-name1"}), "Successfully deleted 1 'IPPool' resource(s)\n");
  EXPECT_EQ(environment_.paused, base::Duration(std::chrono::milliseconds(500)));
  EXPECT_EQ(run_command({"delete", "ippool", "ippool-name1"}),
            "Failed to delete 'IPPool' resource: resource does not exist: IPPool(ippool-name1) with error: <nil>\n\n");
  EXPECT_EQ(status_, 1);
  EXPECT_EQ(run_command({"delete", "ippool", "ippool-name1", "--skip-not-exists"}),
            "Successfully deleted 1 'IPPool' resource(s)\n");
}

TEST_F(Commands, FiltersAreCountedAndDemandedByPeers) {
  EXPECT_THAT(run_command({"create", "-f", "-"},
                          "apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: p}\nspec: {peerIP: "
                          "192.0.2.1, asNumber: 1, filters: [f]}\n"),
              HasSubstr("BGPFilter(s) not found"));
  run_command({"create", "-f", "-"},
              "apiVersion: projectcalico.org/v3\nkind: BGPFilter\nmetadata: {name: f}\nspec: {importV4: [{action: "
              "Accept}, {action: Reject}], exportV6: [{action: Reject}]}\n");
  EXPECT_EQ(run_command({"get", "bf"}),
            "NAME   NUMEXPORTV4   NUMIMPORTV4   NUMEXPORTV6   NUMIMPORTV6   \n"
            "f      0             2             1             0             \n\n");
}

TEST_F(Commands, EmptyListsPrintHeadingsOrEmptyItems) {
  EXPECT_EQ(run_command({"get", "bgppeers"}), "NAME   PEERIP   NODE   ASN   \n\n");
  EXPECT_THAT(run_command({"get", "bgppeers", "-o", "yaml"}),
              ::testing::MatchesRegex("apiVersion: projectcalico.org/v3\nitems: \\[\\]\nkind: BGPPeerList\nmetadata:\n "
                                      " resourceVersion: \"[0-9]+\"\n"));
  EXPECT_THAT(
      run_command({"get", "bgppeers", "-o", "json"}),
      StartsWith("{\n  \"kind\": \"BGPPeerList\",\n  \"apiVersion\": \"projectcalico.org/v3\",\n  \"metadata\": {\n"));
}

TEST_F(Commands, WritingInitialisesTheDatastore) {
  run_command({"apply", "-f", "-"}, pool("p", "10.0.0.0/16"));
  EXPECT_EQ(stored("clusterinformations/default"),
            R"({"kind":"ClusterInformation","apiVersion":"projectcalico.org/v3","metadata":{"name":"default",)"
            R"("uid":"00000000-0000-4000-8000-000000000002","creationTimestamp":"2026-01-15T10:20:30Z"},"spec":{)"
            R"("clusterGUID":"00000000000040008000000000000001","datastoreReady":true}})");
  EXPECT_EQ(
      run_command({"get", "tiers"}),
      "NAME            ORDER   \nkube-admin      1000    \ndefault         1e+06   \nkube-baseline   1e+07   \n\n");
}

TEST_F(Commands, InitialisationKeepsAnExplicitFalse) {
  put_raw(
      "clusterinformations/default",
      R"({"kind": "ClusterInformation", "metadata": {"name": "default"}, "spec": {"clusterType": "openstack", "datastoreReady": false}})");
  run_command({"apply", "-f", "-"}, pool("p", "10.0.0.0/16"));
  EXPECT_THAT(stored("clusterinformations/default"), HasSubstr(R"("clusterType":"openstack","datastoreReady":false)"));
  EXPECT_THAT(stored("clusterinformations/default"), HasSubstr(R"("clusterGUID":")"));
}

TEST_F(Commands, PoliciesNeedTheirTierAndKeepTheirName) {
  const std::string policy =
      "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {tier: security, order: "
      "10}\n";
  EXPECT_EQ(
      run_command({"apply", "-f", "-"}, policy),
      "failed to apply 'GlobalNetworkPolicy' resource: [resource does not exist: Tier(security) with error: <nil>]\n");
  EXPECT_EQ(run_command(
                {"apply", "-f", "-"},
                "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: security}\nspec: {order: 1.5}\n---\n" +
                    policy),
            "Successfully applied 2 resource(s)\n");
  EXPECT_THAT(
      stored("globalnetworkpolicies/p"),
      HasSubstr(
          R"("labels":{"projectcalico.org/tier":"security"},"annotations":{"projectcalico.org/metadata":"{\"name\":\"p\"}"}})"));
  EXPECT_EQ(run_command({"get", "gnp", "-o", "wide"}),
            "NAME   TIER       ORDER   SELECTOR   \np      security   10                 \n\n");
  EXPECT_THAT(run_command({"get", "gnp", "p", "-o", "yaml"}), Not(HasSubstr("projectcalico.org/metadata")));
  EXPECT_EQ(run_command({"delete", "tier", "security"}),
            "Failed to delete 'Tier' resource: operation delete is not supported on security: Cannot delete a "
            "non-empty tier\n\n");
  EXPECT_EQ(
      run_command({"delete", "tier", "default"}),
      "Failed to delete 'Tier' resource: operation Delete is not supported on default: Cannot delete default tier\n\n");
}

TEST_F(Commands, LegacyPolicyKeysAreFoundByTheShortName) {
  put_raw("globalnetworkpolicies/default.old", R"({"metadata":{"name":"default.old"},"spec":{"selector":"a == 'b'"}})");
  EXPECT_EQ(run_command({"get", "gnp"}), "NAME   TIER   \nold           \n\n");
  EXPECT_THAT(run_command({"get", "gnp", "old", "-o", "yaml"}), HasSubstr("name: old\n"));
  EXPECT_EQ(run_command({"delete", "gnp", "old"}), "Successfully deleted 1 'GlobalNetworkPolicy' resource(s)\n");
  EXPECT_EQ(stored("globalnetworkpolicies/default.old"), "");
}

TEST_F(Commands, NamespacesAreResolved) {
  const auto set = [](std::string_view ns) {
    return "apiVersion: projectcalico.org/v3\nkind: NetworkSet\nmetadata: {name: s" + std::string(ns) +
           "}\nspec: {nets: [10.0.0.1]}\n";
  };
  EXPECT_EQ(run_command({"create", "-f", "-"}, set("")), "Successfully created 1 'NetworkSet' resource(s)\n");
  EXPECT_EQ(run_command({"create", "-f", "-", "-nb"}, set(", namespace: a")),
            "failed to create 'NetworkSet' resource: [resource namespace does not match client namespace. a != b]\n");
  EXPECT_EQ(run_command({"create", "-f", "-", "--namespace", "b"}, set("")),
            "Successfully created 1 'NetworkSet' resource(s)\n");
  EXPECT_EQ(run_command({"get", "netsets"}), "NAME   \ns      \n\n");
  EXPECT_EQ(run_command({"get", "netsets", "-a", "-o", "wide"}),
            "NAMESPACE   NAME   NETS       \nb           s      10.0.0.1   \ndefault     s      10.0.0.1   \n\n");
  EXPECT_EQ(run_command({"get", "netsets", "s", "-A"}),
            "cannot use --all-namespace flag for getting a single resource\n");
  EXPECT_EQ(run_command({"get", "ippool", "-a"}), "IPPool is not namespaced\n");
  EXPECT_EQ(run_command({"get", "netsets", "s", "-n", "c"}),
            "resource does not exist: NetworkSet(c/s) with error: <nil>\n");
}

TEST_F(Commands, ReplaceTakesSpecAndLabelsAndKeepsTheRest) {
  const auto node = [](std::string_view metadata, std::string_view spec) {
    return "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: host" + std::string(metadata) +
           "}\nspec: " + std::string(spec) + "\n";
  };
  EXPECT_EQ(run_command({"replace", "-f", "-"}, node("", "{}")),
            "failed to replace 'Node' resource: [resource does not exist: Node(host) with error: <nil>]\n");
  run_command({"create", "-f", "-"}, node(", labels: {a: b}", "{bgp: {asNumber: 1}}"));
  const std::string before = stored("nodes/host");
  EXPECT_THAT(before, HasSubstr(R"("labels":{"a":"b"}},"spec":{"bgp":{"asNumber":1}},"status":{}})"));
  EXPECT_EQ(run_command({"replace", "-f", "-"}, node("", "{bgp: {asNumber: 2}}")),
            "Successfully replaced 1 'Node' resource(s)\n");
  EXPECT_EQ(stored("nodes/host").substr(0, before.find(",\"labels\"")),
            before.substr(0, before.find(",\"labels\"")));  // uid and time
  EXPECT_THAT(stored("nodes/host"), Not(HasSubstr("labels")));
  EXPECT_EQ(run_command({"apply", "-f", "-"}, node(", resourceVersion: '1'", "{bgp: {asNumber: 3}}")),
            "failed to apply 'Node' resource: [update conflict: Node(host)]\n");
}

TEST_F(Commands, UpdatesKeepWhatTheyDoNotKnow) {
  put_raw(
      "workloadendpoints/openstack/h-openstack-i-p",
      R"({"kind": "WorkloadEndpoint", "metadata": {"name": "h-openstack-i-p", "namespace": "openstack"}, "spec": {"node": "h", "orchestrator": "openstack", "workload": "i", "endpoint": "p", "interfaceName": "tapp", "allowedIps": ["10.0.0.9/32"]}})");
  EXPECT_EQ(run_command({"label", "wep", "h-openstack-i-p", "role=db", "-n", "openstack"}),
            "Successfully set label role on wep h-openstack-i-p\n");
  EXPECT_THAT(stored("workloadendpoints/openstack/h-openstack-i-p"),
              HasSubstr(R"("interfaceName":"tapp","allowedIps":["10.0.0.9/32"]}})"));
  EXPECT_THAT(stored("workloadendpoints/openstack/h-openstack-i-p"), HasSubstr(R"("uid":")"));
}

TEST_F(Commands, Labels) {
  run_command({"create", "-f", "-"},
              "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: host}\nspec: {}\n");
  EXPECT_EQ(run_command({"label", "nodes", "host", "app=web"}), "Successfully set label app on nodes host\n");
  EXPECT_EQ(run_command({"label", "nodes", "host", "app=web"}), "Successfully updated label app on nodes host\n");
  EXPECT_EQ(run_command({"label", "nodes", "host", "app=db"}),
            "failed to update label of nodes host, key app is already present. please use '--overwrite' to set a new "
            "value\n");
  EXPECT_EQ(run_command({"label", "nodes", "host", "app=db", "--overwrite"}),
            "Successfully updated label app on nodes host\n");
  EXPECT_EQ(run_command({"label", "nodes", "host", "app", "--remove"}),
            "Successfully removed label app from nodes host\n");
  EXPECT_EQ(run_command({"label", "nodes", "host", "app", "--remove"}),
            "cannot remove label of nodes host, key app does not exist\n");
  EXPECT_EQ(run_command({"label", "nodes", "host", "a=b=c"}), "invalid label a=b=c\n");
  EXPECT_EQ(run_command({"label", "nodes", "m", "a=b"}), "nodes m not found\n");
  EXPECT_EQ(run_command({"label", "somekind", "m", "a=b"}),
            "failed to get somekind m, error resource type 'somekind' is not supported\n");
}

TEST_F(Commands, Patches) {
  run_command({"create", "-f", "-"},
              "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: host, labels: {a: b}}\nspec: {bgp: "
              "{ipv4Address: 10.0.0.1/24}}\n");
  EXPECT_EQ(
      run_command({"patch", "node", "host", "-p",
                   R"({"spec": {"bgp": {"routeReflectorClusterID": "1.0.0.1"}}, "metadata": {"labels": {"c": "d"}}})"}),
      "Successfully patched 1 'Node' resource\n");
  EXPECT_THAT(
      stored("nodes/host"),
      HasSubstr(
          R"("labels":{"a":"b","c":"d"}},"spec":{"bgp":{"ipv4Address":"10.0.0.1/24","routeReflectorClusterID":"1.0.0.1"}})"));
  EXPECT_EQ(
      run_command(
          {"patch", "node", "host", "--type=json", "-p",
           R"([{"op": "remove", "path": "/spec/bgp/routeReflectorClusterID"}, {"op": "replace", "path": "/metadata/labels/a", "value": "x"}])"}),
      "Successfully patched 1 'Node' resource\n");
  EXPECT_THAT(stored("nodes/host"),
              HasSubstr(R"("labels":{"a":"x","c":"d"}},"spec":{"bgp":{"ipv4Address":"10.0.0.1/24"}})"));
  EXPECT_EQ(run_command({"patch", "node", "host", "-p", "nonsense"}),
            "hit error: performing strategic merge patch: invalid JSON document\n");
  EXPECT_THAT(run_command({"patch", "node", "host", "-p", R"({"spec": {"bgp": {"asNumber": "x"}}})"}),
              StartsWith("hit error: creating resource from patched data: "));
  EXPECT_EQ(run_command({"patch", "node", "m", "-p", "{}"}),
            "hit error: resource does not exist: Node(m) with error: <nil>\n");
}

TEST_F(Commands, SeveralFailuresAreListed) {
  const std::string bad =
      "apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: a}\nspec: {peerIP: 999.1.1.1, asNumber: 1}\n";
  const std::string good =
      "apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: NAME}\nspec: {peerIP: 192.0.2.1, asNumber: "
      "1}\n";
  const std::string error =
      "error with field PeerIP = '999.1.1.1' (Reason: failed to validate Field: PeerIP because of Tag: IP:port )";
  const auto named = [&](const std::string& name) { return base::replace_all(good, "NAME", name); };
  EXPECT_EQ(run_command({"create", "-f", "-"}, bad), "failed to create 'BGPPeer' resource: [" + error + "]\n");
  EXPECT_EQ(run_command({"create", "-f", "-"}, bad + "---\n" + bad),
            "failed to create any 'BGPPeer' resources: [" + error + " " + error + "]\n");
  EXPECT_EQ(run_command({"create", "-f", "-"}, named("b") + "---\n" + bad), "hit error: [" + error + "]\n");
  EXPECT_EQ(run_command({"apply", "-f", "-"}, named("b") + "---\n" + bad + "---\n" + named("c")),
            "Partial success: applied the first 2 out of 3 'BGPPeer' resources:\nhit error(s): [" + error + "]\n");
  EXPECT_EQ(status_, 1);
  EXPECT_EQ(run_command({"get", "bgppeer", "b", "x", "c"}),
            "NAME   PEERIP      NODE       ASN   \nb      192.0.2.1   (global)   1     \n\n"
            "NAME   PEERIP      NODE       ASN   \nc      192.0.2.1   (global)   1     \n\n"
            "resource does not exist: BGPPeer(x) with error: <nil>\n");
}

TEST_F(Commands, BadInputIsRefusedBeforeAnythingIsWritten) {
  const std::string peer = "apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: a}\nspec: ";
  EXPECT_EQ(run_command({"create", "-f", "-"}, pool("p", "10.0.0.0/16") + "---\n" + peer + "{unknown: 1}"),
            "field in document is not recognized or is in the wrong location: unknown\n");
  EXPECT_EQ(run_command({"create", "-f", "-"}, peer + "{asNumber: x}"),
            "failed to execute command: error unmarshaling JSON: while decoding JSON: invalid AS Number format (x)\n");
  EXPECT_EQ(run_command({"create", "-f", "-"}, "# only a comment\n"),
            "failed to execute command: unknown resource type () and/or version ()\n");
  EXPECT_EQ(run_command({"create", "-f", "/no/such/file"}),
            "failed to execute command: open /no/such/file: no such file or directory\n");
  EXPECT_EQ(run_command({"create", "-f", "-"}, ""), "no resources specified in file -\n");
  EXPECT_EQ(run_command({"create", "-f", "-", "--skip-empty"}, ""), "No resources specified\n");
  EXPECT_EQ(status_, 0);
  EXPECT_EQ(run_command({"get", "ippools"}), "NAME   CIDR   SELECTOR   \n\n");
}

TEST_F(Commands, ListsAndDirectoriesAreRead) {
  const testing::TempDirectory directory;
  directory.write(
      "b.yaml",
      "apiVersion: projectcalico.org/v3\nkind: NodeList\nitems:\n- metadata: {name: n1}\n- metadata: {name: n2}\n");
  directory.write(
      "a.json",
      R"([{"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": {"name": "t"}, "spec": {"order": 1}}])");
  directory.write("c.txt", "not a resource");
  EXPECT_EQ(run_command({"apply", "-f", directory.path().string()}), "Successfully applied 3 resource(s)\n");
  EXPECT_EQ(run_command({"get", "nodes"}), "NAME   \nn1     \nn2     \n\n");
  EXPECT_EQ(run_command({"apply", "-f", "-"},
                        "apiVersion: projectcalico.org/v3\nkind: NodeList\nitems: [{kind: Tier, metadata: {name: x}}]"),
            "failed to execute command: unknown resource type (Tier) and/or version (projectcalico.org/v3)\n");
}

TEST_F(Commands, ProtectedObjects) {
  EXPECT_EQ(run_command({"apply", "-f", "-"},
                        "apiVersion: projectcalico.org/v3\nkind: ClusterInformation\nmetadata: {name: default}\n"),
            "failed to apply 'ClusterInformation' resource: [operation apply is not supported on "
            "ClusterInformation: resource is readonly]\n");
  EXPECT_EQ(run_command({"delete", "clusterinfo", "default"}),
            "Failed to delete 'ClusterInformation' resource: operation delete is not supported on "
            "ClusterInformation\n\n");
  EXPECT_THAT(run_command({"create", "-f", "-"},
                          "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: knp.default.x}\n"),
              HasSubstr("operation create or apply is not supported on NetworkPolicy(default/knp.default.x): "
                        "kubernetes network policies must be managed"));
  EXPECT_EQ(run_command({"get", "profiles", "-o", "wide"}),
            "NAME                          LABELS   \nprojectcalico-default-allow            \n\n");
  EXPECT_THAT(run_command({"get", "profile", "projectcalico-default-allow", "-o", "yaml"}),
              HasSubstr("spec:\n  egress:\n  - action: Allow\n  ingress:\n  - action: Allow\n"));
  EXPECT_THAT(run_command({"delete", "profile", "projectcalico-default-allow"}),
              HasSubstr("is a default provided by Calico and cannot be deleted"));
}

TEST_F(Commands, PoolsMayNotOverlapOrChange) {
  run_command({"create", "-f", "-"}, pool("a", "10.0.0.0/16"));
  EXPECT_EQ(run_command({"create", "-f", "-"}, pool("b", "10.0.128.0/17")),
            "failed to create 'IPPool' resource: [error with field IPPool.Spec.CIDR = '10.0.128.0/17' (IPPool(b) CIDR "
            "overlaps with IPPool(a) CIDR 10.0.0.0/16)]\n");
  EXPECT_EQ(run_command({"apply", "-f", "-"}, pool("a", "10.1.0.0/16")),
            "failed to apply 'IPPool' resource: [error with field IPPool.Spec.CIDR = '10.1.0.0/16' (IPPool CIDR cannot "
            "be modified)]\n");
}

TEST_F(Commands, DeletingANodeTakesItsObjectsAlong) {
  run_command({"apply", "-f", "-"},
              "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: h}\n---\n"
              "apiVersion: projectcalico.org/v3\nkind: HostEndpoint\nmetadata: {name: e}\nspec: {node: h, "
              "interfaceName: eth0}\n---\n"
              "apiVersion: projectcalico.org/v3\nkind: HostEndpoint\nmetadata: {name: other}\nspec: {node: i, "
              "interfaceName: eth0}\n---\n"
              "apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: p}\nspec: {node: h, peerIP: "
              "192.0.2.1, asNumber: 1}\n---\n"
              "apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata: {name: node.h}\n---\n"
              "apiVersion: projectcalico.org/v3\nkind: WorkloadEndpoint\nmetadata: {namespace: openstack}\n"
              "spec: {node: h, orchestrator: openstack, workload: i, endpoint: p, interfaceName: tapp}\n");
  EXPECT_EQ(run_command({"delete", "node", "h"}), "Successfully deleted 1 'Node' resource(s)\n");
  for (const char* key : {"nodes/h", "hostendpoints/e", "bgppeers/p", "felixconfigurations/node.h",
                          "workloadendpoints/openstack/h-openstack-i-p"}) {
    EXPECT_EQ(stored(key), "") << key;
  }
  EXPECT_NE(stored("hostendpoints/other"), "");
}

TEST_F(Commands, VersionsAreCompared) {
  put_raw("clusterinformations/default",
          R"({"metadata":{"name":"default"},"spec":{"calicoVersion":"v3.31.0","clusterType":"openstack"}})");
  EXPECT_EQ(
      run_command({"get", "nodes"}),
      "failed to get resources: version mismatch.\nClient Version:   v3.32.0-percale0.1.0\nCluster Version:  3.31.0\n"
      "Use --allow-version-mismatch to override\n");
  EXPECT_EQ(run_command({"--allow-version-mismatch", "get", "nodes"}), "NAME   \n\n");
  EXPECT_EQ(run_command({"get", "nodes", "--allow-version-mismatch"}), "NAME   \n\n");
  EXPECT_EQ(run_command({"version", "--poll=often"}), "invalid poll duration specified: 0s\n");
  EXPECT_EQ(run_command({"version", "--poll=0s"}), run_command({"version"}));
  EXPECT_EQ(run_command({"version"}),
            "Client Version:    v3.32.0-percale0.1.0\nGit commit:        unknown\nCluster Version:   v3.31.0\nCluster "
            "Type:      openstack\n");
}

TEST_F(Commands, AnUnreachableDatastoreIsNamed) {
  environment_.memory().disconnect(
      base::Error::unavailable("etcd at http://10.0.0.1:2379 does not answer: connection refused"));
  EXPECT_EQ(run_command({"get", "nodes"}),
            "failed to get resources: unable to get Cluster Information to verify version mismatch: "
            "etcd at http://10.0.0.1:2379 does not answer: connection refused\n");
  EXPECT_EQ(status_, 1);
}

TEST_F(Commands, WithoutSettingsTheClientCannotBeCreated) {
  environment_.variables.clear();
  EXPECT_THAT(run_command({"get", "nodes"}),
              StartsWith("Failed to create Calico API client: no etcd endpoints specified"));
  environment_.variables = {{"DATASTORE_TYPE", "kubernetes"}};
  EXPECT_THAT(run_command({"get", "nodes"}),
              StartsWith("Failed to create Calico API client: invalid datastore type 'kubernetes'"));
  EXPECT_EQ(run_command({"get", "nodes", "-c", "/no/such.cfg"}), "Error reading config file: /no/such.cfg\n");
}

TEST_F(Commands, ConfigurationFileWinsOverTheEnvironment) {
  const testing::TempDirectory directory;
  const std::string path =
      directory.write("calicoctl.cfg",
                      "apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nmetadata: {}\nspec:\n  datastoreType: "
                      "etcdv3\n  etcdEndpoints: http://127.0.0.1:1\n  k8sAPIToken: ignored\n");
  EXPECT_EQ(run_command({"-l", "info", "get", "nodes", "-c", path}),
            "datastore settings from file " + path + "\nthe environment names a datastore, too, but " + path +
                " exists and wins\nNAME   \n\n");
  const std::string bad = directory.write("bad.cfg", "apiVersion: v1\nkind: CalicoAPIConfig\n");
  EXPECT_EQ(run_command({"get", "nodes", "-c", bad}), "Failed to create Calico API client: syntax error in " + bad +
                                                          ": invalid config file: unknown APIVersion 'v1'\n");
  const std::string unknown = directory.write(
      "unknown.cfg", "apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nspec: {etcdEndpoint: x}\n");
  EXPECT_THAT(run_command({"get", "nodes", "-c", unknown}),
              HasSubstr("is not recognized or is in the wrong location: etcdEndpoint"));
}

TEST_F(Commands, Validate) {
  EXPECT_EQ(run_command({"validate", "-f", "-"}, pool("p", "10.0.0.0/16")),
            "Successfully validated 1 'IPPool' resource(s)\n");
  EXPECT_THAT(run_command({"validate", "-f", "-"}, pool("p", "10.0.0.0/33")),
              StartsWith("failed to validate 'IPPool' resource: ["));
  EXPECT_THAT(run_command({"validate", "-f", "-", "--namespace=x"}, pool("p", "10.0.0.0/16")), StartsWith("Usage:\n"));
}

TEST_F(Commands, DryRunWritesNothing) {
  EXPECT_EQ(run_command({"apply", "-f", "-", "--dry-run"}, pool("p", "10.0.0.0/16")),
            "Successfully applied 1 'IPPool' resource(s) (dry run)\n");
  EXPECT_EQ(stored("ippools/p"), "");
  EXPECT_EQ(stored("tiers/default"), "");
  run_command({"apply", "-f", "-"}, pool("p", "10.0.0.0/16"));
  EXPECT_EQ(run_command({"delete", "ippool", "p", "--dry-run"}),
            "Successfully deleted 1 'IPPool' resource(s) (dry run)\n");
  EXPECT_NE(stored("ippools/p"), "");
}

TEST_F(Commands, OutputFormats) {
  run_command({"apply", "-f", "-"},
              "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: cmp01}\nspec: {bgp: {ipv4Address: "
              "10.1.0.5/24}}\n---\n"
              "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: cmp02}\nspec: {bgp: {ipv4Address: "
              "10.1.0.6/24, asNumber: 64900}}\n");
  EXPECT_EQ(run_command({"get", "nodes", "-o", "wide"}),
            "NAME    ASN       IPV4          IPV6   \ncmp01   (64512)   10.1.0.5/24          \ncmp02   64900     "
            "10.1.0.6/24          \n\n");
  EXPECT_EQ(run_command({"get", "nodes", "-o", "custom-columns=IPV4,NAME"}),
            "IPV4          NAME    \n10.1.0.5/24   cmp01   \n10.1.0.6/24   cmp02   \n\n");
  EXPECT_EQ(run_command({"get", "nodes", "-o", "custom-columns=X"}),
            "unknown heading X, valid values are: ASN, IPV4, IPV6, NAME\n");
  EXPECT_EQ(run_command({"get", "nodes", "-o", "xml"}), "unrecognized output format 'xml'\n");
  EXPECT_EQ(run_command({"get", "nodes", "-o", "custom-columns="}), "need to specify at least one column\n");
  EXPECT_EQ(run_command({"get", "nodes", "-o",
                         "go-template={{range .}}{{range .Items}}{{.Name}} {{.Spec.BGP.IPv4Address}} "
                         "{{end}}{{end}}{{config \"asnumber\"}}"}),
            "cmp01 10.1.0.5/24 cmp02 10.1.0.6/24 64512");
  EXPECT_EQ(run_command({"get", "nodes", "-o", "go-template="}), "need to specify a template\n");
  EXPECT_EQ(run_command({"get", "nodes", "-o", "go-template"}), "need to specify a template\n");
  EXPECT_EQ(run_command({"get", "nodes", "-o", "go-template-file="}), "need to specify a template file\n");
  EXPECT_THAT(run_command({"get", "nodes", "-o", "go-template={{.X"}), StartsWith("template: get:1: "));
  EXPECT_EQ(status_, 1);
  EXPECT_THAT(run_command({"get", "node", "cmp01", "--export", "-o", "yaml"}),
              ::testing::StrEq("apiVersion: projectcalico.org/v3\nkind: Node\nmetadata:\n  name: cmp01\nspec:\n  "
                               "bgp:\n    ipv4Address: 10.1.0.5/24\nstatus: {}\n"));
}

TEST_F(Commands, TruncatesLongLists) {
  std::string nets;
  for (int i = 0; i < 10; ++i) nets += "10.0." + std::to_string(i) + ".0/28,";
  run_command(
      {"apply", "-f", "-"},
      "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: s}\nspec: {nets: [" + nets + "]}\n");
  EXPECT_EQ(run_command({"get", "gnetsets", "-owide"}),
            "NAME   NETS                                                                               \n"
            "s      10.0.0.0/28,10.0.1.0/28,10.0.2.0/28,10.0.3.0/28,10.0.4.0/28,10.0.5.0/28,10.0....   \n\n");
}

TEST_F(Commands, UnreadableValuesAreLeftOutWithAWarning) {
  put_raw("nodes/bad", "{");
  put_raw("nodes/good", R"({"metadata":{"name":"good"},"spec":{}})");
  EXPECT_EQ(run_command({"get", "nodes"}),
            "Warning: failed to parse datastore entry key=/calico/resources/v3/projectcalico.org/nodes/bad; value={: "
            "invalid JSON: incomplete JSON\n"
            "NAME   \ngood   \n\n");
  EXPECT_THAT(run_command({"get", "node", "bad"}), StartsWith("failed to parse datastore entry key="));
  EXPECT_EQ(run_command({"delete", "node", "bad"}), "Successfully deleted 1 'Node' resource(s)\n");
}

TEST_F(Commands, GrammarMistakes) {
  EXPECT_EQ(run_command({"get", "somekind"}), "failed to get resources: resource type 'somekind' is not supported\n");
  EXPECT_EQ(run_command({"get", "policy", ""}), "failed to get resources: resource name may not be empty\n");
  EXPECT_EQ(run_command({"-m", "get"}),
            "Invalid option: '-m get'. Use flag '--help' to read about a specific subcommand.\nUsage:\n  percalectl "
            "[options] <command> [<args>...]\n");
  EXPECT_THAT(run_command({}), StartsWith("Invalid option: ''."));
  EXPECT_THAT(run_command({"frobnicate"}), StartsWith("unknown command: \"frobnicate\"\n"));
  EXPECT_EQ(run_command({"-l", "loud", "get", "nodes"}),
            "Unknown log level: loud, expected one of: \npanic, fatal, error, warn, info, debug.\n");
  EXPECT_THAT(run_command({"get", "nodes", "--ski", "--bad"}), StartsWith("Usage:\n  percalectl get "));
  EXPECT_THAT(run_command({"create", "--filename"}), StartsWith("--filename requires argument\nUsage:\n"));
  EXPECT_THAT(run_command({"create", "-f", "x", "--skip"}),
              StartsWith("--skip is not a unique prefix: --skip-exists, --skip-empty?\nUsage:\n"));
  EXPECT_THAT(run_command({"get", "nodes", "--export=x"}), StartsWith("--export must not have an argument\nUsage:\n"));
  EXPECT_THAT(run_command({"get", "nodes", "-o", "yaml", "-o", "json"}), StartsWith("Usage:\n"));
  EXPECT_THAT(run_command({"get"}), StartsWith("Usage:\n"));
  EXPECT_EQ(status_, 1);
  EXPECT_THAT(run_command({"get", "--", "nodes"}), StartsWith("NAME"));
  EXPECT_EQ(run_command({"--version"}), "Run 'percalectl version' to see version information.\n");
  EXPECT_THAT(run_command({"apply", "-h"}), HasSubstr("    - globalnetworkpolicy\n"));
  EXPECT_EQ(status_, 0);
}

TEST_F(Commands, Explain) {
  EXPECT_THAT(run_command({"explain", "ippool.ipipMode"}),
              HasSubstr("When traffic to the pool is encapsulated in IP-in-IP"));
  EXPECT_EQ(run_command({"explain", "ippool.nothing"}), "IPPool has no field 'nothing'\n");
  EXPECT_THAT(run_command({"explain"}), HasSubstr("WorkloadEndpoint"));
}

// Two guests of different hosts, and a policy that lets web reach db.
constexpr std::string_view kCloud = R"(
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {namespace: openstack, labels: {role: web}}
spec: {node: host-a, orchestrator: openstack, workload: vm-web, endpoint: port-web, interfaceName: tapweb, ipNetworks: [10.65.0.7/32]}
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {namespace: openstack, labels: {role: db}}
spec: {node: host-b, orchestrator: openstack, workload: vm-db, endpoint: port-db, interfaceName: tapdb, ipNetworks: [10.65.0.8/32]}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: openstack}
spec:
  selector: role == 'db'
  ingress:
  - {action: Deny, protocol: UDP}
  - {action: Allow, protocol: TCP, source: {selector: role == 'web'}, destination: {ports: [5432]}}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: out, namespace: openstack}
spec: {selector: all(), types: [Egress], egress: [{action: Allow}]}
)";

TEST_F(Commands, TraceNamesTheDecidingRules) {
  ASSERT_THAT(run_command({"apply", "-f", "-"}, std::string(kCloud)), StartsWith("Successfully applied 4"));
  EXPECT_EQ(run_command({"trace", "port-web", "openstack/vm-db", "tcp/5432"}),
            "tcp 10.65.0.7:40000 -> 10.65.0.8:5432: ALLOW\n"
            "egress   WorkloadEndpoint(openstack/host--a-openstack-vm--web-port--web) on host-a\n"
            "         allow by egress rule 0 of np/openstack/out in tier default\n"
            "         {\"action\":\"Allow\"}\n"
            "ingress  WorkloadEndpoint(openstack/host--b-openstack-vm--db-port--db) on host-b\n"
            "         allow by ingress rule 1 of np/openstack/db in tier default\n"
            "         {\"action\":\"Allow\",\"protocol\":\"TCP\",\"source\":{\"selector\":\"role == "
            "'web'\"},\"destination\":{\"ports\":[5432]}}\n");
  EXPECT_EQ(status_, 0);
  EXPECT_THAT(run_command({"trace", "tapweb", "10.65.0.8", "tcp/80"}),
              StartsWith("tcp 10.65.0.7:40000 -> 10.65.0.8:80: DENY\n"));
  EXPECT_THAT(run_command({"trace", "192.0.2.1", "port-db", "tcp/5432"}),
              HasSubstr("egress   no endpoint of the cluster has this address: nothing decides here\n"));
  const std::string shown = run_command({"trace", "port-web", "port-db", "udp/53", "-o", "json"});
  EXPECT_THAT(shown, HasSubstr("\"verdict\": \"deny\""));
  EXPECT_THAT(shown, HasSubstr("\"policy\": \"np/openstack/db\",\n    \"rule\": 0,\n"));
}

TEST_F(Commands, TraceMistakes) {
  run_command({"apply", "-f", "-"}, std::string(kCloud));
  EXPECT_EQ(run_command({"trace", "nobody", "port-db", "tcp/1"}),
            "no endpoint is called 'nobody' (give an address, or the name of a workload or host endpoint)\n");
  EXPECT_EQ(run_command({"trace", "port-web", "port-db", "tcp"}), "'tcp' needs a port, as in tcp/80\n");
  EXPECT_EQ(run_command({"trace", "port-web", "port-db", "tcp/x"}), "'x' is not a port number\n");
  EXPECT_EQ(run_command({"trace", "port-web", "fd00::1", "icmp"}),
            "the two ends have no addresses of one IP version\n");
  EXPECT_EQ(run_command({"trace", "port-web", "port-db", "foo/1"}),
            "unknown protocol 'foo/1', expected for example tcp/443, udp/53 or icmp\n");
}

TEST_F(Commands, PlanShowsChainsSetsAndRoutes) {
  run_command({"apply", "-f", "-"}, std::string(kCloud) +
                                        "---\napiVersion: projectcalico.org/v3\nkind: FelixConfiguration\n"
                                        "metadata: {name: default}\nspec: {interfacePrefix: tap}\n");
  const std::string text = run_command({"plan", "--node", "host-b"});
  EXPECT_EQ(status_, 0);
  EXPECT_THAT(text, HasSubstr("*filter\n"));
  EXPECT_THAT(text, HasSubstr(":cali-tw-tapdb - [0:0]\n"));
  EXPECT_THAT(text, HasSubstr("\n-A cali-tw-tapdb "));
  EXPECT_THAT(text, Not(HasSubstr("tapweb")));
  EXPECT_THAT(text,
              ::testing::ContainsRegex("create cali40s:[^ ]* hash:net family inet\nadd cali40s:[^ ]* 10.65.0.7/32\n"));
  EXPECT_THAT(text, HasSubstr("route 10.65.0.8/32 dev tapdb"));
  const std::string json = run_command({"plan", "--node", "host-b", "-o", "json"});
  EXPECT_THAT(json, HasSubstr("\"cali-tw-tapdb\": [\n"));
  EXPECT_THAT(run_command({"plan"}), StartsWith("Usage:\n  percalectl plan --node=<NAME>"));
}

TEST_F(Commands, PlanShowsHostEndpoints) {
  run_command({"apply", "-f", "-"},
              "apiVersion: projectcalico.org/v3\nkind: HostEndpoint\nmetadata: {name: a}\n"
              "spec: {node: host-b, interfaceName: eth7}\n"
              "---\napiVersion: projectcalico.org/v3\nkind: HostEndpoint\nmetadata: {name: b}\n"
              "spec: {node: host-b, expectedIPs: [192.0.2.1]}\n"
              "---\napiVersion: projectcalico.org/v3\nkind: FelixConfiguration\n"
              "metadata: {name: default}\nspec: {chainInsertMode: Append}\n");
  const std::string text = run_command({"plan", "--node", "host-b"});
  EXPECT_THAT(text, HasSubstr("--in-interface eth7 --goto cali-fh-eth7\n"));
  EXPECT_THAT(text, HasSubstr("\n-A cali-fh-eth7 "));
  EXPECT_THAT(text, HasSubstr("# HostEndpoint b is for the interfaces with one of its addresses"));
  EXPECT_THAT(text, HasSubstr("\n-A INPUT "));
  EXPECT_THAT(text, Not(HasSubstr("\n-I ")));
}

TEST_F(Commands, PlanShowsTunnels) {
  const auto node = [](std::string_view name, std::string_view address, std::string_view tunnel) {
    return "---\napiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: " + std::string(name) +
           "}\nspec: {bgp: {ipv4Address: " + std::string(address) + ", ipv4IPIPTunnelAddr: 10.65.9.9}, " +
           "ipv4VXLANTunnelAddr: " + std::string(tunnel) + "}\n";
  };
  run_command({"apply", "-f", "-"},
              std::string(kCloud) +
                  "---\napiVersion: projectcalico.org/v3\nkind: FelixConfiguration\n"
                  "metadata: {name: default}\nspec: {interfacePrefix: tap}\n" +
                  "---\napiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: guests}\n"
                  "spec: {cidr: 10.65.0.0/16, vxlanMode: CrossSubnet, ipipMode: Never}\n" +
                  node("host-a", "192.0.2.1/24", "10.65.9.1") + node("host-b", "198.51.100.2/24", "10.65.9.2"));
  const std::string text = run_command({"plan", "--node", "host-b"});
  EXPECT_EQ(status_, 0);
  EXPECT_THAT(text, HasSubstr("\ndevice vxlan.calico mtu 1450 address 10.65.9.2/32 vni 4096 port 4789 mac 66:"));
  EXPECT_THAT(text, HasSubstr(" local 198.51.100.2 dev (interface of 198.51.100.2)\n"));
  EXPECT_THAT(text, HasSubstr("\nneighbour 10.65.9.1 lladdr 66:"));
  EXPECT_THAT(text, ::testing::ContainsRegex("\nfdb 66:[0-9a-f:]* dst 192.0.2.1 dev vxlan.calico\n"));
  EXPECT_THAT(text,
              HasSubstr("\nroute 10.65.0.7/32 via 10.65.9.1 dev vxlan.calico proto 3 metric 0 mtu 1450 onlink\n"));
  EXPECT_THAT(text, Not(HasSubstr("tunl0")));
  run_command({"apply", "-f", "-"}, node("host-a", "198.51.100.1/24", "10.65.9.1"));  // now in one subnet
  EXPECT_THAT(
      run_command({"plan", "--node", "host-b"}),
      HasSubstr("\nroute 10.65.0.7/32 via 198.51.100.1 dev (interface of 198.51.100.2) proto 80 metric 0 onlink\n"));
  const std::string json = run_command({"plan", "--node", "host-b", "-o", "json"});
  EXPECT_THAT(json, HasSubstr("\"fdb\": [\n"));
}

TEST_F(Commands, ForeignCommandsGetTheirWords) {
  static std::vector<std::string> words;
  const ForeignCommand foreign[] = {{"lab", "", [](std::span<const std::string> args) {
                                       words.assign(args.begin(), args.end());
                                       return 7;
                                     }}};
  EXPECT_EQ(run("percalectl", std::vector<std::string>{"lab", "up", "--datastore", "x", "-l"}, environment_, foreign),
            7);
  EXPECT_THAT(words, ::testing::ElementsAre("up", "--datastore", "x", "-l"));
}

}  // namespace
}  // namespace cli
