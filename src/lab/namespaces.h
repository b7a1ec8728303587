// namespaces.h: the nodes of a lab (hosts, guests, router, etcd), each a process that holds a network, mount, process
// and host-name namespace, and running programs in them.
//
// The holder is process 1 of its node: killing it ends every program of the node and frees its namespaces and
// interfaces, so nothing needs to be undone one by one. It is found by its command line, which also works after a crash
// of `up`:
//   <program> lab __holder LAB NODE …
#pragma once

#include <sys/types.h>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace lab {

// Files of one lab: ROOT/LAB/nodes/NODE/…
struct Paths {
  std::string lab;
  std::string root = "/run/percale-lab";

  std::string directory() const { return root + "/" + lab; }
  std::string node(std::string_view name) const { return directory() + "/nodes/" + std::string(name); }
  std::string probe_socket(std::string_view guest) const { return node(guest) + "/probe.sock"; }
  std::string pid_file(std::string_view node_name, std::string_view program) const {
    return node(node_name) + "/" + std::string(program) + ".pid";
  }
  std::string log(std::string_view node_name, std::string_view program) const {
    return node(node_name) + "/" + std::string(program) + ".log";
  }
};

// What a holder mounts for itself: hosts get private /run, /etc/calico, /var/lib/calico and /etc/bird.
enum class NodeKind { kHost, kGuest, kPlain };

struct Node {
  std::string name;
  pid_t holder = -1;
};

// Returns when the node is ready: namespaces made, loopback up, the probe socket of a guest listening.
base::Result<Node> start_node(const Paths& paths, std::string_view name, NodeKind kind);
void stop_node(const Node& node);
void stop_nodes(const std::map<std::string, Node>& nodes);

// All holders of a lab that are alive, by node name.
std::map<std::string, Node> find_nodes(std::string_view lab);

enum class Enter {
  kNetwork,  // only the network: files and process ids are the caller's
  kAll,
};

struct Program {
  std::vector<std::string> arguments;
  std::vector<std::string> environment = {};  // "NAME=value", on top of the caller's
  std::string input = {};
  Enter enter = Enter::kAll;
};

struct Ended {
  int status = -1;  // 128 + signal if one ended it
  std::string output;
  std::string errors;
};

base::Result<Ended> run_in(const Node& node, const Program& program);
// Like run_in, but any exit status other than 0 is an error that carries what the program said.
base::Result<std::string> must_run_in(const Node& node, const Program& program);
// On the caller's own standard streams; returns the exit status.
base::Result<int> run_interactive_in(const Node& node, const Program& program);
// A program that stays; its output goes to `log_path`. Returns its process id as the caller sees it. The node reaps it.
base::Result<pid_t> start_in(const Node& node, const Program& program, const std::string& log_path);
// `ip -batch -` in the node's network; the lines are ip commands. "{NODE}" is not expanded: give process ids.
base::Result<> ip_batch(const Node& node, const std::string& lines);

// Runs a small function in a child process that is in the node's network, and returns its exit status. For system calls
// that have no program: sysctls (/proc/sys/net shows the caller's network), a socket.
base::Result<int> call_in(const Node& node, const std::function<int()>& function);
base::Result<> write_sysctls(const Node& node, const std::vector<std::pair<std::string, std::string>>& values);

// A descriptor that `make` opened while it was in the node's network (a socket stays where it was made); `make` returns
// -1 and sets errno if it could not.
base::Result<base::Fd> socket_in(const Node& node, const std::function<int()>& make);

// The caller's process itself moves into the node's network. REQUIRES: no threads yet.
base::Result<> enter_network(const Node& node);

// The program that runs now, as an absolute path.
std::string own_program();

}  // namespace lab
