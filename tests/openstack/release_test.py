#!/usr/bin/env python3
"""One release of Neutron from PyPI, run for real: the shim alone (shim_test) and with bridge and etcd (bridge_test).

`python3 tests/openstack/release_test.py 24|29|newest`; see release.py for what is fetched, and from where.
"""

import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import release  # noqa: E402

if __name__ == '__main__':
    os.environ['NEUTRON'] = sys.argv.pop(1)
    try:
        release.chosen()
    except RuntimeError as error:
        sys.exit(str(error))
    from bridge_test import BridgeTest  # noqa: F401
    from shim_test import ShimTest  # noqa: F401
    unittest.main(verbosity=2)
