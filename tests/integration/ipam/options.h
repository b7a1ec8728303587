// options.h: what the test program's command line can change.
#pragma once

namespace ipam_test {

// How many nodes hear of a pool at once: --nodes=N. The thousand of a large cloud take etcd half a minute of processor
// time.
inline int nodes_at_once = 200;

}  // namespace ipam_test
