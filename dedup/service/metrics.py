"""Numbers for Prometheus, of all processes together.

Each process adds to a row of its own in one small mapped file, and whoever is asked sums the rows:
no locks, and a process that was killed and started again goes on with its row.
"""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Upper bounds, in seconds, of how long requests take."""

ROUTES: Final = ("check", "submission", "review", "entry", "batch", "delivery", "other")
CLASSES: Final = ("2xx", "4xx", "5xx")
VERDICTS: Final = ("approved", "rejected", "pending")
STATES: Final = ("delivered", "failed", "waiting")
STATUSES: Final = ("undecodable", "truncated", "unsupported", "too_large", "not_image")

_HELP: Final = {
    "dedup_requests_total": "Requests, by route and class of their status.",
    "dedup_request_seconds": "Seconds until a request was answered.",
    "dedup_refused_total": "Requests that found no place (503).",
    "dedup_verdicts_total": "Verdicts of submissions.",
    "dedup_unreadable_total": "Pictures that could not be read, by status.",
    "dedup_deliveries_total": "Attempts to deliver webhooks, by what came of them.",
    "dedup_bytes_total": "Bytes of bodies that were read.",
}

_COUNTERS: Final[tuple[tuple[str, str], ...]] = (
    *(
        ("dedup_requests_total", f'route="{route}",status="{of}"')
        for route, of in product(ROUTES, CLASSES)
    ),
    ("dedup_refused_total", ""),
    *(("dedup_verdicts_total", f'verdict="{verdict}"') for verdict in VERDICTS),
    *(("dedup_unreadable_total", f'status="{status}"') for status in STATUSES),
    *(("dedup_deliveries_total", f'outcome="{state}"') for state in STATES),
    ("dedup_bytes_total", ""),
)
_PLACE: Final = {counter: k for k, counter in enumerate(_COUNTERS)}
_HISTOGRAMS: Final = {
    route: len(_COUNTERS) + k * (len(BUCKETS) + 2) for k, route in enumerate(ROUTES)
}
"""By route: where its buckets begin, with the count of slower ones and the sum behind them."""

WIDTH: Final = len(_COUNTERS) + len(ROUTES) * (len(BUCKETS) + 2)


class Metrics:
    """The counters of one process."""

    def __init__(self, path: Path, row: int) -> None:
        self._rows: NDArray[np.float64] = np.memmap(path, np.float64, "r+").reshape(-1, WIDTH)
        self._own = self._rows[row]

    @staticmethod
    def create(path: Path, n_processes: int) -> None:
        """A file with nothing counted."""
        path.write_bytes(bytes(8 * WIDTH * n_processes))

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """A request that was answered."""
        of = "5xx" if status >= 500 else "4xx" if status >= 400 else "2xx"
        self._add("dedup_requests_total", f'route="{route}",status="{of}"')
        if status == 503:
            self._add("dedup_refused_total", "")

        begin = _HISTOGRAMS[route]
        self._own[begin + int(np.searchsorted(BUCKETS, seconds))] += 1
        self._own[begin + len(BUCKETS) + 1] += seconds

    def count_verdict(self, verdict: str) -> None:
        """A submission that was decided."""
        self._add("dedup_verdicts_total", f'verdict="{verdict}"')

    def count_unreadable(self, status: str) -> None:
        """A picture that could not be read."""
        if status in STATUSES:
            self._add("dedup_unreadable_total", f'status="{status}"')

    def count_delivery(self, state: str) -> None:
        """An attempt to deliver."""
        self._add("dedup_deliveries_total", f'outcome="{state}"')

    def count_bytes(self, n: int) -> None:
        """A body that was read."""
        self._own[_PLACE["dedup_bytes_total", ""]] += n

    def text(self, gauges: Mapping[str, Mapping[str, float]]) -> str:
        """All of it in Prometheus's text format; `gauges`: values by name and bank."""
        total = self._rows.sum(axis=0)
        lines: list[str] = []
        for name in dict.fromkeys(name for name, _ in _COUNTERS):
            lines += [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} counter"]
            lines += [
                _line(name, labels, total[k]) for (of, labels), k in _PLACE.items() if of == name
            ]

        name = "dedup_request_seconds"
        lines += [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} histogram"]
        for route, begin in _HISTOGRAMS.items():
            lines += _histogram(name, route, total[begin : begin + len(BUCKETS) + 2])

        for name, values in gauges.items():
            lines.append(f"# TYPE {name} gauge")
            lines += [_line(name, f'bank="{_escaped(bank)}"', n) for bank, n in values.items()]

        return "\n".join(lines) + "\n"

    def _add(self, name: str, labels: str) -> None:
        self._own[_PLACE[name, labels]] += 1


def _histogram(name: str, route: str, counts: NDArray[np.float64]) -> list[str]:
    below = np.cumsum(counts[:-1])
    bounds = [*map(str, BUCKETS), "+Inf"]
    label = f'route="{route}"'

    return [
        *(
            _line(f"{name}_bucket", f'{label},le="{bound}"', n)
            for bound, n in zip(bounds, below, strict=True)
        ),
        _line(f"{name}_sum", label, counts[-1]),
        _line(f"{name}_count", label, below[-1]),
    ]


def _line(name: str, labels: str, value: float) -> str:
    shown = f"{{{labels}}}" if labels else ""
    return f"{name}{shown} {float(value):.15g}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
