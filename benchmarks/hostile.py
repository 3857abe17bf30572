"""What hostile files cost: seconds and memory for each of a folder, in a process of its own as a
worker is.

    python -m benchmarks.hostile [--folder DIR]

Each file is measured alone, in both modes, and the highest memory of the process meanwhile is taken
(Linux only).
"""

import argparse
import time
from collections import Counter
from pathlib import Path

from dedup.hashers.measure import measure
from dedup.hashers.setup import Setup


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("../shared/data/photos"))
    options = parser.parse_args()
    files = sorted(path for path in options.folder.rglob("*") if path.is_file())
    for mode in ("fast", "compat"):
        setup = Setup(("ahash", "phash", "dhash", "whash"), 64, mode, "#ffffff", 100_000_000)
        measure([files[0].read_bytes()], setup)
        before = peak()
        statuses: Counter[str] = Counter()
        cost: list[tuple[float, int, str]] = []
        for path in files:
            data = path.read_bytes()
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts again
            start = time.perf_counter()
            statuses[measure([data], setup)["status"][0].as_py()] += 1
            cost.append((time.perf_counter() - start, peak(), path.name))
        print(
            f"{mode}: {len(files)} files, {dict(statuses)}; the process had {before / 1e6:.0f} MB"
            " before"
        )
        for seconds, n_bytes, name in sorted(cost, reverse=True)[:3]:
            print(f"  slowest: {seconds:.2f} s, {n_bytes / 1e6:.0f} MB, {name}")
        for seconds, n_bytes, name in sorted(cost, key=lambda one: -one[1])[:3]:
            print(f"  largest: {seconds:.2f} s, {n_bytes / 1e6:.0f} MB, {name}")


def peak() -> int:
    """Bytes of this process at its peak."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (found,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return 1024 * int(found)


if __name__ == "__main__":
    main()
