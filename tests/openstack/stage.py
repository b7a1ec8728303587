"""What the steps of the demo have in common: narration, waiting, and the table at the end."""

import dataclasses
import textwrap
import time
import traceback


@dataclasses.dataclass
class Outcome:
    expected: str
    seen: str
    good: bool
    ms: int = None  # what the step is about; without it the step's own time counts


@dataclasses.dataclass
class Row:
    number: int
    title: str
    outcome: Outcome


def say(text):
    print('      ' + text, flush=True)


def until(holds, seconds=20, pause=0.01):
    """Milliseconds until it held; None if it does not within the time."""
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > seconds:
            return None
        time.sleep(pause)
    return round((time.monotonic() - started) * 1000)


def until_not(passes, seconds=20, pause=0.01):
    """Milliseconds until the first try that did not pass began; a try that does not is the slower one."""
    started = time.monotonic()
    while True:
        began = time.monotonic()
        if not passes():
            return round((began - started) * 1000)
        if began - started > seconds:
            return None
        time.sleep(pause)


class Stage:
    # number, step, expected, seen, ms
    WIDTHS = (4, 28, 32, 40, 7)

    def __init__(self):
        self.rows = []

    def step(self, title, body):
        """Runs one step and says how it went. A step that fails does not stop the show; later ones say more."""
        number = len(self.rows) + 1
        print('\n%-5s %s' % ('(%d)' % number, title), flush=True)
        started = time.monotonic()
        try:
            outcome = body()
        except Exception as problem:
            traceback.print_exc()
            outcome = Outcome('the step runs', '%s: %s' % (type(problem).__name__, str(problem).split('\n')[0][:200]), False)
        if outcome.ms is None:
            outcome.ms = round((time.monotonic() - started) * 1000)
        say('%s: %s (%d ms)' % ('good' if outcome.good else 'WRONG', outcome.seen, outcome.ms))
        self.rows.append(Row(number, title, outcome))
        return outcome.good

    def table(self):
        lines = [self._row('', 'step', 'expected', 'seen', '     ms', ''), '-' * (sum(self.WIDTHS) + 2 * len(self.WIDTHS) + 5)]
        lines += [self._row('(%d)' % row.number, row.title, row.outcome.expected, row.outcome.seen, '%7d' % row.outcome.ms,
                            'good' if row.outcome.good else 'WRONG') for row in self.rows]
        return '\n'.join(lines)

    def _row(self, *texts):
        columns = [textwrap.wrap(text, width) or [''] if width != self.WIDTHS[-1] else [text]
                   for text, width in zip(texts, self.WIDTHS)]
        columns.append([texts[-1]])
        height = max(map(len, columns))
        cells = [column + [''] * (height - len(column)) for column in columns]
        return '\n'.join('  '.join('%-*s' % pair for pair in zip((*self.WIDTHS, 5), line)).rstrip() for line in zip(*cells))

    def all_good(self):
        return all(row.outcome.good for row in self.rows)
