#include "os/random.h"

#include <memory>
#include <random>

namespace os {

std::uint64_t random_seed() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32) | device();
}

std::function<double()> make_jitter() {
  return [engine = std::make_shared<std::minstd_rand>(static_cast<std::minstd_rand::result_type>(random_seed()))] {
    return std::uniform_real_distribution<double>(0.0, 1.0)(*engine);
  };
}

}  // namespace os
