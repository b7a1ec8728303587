#!/usr/bin/env python3
"""Reads the layering and the banned calls off the source: `check_sources.py ROOT`.

A module may include only modules that stand before it in ORDER, and a pure module never a shell module, so that the core can run
in the agent, the simulator and the offline commands alike. Exits 1 with one line per offence: file, line, what, what to do instead.
`--self-test` proves that each rule catches an offence.
"""
import pathlib
import re
import sys

ORDER = ['base', 'testing', 'os', 'model', 'config', 'calc', 'render', 'reconcile', 'store', 'ipam', 'kernel', 'dataplane', 'bgp', 'dhcp', 'node', 'neutron', 'agent', 'cli', 'lab']
PURE = {'base', 'model', 'config', 'calc', 'render', 'reconcile'}
# Pure folders inside shell modules: they may include pure modules and themselves.
PURE_FOLDERS = ('src/neutron/translate/',)
# What a pure module may include although it stands later, or a shell module although it is not below: none today.
EXCEPTIONS: set[tuple[str, str]] = set()

# Call, where it may stand, what to use instead.
BANNED = [
    (r'\bstd::system\s*\(|(?<!Error )(?<!::)(?<![\w.])system\s*\(', (), 'os::Process with an argument vector'),
    (r'\bpopen\s*\(', (), 'os::Process'),
    (r'\b(sleep|usleep|nanosleep)\s*\(|sleep_for\s*\(|sleep_until\s*\(', ('src/testing/', 'tests/', 'src/lab/'), 'Loop::after'),
    (r'steady_clock::now\s*\(|system_clock::now\s*\(', ('src/os/', 'src/testing/', 'tests/', 'src/lab/', '_bench.cc'), 'Clock::now, handed in'),
    (r'\b(std::)?s?rand\s*\(|random_device', ('src/testing/', 'tests/', 'src/os/'), 'a generator handed in'),
    (r'\b(std::)?getenv\s*\(|\bsecure_getenv\s*\(', ('src/os/', 'src/testing/'), 'os::environment, read once in main'),
    (r'std::endl\b', (), r"'\n'"),
]
PURE_BANNED = [
    (r'#include <(mutex|thread|condition_variable|shared_mutex|future)>', ('src/base/mailbox.h', 'src/base/metrics'), 'values through a Mailbox'),
    (r'#include <(fstream|filesystem|iostream|unistd\.h|sys/socket\.h|fcntl\.h)>', ('src/base/fd.cc',), 'a port, implemented in a shell module'),
    (r'#include <random>', (), 'a generator handed in by the test'),
    (r'#include "base/log\.h"', (), 'a Diagnostic in the result'),
]
INCLUDE = re.compile(r'#include "([a-z_]+)/')


def is_test(path: str) -> bool:
    return path.startswith('tests/') or bool(re.search(r'_(test|bench|fuzz)\.cc$|/testing_\w+\.h$', path))


def module_of(path: str) -> str | None:
    parts = path.split('/')
    return parts[1] if parts[0] == 'src' and len(parts) > 2 else None


def strip_comments(line: str) -> str:
    return re.sub(r'"(\\.|[^"\\])*"', '""', line.split('//')[0]) if '#include' not in line else line


def offences(path: str, text: str):
    module = module_of(path)
    for number, raw in enumerate(text.splitlines(), 1):
        line = strip_comments(raw)
        found = INCLUDE.search(line)
        if found and module and found.group(1) in ORDER and found.group(1) != module:
            target = found.group(1)
            allowed = (module, target) in EXCEPTIONS or (is_test(path) and target == 'testing')
            if target == 'testing' and not is_test(path) and module != 'testing':
                yield number, f'{module} includes testing', 'only tests link the testing library'
            elif module in PURE and target not in PURE and not allowed:
                yield number, f'pure module {module} includes shell module {target}', 'move the I/O out, or hand in an interface from base'
            elif module != 'testing' and module in ORDER and ORDER.index(target) > ORDER.index(module) and not allowed:
                yield number, f'{module} includes {target}, which stands after it', 'turn the dependency round'
        inner = path.startswith(PURE_FOLDERS)
        if inner and not is_test(path) and found and found.group(1) not in PURE:
            if f'src/{line.split(chr(34))[1]}'.rpartition('/')[0] + '/' not in PURE_FOLDERS:
                yield number, f'pure folder includes {line.split(chr(34))[1]}', 'move the I/O out, or hand in an interface from base'
        rules = BANNED + (PURE_BANNED if (module in PURE or inner) and not is_test(path) else [])
        for pattern, places, instead in rules:
            if re.search(pattern, line) and not any(place in path for place in places):
                yield number, f'banned here: {line.strip()}', instead


def check(root: pathlib.Path) -> int:
    count = files = 0
    for path in sorted([*root.glob('src/**/*'), *root.glob('tests/**/*')]):
        if path.suffix not in ('.cc', '.h'):
            continue
        files += 1
        name = path.relative_to(root).as_posix()
        for number, what, instead in offences(name, path.read_text()):
            count += 1
            print(f'{name}:{number}: {what}; use instead: {instead}')
    print(f'{files} files, {count} offences')
    return 1 if count or not files else 0


def self_test() -> int:
    bad = [
        ('src/calc/a.cc', '#include "store/store.h"'),
        ('src/model/a.cc', '#include "calc/output.h"'),
        ('src/calc/a.h', '#include <thread>'),
        ('src/calc/a.cc', '#include "base/log.h"'),
        ('src/kernel/a.cc', 'std::system("ip link");'),
        ('src/kernel/a.cc', 'if (system(command) != 0) return;'),
        ('src/kernel/a.cc', 'auto now = std::chrono::steady_clock::now();'),
        ('src/agent/a.cc', 'const char* home = getenv("HOME");'),
        ('src/agent/a.cc', 'out << std::endl;'),
        ('src/agent/a.cc', '#include "testing/sim_loop.h"'),
        ('src/neutron/translate/a.cc', '#include "neutron/context.h"'),
        ('src/neutron/translate/a.cc', '#include <thread>'),
    ]
    good = [
        ('src/calc/a.cc', '#include "model/policy.h"'),
        ('src/calc/a_test.cc', '#include "testing/sim_loop.h"'),
        ('src/neutron/translate/a.cc', '#include "neutron/translate/names.h"'),
        ('src/kernel/a.cc', '// never call system() here'),
        ('src/kernel/a.cc', 'return fail(Error::system(errno, "open"));'),
        ('src/os/clock.cc', 'std::chrono::steady_clock::now()'),
    ]
    missed = [case for case in bad if not list(offences(*case))]
    wrong = [case for case in good if list(offences(*case))]
    for case in missed:
        print('not caught:', case)
    for case in wrong:
        print('wrongly caught:', case)
    print(f'{len(bad)} offences tried, {len(missed)} missed; {len(good)} clean lines tried, {len(wrong)} refused')
    return 1 if missed or wrong else 0


if __name__ == '__main__':
    sys.exit(self_test() if '--self-test' in sys.argv else check(pathlib.Path(sys.argv[1])))
