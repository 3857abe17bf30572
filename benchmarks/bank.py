"""The bank: what a query, a check, an add and a kill cost, against other tools, in one run.

    python -m benchmarks.bank                       every row (about half an hour; 10**8 codes need
    6 GB) python -m benchmarks.bank --rows query check    only these python -m benchmarks.bank
    --size 1e6            at most so many codes or entries

Rows: query, peers, check, open, adds, build, seen, race, kills, portable, signs, outlines. Each
runs in a process of its own. What is missing is said to be missing. Seconds are wall time of one
process; run it on an idle machine.
"""

import argparse
import io
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dedup.search import Index

DATA: Final = Path(__file__).parents[2] / "shared" / "data"
_QUERIES: Final = 300


def say(*cells: object) -> None:
    """A line of the table."""
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def milliseconds(run: Callable[[int], object], n: int) -> tuple[float, float]:
    """Median and 99th percentile of n calls, after one that does not count."""
    run(0)
    taken = np.empty(n)
    for k in range(n):
        begin = time.perf_counter()
        run(k)
        taken[k] = time.perf_counter() - begin
    return float(np.median(taken) * 1e3), float(np.quantile(taken, 0.99) * 1e3)


def codes_of(n: int, seed: int = 0) -> NDArray[np.uint64]:
    """Uniform codes of 64 bits, (n, 1)."""
    return np.random.default_rng(seed).integers(0, 2**64, (n, 1), dtype=np.uint64)


def query(size: int) -> None:
    """One exact query, one thread."""
    say("codes", "radius", "median ms", "p99 ms", "GB", "goal")
    goals = {(10**6, 16): 0.3, (10**7, 16): 1.5, (10**8, 16): 15.0, (10**7, 12): 0.4}
    for n in (10**6, 10**7, 10**8):
        if n > size:
            say(f"{n:,}", "not run: above --size")
            continue
        index = Index.build(codes_of(n))
        asked = codes_of(_QUERIES, 1)
        for radius in (16, 12, 8):
            median, worst = milliseconds(partial(_near, index, asked, radius), _QUERIES)
            goal = goals.get((n, radius), "")
            say(
                f"{n:,}",
                radius,
                f"{median:.3f}",
                f"{worst:.2f}",
                f"{index.n_bytes / 1e9:.2f}",
                goal,
            )


def _near(index: Index, asked: NDArray[np.uint64], radius: int, k: int) -> object:
    return index.near(asked[k], radius)


def peers(size: int) -> None:
    """The same query by other tools, those that are installed."""
    n = min(size, 10**7)
    codes, asked = codes_of(n), codes_of(_QUERIES, 1)
    index = Index.build(codes)
    ours, _ = milliseconds(lambda k: index.near(asked[k], 16), _QUERIES)
    say("tool", "codes", "median ms", "ours is faster by", "recall")
    say("dedup", f"{n:,}", f"{ours:.3f}", 1, 1)
    packed, questions = codes.view(np.uint8), asked.view(np.uint8)
    _faiss(packed, questions, ours)
    _usearch(packed[: 10**6], questions, codes[: 10**6], asked)
    _postgres(codes[: min(n, 10**6)], asked)


def _faiss(packed: Any, questions: Any, ours: float) -> None:
    try:
        import faiss
    except ImportError:
        say("faiss IndexBinaryFlat", "not installed")
        return
    faiss.omp_set_num_threads(1)
    flat = faiss.IndexBinaryFlat(64)
    flat.add(packed)
    median, _ = milliseconds(lambda k: flat.range_search(questions[k : k + 1], 17), 40)
    say(
        "faiss IndexBinaryFlat.range_search",
        f"{len(packed):,}",
        f"{median:.2f}",
        f"{median / ours:.1f} x",
        1,
    )


