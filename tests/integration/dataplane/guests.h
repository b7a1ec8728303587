// guests.h: a few guests behind tap interfaces of one host, and probes that send real packets between them.
//
// The calling thread becomes the host: it enters a new network namespace. Everything is gone when the object is
// destroyed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ip.h"

namespace testing_world {

constexpr std::uint16_t kOpenPorts[] = {53, 80, 5000,
                                        5001};  // every guest receives on these, UDP and TCP, both families

struct Guest {
  std::string name;       // of its network namespace
  std::string interface;  // on the host
  base::IpAddress v4;
  base::IpAddress v6;
  base::MacAddress mac;
};

// One first packet of a flow.
struct Probe {
  std::size_t from = 0;
  std::size_t to = 0;
  base::Family family = base::Family::kIpv4;
  std::uint8_t protocol = 17;  // 1 means echo request of the family
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  bool passed = false;  // set by run()
};

class Guests {
 public:
  // REQUIRES: root, and no other thread runs yet.
  explicit Guests(std::size_t count);
  ~Guests();
  Guests(const Guests&) = delete;
  Guests& operator=(const Guests&) = delete;

  const std::vector<Guest>& all() const { return guests_; }
  // Sends every probe, waits until nothing can be under way any more, and sets `passed`. Forgets all connections first.
  void run(std::vector<Probe>& probes);

 private:
  struct Receiver {
    std::size_t guest;
    base::Fd udp;
    base::Fd tcp;
  };
  base::Fd in_guest(std::size_t guest, int family, int type, int protocol) const;
  void configure(std::size_t index);

  std::vector<Guest> guests_;
  std::vector<Receiver> receivers_;
};

}  // namespace testing_world
