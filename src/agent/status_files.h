// status_files.h: a file for each local guest that is up, for programs beside the agent (spec felix-agent §4.4).
//
//   DIRECTORY/<orchestrator> <workload> <endpoint>   each URL-escaped
//   {"ifaceName":"tap1","mac":"fa:16:3e:00:00:01","ipv4Nets":["10.65.0.2/32"],"ipv6Nets":[]}
//
// What is wanted comes in by set() and clear(); nothing is written before in_sync(), which also removes files that
// nobody wants. From then on the directory is looked at every kCheckInterval. What fails is tried again with back-off.
// On the edge thread: small files only.
#pragma once

#include <map>
#include <set>
#include <string>

#include "base/log.h"
#include "base/loop.h"
#include "model/endpoint.h"

namespace agent {

std::string status_file_name(const model::WorkloadInterface& interface);
std::string status_file_content(const model::WorkloadInterface& interface);

class StatusFiles {
 public:
  static constexpr base::Duration kCheckInterval = std::chrono::seconds(10);
  static constexpr base::Duration kFirstRetry = std::chrono::milliseconds(50);
  static constexpr base::Duration kLastRetry = std::chrono::seconds(5);

  StatusFiles(base::Loop& loop, base::Log& log, std::string directory);
  ~StatusFiles();
  StatusFiles(const StatusFiles&) = delete;
  StatusFiles& operator=(const StatusFiles&) = delete;

  void set(const std::string& name, std::string content);
  void clear(const std::string& name);
  void in_sync();

 private:
  void schedule(base::Duration delay);
  void work();
  base::Result<> look();
  base::Result<> bring_up_to_date(const std::string& name);

  base::Loop& loop_;
  base::Log& log_;
  const std::string directory_;
  std::map<std::string, std::string> wanted_;  // name -> content
  std::set<std::string> dirty_;
  bool in_sync_ = false;
  base::Instant next_look_{};
  int failures_ = 0;  // in a row
  base::TimerId timer_{};
};

}  // namespace agent