def _usearch(packed: Any, questions: Any, codes: Any, asked: Any) -> None:
    try:
        from usearch.index import Index as Graph
        from usearch.index import search
    except ImportError:
        say("usearch", "not installed")
        return
    index = Index.build(codes)
    ours, _ = milliseconds(lambda k: index.near(asked[k], 16), _QUERIES)
    median, _ = milliseconds(
        lambda k: search(packed, questions[k], 10, "hamming", exact=True, threads=1), 10
    )
    say("usearch exact, k = 10", f"{len(packed):,}", f"{median:.1f}", f"{median / ours:.0f} x", 1)
    few = packed[:100_000]
    graph = Graph(ndim=64, metric="hamming", dtype="b1")
    graph.add(np.arange(len(few)), few, threads=1)
    flips = 12
    rng = np.random.default_rng(3)
    found = 0
    for k in range(500):
        copy = few[k].copy()
        for bit in rng.choice(64, flips, replace=False):
            copy[bit // 8] ^= 1 << (bit % 8)
        found += k in graph.search(copy, 10).keys
    say(f"usearch HNSW, copies at {flips} bits", f"{len(few):,}", "", "", found / 500)


def _postgres(codes: Any, asked: Any) -> None:
    """bit_count by sequential scan, in a cluster of its own; pgvector where it is installed."""
    initdb = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
    if initdb is None:
        say("PostgreSQL bit_count", "not installed")
        return
    index = Index.build(codes)
    ours, _ = milliseconds(lambda k: index.near(asked[k], 16), _QUERIES)
    try:
        taken, vector = _asked_postgres(initdb.parent, codes, asked)
    except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        say("PostgreSQL bit_count", f"could not be run: {error}")
        return
    say(
        "PostgreSQL bit_count(code # q) <= 16",
        f"{len(codes):,}",
        f"{taken:.0f}",
        f"{taken / ours:.0f} x",
        1,
    )
    say("pgvector HNSW", vector)


def _asked_postgres(binaries: Path, codes: Any, asked: Any) -> tuple[float, str]:
    user = ["runuser", "-u", "postgres", "--"]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o777)

        def run(*command: str, given: str | None = None) -> str:
            done = subprocess.run(
                [*user, *command],
                input=given,
                capture_output=True,
                text=True,
                check=True,
                cwd=place,
                timeout=240,
            )
            return done.stdout

        run(str(binaries / "initdb"), "-D", str(place / "data"), "-A", "trust")
        options = f"-k {place} -c listen_addresses='' -c max_parallel_workers_per_gather=0"
        run(
            str(binaries / "pg_ctl"),
            "-D",
            str(place / "data"),
            "-o",
            options,
            "-l",
            str(place / "log"),
            "-w",
            "start",
        )
        try:
            psql = ["psql", "-h", str(place), "-d", "postgres", "-At"]
            rows = "\n".join(np.binary_repr(int(code), 64) for code in codes[:, 0])
            run(*psql, "-c", "CREATE TABLE t (code bit(64))")
            run(*psql, "-c", "COPY t FROM STDIN", given=rows)
            question = np.binary_repr(int(asked[0, 0]), 64)
            statement = f"SELECT count(*) FROM t WHERE bit_count(code # B'{question}') <= 16"
            lines = run(*psql, given="\\timing on\n" + f"{statement};\n" * 5).splitlines()
            times = [float(line.split()[1]) for line in lines if line.startswith("Time:")]
            known = run(
                *psql, "-c", "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'"
            ).strip()
            return float(np.median(times)), (
                "installed, not measured" if known != "0" else "not installed"
            )
        finally:
            run(str(binaries / "pg_ctl"), "-D", str(place / "data"), "-m", "immediate", "stop")


def large_bank(folder: Path, n: int) -> Path:
    """A bank of n entries with random codes and signs, made once."""
    from dedup.bank import Bank
    from dedup.bank.store import INSERT

    path = folder / f"{n}.bank"
    if path.exists():
        return path
    rng = np.random.default_rng(7)
    with Bank.create(path) as bank:
        for start in range(0, n, 200_000):
            m = min(200_000, n - start)
            codes, signs = rng.bytes(16 * m), rng.bytes(68 * m)
            digests = rng.bytes(64 * m)
            with bank._store.write() as connection:
                connection.executemany(
                    INSERT,
                    (
                        (
                            start + k + 1,
                            f"e/{start + k}",
                            None,
                            None,
                            640,
                            480,
                            "JPEG",
                            digests[64 * k : 64 * k + 32],
                            digests[64 * k + 32 : 64 * k + 64],
                            50.0,
                            codes[16 * k : 16 * k + 16],
                            signs[68 * k : 68 * k + 68],
                            None,
                            0.0,
                        )
                        for k in range(m)
                    ),
                )
        bank.compact(everything=True, threads=2)
    return path


def pictures(n: int) -> list[bytes]:
    """JPEGs of 500 × 375 of about 30 KB."""
    from PIL import Image

    found = []
    for path in sorted((DATA / "caltech101" / "images").glob("*/*.jpg"))[:: max(1, 9000 // n)][:n]:
        with Image.open(path) as image:
            sink = io.BytesIO()
            image.convert("RGB").resize((500, 375)).save(sink, "JPEG", quality=80)
            found.append(sink.getvalue())
    return found


def check(size: int) -> None:
    """From bytes to answer."""
    from dedup.bank import Bank

    n, asked = min(size, 10**6), pictures(_QUERIES)
    with Bank(large_bank(WORK, n), read_only=True) as bank:
        median, worst = milliseconds(lambda k: bank.check(asked[k]), len(asked))
        kb = sum(map(len, asked)) / len(asked) / 1e3
        say(
            "check of a JPEG of 500 x 375",
            f"{kb:.0f} KB",
            f"{n:,} entries",
            "median ms",
            "p99 ms",
            "goal",
        )
        say("", "", "", f"{median:.2f}", f"{worst:.2f}", "5 and 15")


def open_(size: int) -> None:
    """Opening, and the memory of a process that only checks."""
    n = min(size, 10**7)
    path, (asked,) = large_bank(WORK, n), pictures(1)
    (WORK / "asked.jpg").write_bytes(asked)
    script = (
        "import sys, time\nfrom dedup.bank import Bank\nBank(sys.argv[1],"
        " read_only=True).check(sys.argv[2])\nbegin = time.perf_counter()\nbank = Bank(sys.argv[1],"
        " read_only=True)\nwith bank._store.read() as connection:"
        " bank._store.snapshot(connection)\nopened = time.perf_counter() - begin\nfor _ in"
        " range(200): bank.check(sys.argv[2])\nkept = [int(l.split()[1]) for l in"
        " open('/proc/self/status') if l.startswith('RssAnon')][0]\nprint(f'{opened * 1e3:.1f}"
        " {kept / 1e3:.0f}')\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", script, str(path), str(WORK / "asked.jpg")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    say("open", f"{n:,} entries", f"{out[0]} ms", "goal 20 ms")
    say("memory of a process that checks, mapped files apart", f"{out[1]} MB", "goal 200 MB")


def adds(size: int) -> None:
    """Durable adds, in groups of 32 and one by one."""
    from dedup.bank import Bank
    from tests.bank.made import random_picture

    rng = np.random.default_rng(1)
    made = [random_picture(rng) for _ in range(3_200)]
    shutil.rmtree(WORK / "adds.bank", ignore_errors=True)
    with Bank.create(WORK / "adds.bank") as bank:
        for group in (32, 1):
            some = made if group == 32 else made[:100]
            begin = time.perf_counter()
            for start in range(0, len(some), group):
                with bank.writing():
                    for k, picture in enumerate(some[start : start + group]):
                        bank.add(picture, f"{group}/{start + k}")
            rate = len(some) / (time.perf_counter() - begin)
            say(
                f"durable adds, groups of {group}",
                f"{rate:,.0f} a second",
                "goal 2,000" if group == 32 else "",
            )


def build(size: int) -> None:
    """Bulk build against hashing alone."""
    from dedup.bank import Bank, building
    from dedup.tables.entries import BankSpec

    images = DATA / "caltech101" / "images"
    seconds = []
    for made in (False, True, False, True):
        begin = time.perf_counter()
        if made:
            shutil.rmtree(WORK / "build.bank", ignore_errors=True)
            Bank.build(WORK / "build.bank", images).close()
        else:
            source, config = building.opened([images], {})
            for _ in building.of_source(source, BankSpec(), config):
                pass
        seconds.append(time.perf_counter() - begin)
    hashing, building_ = min(seconds[0::2]), min(seconds[1::2])
    say(
        "bulk build",
        f"{hashing / building_:.1%} of the speed of hashing",
        "goal 85 %",
        f"{building_:.1f} s",
    )


def seen(size: int) -> None:
    """An added entry is found by the next check of another process."""
    from dedup.bank import Bank
    from tests.bank.one_process import picture

    rounds = 10_000 if size >= 10**6 else 500
    shutil.rmtree(WORK / "seen.bank", ignore_errors=True)
    Bank.create(WORK / "seen.bank").close()
    script = (
        "import sys\nfrom dedup.bank import Bank\nfrom tests.bank.one_process import picture\n"
        "bank = Bank(sys.argv[1], read_only=True)\n"
        "for line in sys.stdin:\n"
        "    answer = bank.check(picture(int(line)))\n"
        "    print(sum(match.id == line.strip() for match in answer.matches), flush=True)\n"
    )
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(WORK / "seen.bank")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    missed = 0
    with Bank(WORK / "seen.bank") as bank:
        for number in range(rounds):
            bank.add(picture(number), str(number))
            for reader in readers:
                assert_pipe(reader.stdin).write(f"{number}\n")
                assert_pipe(reader.stdin).flush()
            missed += sum(
                assert_pipe(reader.stdout).readline().strip() != "1" for reader in readers
            )
    for reader in readers:
        reader.communicate()
    say(
        "added, then asked of two other processes",
        f"{rounds:,} rounds",
        f"{missed} missed",
        "goal 0",
    )


def assert_pipe(pipe: Any) -> Any:
    """A pipe that is there."""
    if pipe is None:
        message = "the process has no pipe"
        raise RuntimeError(message)
    return pipe


def race(size: int) -> None:
    """64 processes with the same pictures at the same moments."""
    from collections import Counter

    from dedup.bank import Bank

    n, rounds = (64, 20) if size >= 10**6 else (8, 10)
    shutil.rmtree(WORK / "race.bank", ignore_errors=True)
    Bank.create(WORK / "race.bank").close()
    command = [
        sys.executable,
        "-m",
        "tests.bank.one_process",
        "submit",
        str(WORK / "race.bank"),
        str(rounds),
    ]
    processes = [
        subprocess.Popen(
            [*command, f"p{k}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for k in range(n)
    ]
    for process in processes:
        assert_pipe(process.stdout).readline()
    start = time.time() + 1
    for process in processes:
        assert_pipe(process.stdin).write(f"{start}\n")
        assert_pipe(process.stdin).flush()
    lines = [
        line.split() for process in processes for line in process.communicate()[0].splitlines()
    ]
    approved = Counter(number for number, verdict in lines if verdict == "approved")
    wrong = sum(approved[str(number)] != 1 for number in range(rounds))
    say(
        f"{n} equal pictures at once, {n} processes",
        f"{rounds} rounds",
        f"{wrong} with other than one",
        "goal 0",
    )


def kills(size: int) -> None:
    """Kills at random moments of adds, compactions and exports."""
    from dedup.bank import Bank
    from dedup.tables.entries import read_portable

    n = 200 if size >= 10**6 else 10
    path, target = WORK / "kills.bank", WORK / "kills.bank.parquet"
    shutil.rmtree(path, ignore_errors=True)
    target.unlink(missing_ok=True)
    Bank.create(path).close()
    rng, acknowledged, lost, extra, broken, torn = random.Random(1), 0, 0, 0, 0, 0
    known: set[str] = set()
    for kill in range(n):
        command = [sys.executable, "-m", "tests.bank.one_process", "work", str(path)]
        process = subprocess.Popen(
            [*command, str(10**6 * (kill + 1)), str(target)], stdout=subprocess.PIPE, text=True
        )
        known.add(assert_pipe(process.stdout).readline().strip())
        time.sleep(rng.uniform(0, 0.15))
        process.kill()
        known |= set(assert_pipe(process.stdout).read().split())  # with what was read ahead
        process.wait()
        with Bank(path) as bank:
            ids = {entry.id for entry in bank.entries(limit=10**7)}
            broken += kill % 10 == 9 and not bank.verify().is_whole
        acknowledged = len(known)
        lost += len(known - ids)
        extra = len(ids - known)
        torn += target.exists() and len(read_portable(target)[1]) > len(ids)
    say(
        f"{n} kills",
        f"{acknowledged:,} acknowledged",
        f"{lost} lost",
        f"{broken} not whole",
        f"{torn} torn exports",
    )
    say("", f"{extra} committed and not yet acknowledged (at most one for each kill)")


def portable(size: int) -> None:
    """Bytes an entry, and the audit of hashed pictures against a portable bank."""
    from dedup.bank import Bank

    n, own = min(size, 730_000), min(size, 10**6)
    target = WORK / "portable.bank.parquet"
    with Bank(large_bank(WORK, n), read_only=True) as bank:
        bank.export(target, overwrite=True)
    say(
        "portable bank",
        f"{n:,} entries",
        f"{target.stat().st_size / n:.1f} bytes an entry",
        "goal 100",
    )
    command = [sys.executable, "-m", "benchmarks.bank_audit", str(target), str(own)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    say(
        f"audit of {own:,} hashed pictures against {n:,}",
        f"{out[0]} s",
        f"{out[1]} GB at the peak",
        "goal 60 s, 1 GB",
    )


def signs(size: int) -> None:
    """Verification by signs against that of thumbnails, on edited photos and on CIFAR-10."""
    from benchmarks import bank_signs

    for row in bank_signs.rows(DATA, 250 if size >= 10**6 else 60):
        say(*row)


def outlines(size: int) -> None:
    """What can be seen of a portable bank: pictures made again from their signs."""
    from benchmarks import bank_signs

    where = bank_signs.reconstructed(DATA, Path("docs/bank-outlines.png"))
    say("pictures made again from 68 bytes of signs", where)


ROWS: Final[dict[str, Callable[[int], None]]] = {
    "query": query,
    "peers": peers,
    "check": check,
    "open": open_,
    "adds": adds,
    "build": build,
    "seen": seen,
    "race": race,
    "kills": kills,
    "portable": portable,
    "signs": signs,
    "outlines": outlines,
}
WORK = Path(tempfile.gettempdir()) / "dedup-bank-benchmark"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS))
    parser.add_argument("--size", type=float, default=1e8)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    WORK.mkdir(exist_ok=True)
    for name in asked.rows:
        if asked.inside:
            ROWS[name](int(asked.size))
            continue
        print(f"\n{name}: {(ROWS[name].__doc__ or '').strip()}", flush=True)
        command = [
            sys.executable,
            "-m",
            "benchmarks.bank",
            "--inside",
            "--size",
            str(asked.size),
            "--rows",
            name,
        ]
        done = subprocess.run(command, check=False)
        if done.returncode:
            print(f"{name} failed", flush=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    if not asked.inside:
        print(f"\nlargest process: {peak:.1f} GB")


if __name__ == "__main__":
    main()
