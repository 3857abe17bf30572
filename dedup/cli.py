"""The command line: arguments → config → pipeline. Only this file prints and picks exit codes."""

import functools
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, ParamSpec

import typer
from rich.console import Console
from rich.logging import RichHandler

from dedup import config as configuration
from dedup import console
from dedup.errors import ConfigError, DedupError
from dedup.versions import DEDUP_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dedup.clock import Observer
    from dedup.report.verdict import Verdict
    from dedup.result import Run

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
LEAKS: Final = 3
UNREADABLE: Final = 4
INTERRUPTED: Final = 130

_STDOUT: Final = Path("-")
_WORST: Final = 5  # leaks printed when the gate is closed

P = ParamSpec("P")

_out = Console(emoji=False)  # `:smile:` in a file's name is that name
_err = Console(stderr=True, emoji=False)

app = typer.Typer(
    name="dedup",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Find exact and near-duplicates and train/test leakage in image datasets, and write the clean splits. "
    "To begin: dedup demo, or dedup audit FOLDER.",
    epilog="Exit codes: 0 done · 1 failed · 2 usage or config · 3 a held-out split leaks more than gate.max_leakage, "
    "or gate.certified is not met · 4 more is unreadable than gate.max_unreadable (3 if both) · 130 Ctrl-C. "
    "With 3 and 4 everything is written.",
)

Output = Annotated[Path | None, typer.Option("--output", "-o", help="Folder for the tables, splits and report.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one setting, e.g. search.max_distance=8. Repeatable."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", metavar="", help="Replace another run in the output folder.")]
Workers = Annotated[int | None, typer.Option("--workers", min=0, help="Processes that hash; one per core by default.")]
Explain = Annotated[
    bool, typer.Option("--explain", metavar="", help="Print how the codes are searched and what it should take.")
]
Json = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the summary and the gate's verdict as JSON; - is stdout."),
]
Junit = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="Write the gate's checks as a JUnit file; - is stdout.")
]
Markdown = Annotated[
    Path | None,
    typer.Option("--markdown", metavar="FILE", help="Write a page for a pull request; - is stdout."),
]
MaxLeakage = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="Exit with 3 when a larger share (0 to 1) of a held-out split is in train."),
]
MaxUnreadable = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="Exit with 4 when a larger share (0 to 1) of the samples is unreadable."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Print errors only.")]


def main() -> None:
    """Entry point of the `dedup` command."""
    app()


def _guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Turn dedup's errors into one clear message and an exit code."""

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except ConfigError as error:
            for problem in error.problems:
                _err.print(f"[red]Error:[/] {_message(problem)}", soft_wrap=True)
            raise typer.Exit(USAGE) from error
        except DedupError as error:
            _err.print(f"[red]Error:[/] {_message(str(error))}", soft_wrap=True)
            raise typer.Exit(FAILED) from error
        except OSError as error:
            where = f" ({error.filename!r})" if error.filename else ""
            _err.print(f"[red]Error:[/] {_message(str(error.strerror or error) + where)}.", soft_wrap=True)
            raise typer.Exit(FAILED) from error
        except KeyboardInterrupt:
            _err.print("Interrupted. Run the same command again: it goes on with what was hashed.")
            raise typer.Exit(INTERRUPTED) from None

    return guarded


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", metavar="", help="Print the version and exit.")] = False,  # noqa: FBT002
) -> None:
    if version:
        _out.print(f"dedup {DEDUP_VERSION}", highlight=False)
        raise typer.Exit


@app.command()
@_guarded
def run(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="The configuration; configs/ has examples.")],
    output: Output = None,
    set_: Set = None,
    overwrite: Overwrite = False,  # noqa: FBT002  # typer makes a flag of it
    workers: Workers = None,
    explain: Explain = False,  # noqa: FBT002
    json_: Json = None,
    junit: Junit = None,
    markdown: Markdown = None,
    quiet: Quiet = False,  # noqa: FBT002
) -> None:
    """Clean a dataset as a config says: search it, decide, write the splits and certify them, report."""
    documents = _documents(json_, junit, markdown)
    settings = configuration.load(config, set_ or [], _options(output, workers))
    if settings.output.dir is None:
        settings = configuration.load(config, set_ or [], _options(Path("runs") / config.stem, workers))
    from dedup import pipeline  # it imports numba; `--help` should not wait for it

    with _observed(quiet=quiet) as observer:
        result = pipeline.run(settings, observer=observer, overwrite=overwrite, explain=_explained if explain else None)
    _finish(result, documents, quiet=quiet)


@app.command()
@_guarded
def audit(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE…",
            help="A folder of images, a manifest, a WebDataset, a Hugging Face dataset on disk or on the Hub "
            "(hf://datasets/org/name). Further ones are reference sets: is the first clean of them?",
        ),
    ],
    output: Output = None,
    like: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Use the resolved settings of this finished run.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--source", help="What the first SOURCE is: imagefolder, manifest, huggingface, webdataset, coco or yolo."
        ),
    ] = None,
    max_leakage: MaxLeakage = None,
    max_unreadable: MaxUnreadable = None,
    set_: Set = None,
    overwrite: Overwrite = False,  # noqa: FBT002
    workers: Workers = None,
    json_: Json = None,
    junit: Junit = None,
    markdown: Markdown = None,
    quiet: Quiet = False,  # noqa: FBT002
) -> None:
    """Tell what is wrong with a dataset. Needs no config and writes no splits."""
    from dedup import formats, pipeline, stored_run  # they import numba; `--help` should not wait for it

    documents = _documents(json_, junit, markdown)
    settings: dict[str, Any] = {}
    if like is not None:
        settings = stored_run.like(like, form or formats.detect(Path(source[0])))
    first = {**settings.get("dataset", {}), "path": source[0], **({"source": form} if form else {})}
    references = [{"path": path, "reference": True} for path in source[1:]]
    settings["dataset"] = {"sources": [first, *references]} if references else first
    settings["gate"] = {"max_leakage": max_leakage, "max_unreadable": max_unreadable}
    settings["output"] = {"dir": str(output or Path("runs") / (Path(source[0]).stem or "audit"))}
    options = {**_options(None, workers), "output.splits": "none"}
    with _observed(quiet=quiet) as observer:
        result = pipeline.run(
            configuration.build(settings, set_ or [], options, where="audit"), observer=observer, overwrite=overwrite
        )
    _finish(result, documents, quiet=quiet)


@app.command()
@_guarded
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="A picture.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    bits: Annotated[int, typer.Option(help="Bits of each code: 64, 256 or 1024.")] = 64,
) -> None:
    """Explain one pair: bytes, pixels, every hash and distance, similarity, the two thumbnails."""
    if bits not in configuration.BITS:
        message = f"--bits: got {bits}, allowed: {', '.join(map(str, configuration.BITS))}."
        raise ConfigError(message)
    from dedup.comparison import compare as compared  # it imports numba

    _out.print(console.comparison(compared(a, b, bits=bits)))


@app.command()
@_guarded
def decide(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    output: Output = None,
    set_: Set = None,
    json_: Json = None,
    junit: Junit = None,
    markdown: Markdown = None,
    quiet: Quiet = False,  # noqa: FBT002
) -> None:
    """Apply new thresholds, within what was searched, or another policy. Reads the stored tables, no pixels."""
    from dedup import pipeline  # it imports numba; `--help` should not wait for it

    documents = _documents(json_, junit, markdown)
    with _observed(quiet=quiet) as observer:
        result = pipeline.decide(run_folder, set_ or [], output=output, observer=observer)
    _finish(result, documents, quiet=quiet)


@app.command()
@_guarded
def gate(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    max_leakage: MaxLeakage = None,
    max_unreadable: MaxUnreadable = None,
    certified: Annotated[
        bool | None,
        typer.Option(
            "--certified", metavar="", help="Exit with 3 unless what was written is certified to have no leak."
        ),
    ] = None,
    json_: Json = None,
    junit: Junit = None,
    markdown: Markdown = None,
    quiet: Quiet = False,  # noqa: FBT002
) -> None:
    """Hold a finished run against limits; those not given are of its own config. Nothing is hashed or searched."""
    from dedup.gating import gate as judged  # it imports pyarrow

    documents = _documents(json_, junit, markdown)
    verdict = judged(run_folder, max_leakage=max_leakage, max_unreadable=max_unreadable, certified=certified)
    if verdict.limitless and not documents:
        message = "No limit is set, so nothing is judged. Give --max-leakage 0, --max-unreadable 0 or --certified."
        raise ConfigError(message)
    if not quiet:
        others = [check for check in verdict.checks if check.state != "failed"]
        _beside(documents).print(console.checks(others), soft_wrap=True)
    _conclude(verdict, documents)


@app.command()
@_guarded
def calibrate(
    target: Annotated[str, typer.Argument(metavar="SOURCE|RUN", help="A dataset, or the folder of a finished run.")],
    max_fdr: Annotated[
        float | None,
        typer.Option("--max-fdr", help="Pick bare thresholds with at most this share of false pairs, e.g. 0.01."),
    ] = None,
    output: Output = None,
    form: Annotated[
        str | None,
        typer.Option("--source", help="What SOURCE is: imagefolder, manifest, huggingface or webdataset."),
    ] = None,
    set_: Set = None,
    overwrite: Overwrite = False,  # noqa: FBT002
    workers: Workers = None,
    quiet: Quiet = False,  # noqa: FBT002
) -> None:
    """Tell what each distance would cost on this data: pairs, chance pairs, confirmed pairs."""
    if max_fdr is not None and not 0 < max_fdr < 1:
        message = f"--max-fdr: got {max_fdr}; give a share above 0 and below 1, such as 0.01."
        raise ConfigError(message)
    from dedup import calibration, folder, pipeline  # they import numba; `--help` should not wait for it

    place: Path | None = output
    if (Path(target) / folder.RUN).exists():
        if output is not None or set_ or form is not None:
            message = (
                f"{target!r} is a finished run: its calibration goes there, and -o, --set and --source do not apply."
            )
            raise ConfigError(message)
        place, found = Path(target), calibration.of_folder(Path(target))
    else:
        settings: dict[str, Any] = {"dataset": {"path": target, **({"source": form} if form else {})}}
        options = {**_options(output, workers), "output.splits": "none"}
        config = configuration.build(settings, set_ or [], options, where="calibrate")
        with _observed(quiet=quiet) as observer:
            found = calibration.calibrate(pipeline.run(config, observer=observer, overwrite=overwrite))
    if place is not None:
        calibration.write(found, place)
    _out.print(console.calibration(found))
    if max_fdr is not None:
        _out.print(console.thresholds(found, max_fdr))
    if place is not None:
        _out.print(f"Plot: {place / folder.CALIBRATION_PLOT}", highlight=False, markup=False, soft_wrap=True)


@app.command()
@_guarded
def report(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
) -> None:
    """Write the HTML report of a run again."""
    from dedup import pipeline  # it imports numba; `--help` should not wait for it

    pipeline.report(run_folder)
    _out.print(f"Report: {run_folder / 'report.html'}", highlight=False, markup=False, soft_wrap=True)


@app.command()
@_guarded
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the dataset and the run go.")] = Path("demo"),
    workers: Workers = None,
) -> None:
    """Build a small dataset of real pictures with planted duplicates, clean it, and count what was found."""
    from dedup import demo as demonstration  # it imports numba; `--help` should not wait for it

    with _observed(quiet=False) as observer:
        result, planted = demonstration.run(folder, workers=workers, observer=observer)
    _out.print(console.overview(result.summary, written=True))
    _out.print(console.planted(planted))
    _places(result)


caches = typer.Typer(no_args_is_help=True, help="What is kept of earlier runs, so that nothing is hashed twice.")
app.add_typer(caches, name="cache")

Folder = Annotated[
    Path | None, typer.Option("--folder", metavar="DIR", help="The cache.folder of the runs; else its default place.")
]


@caches.command()
@_guarded
def info(folder: Folder = None) -> None:
    """Say where the cache is and what it holds."""
    from dedup import cache

    held = cache.usage(folder or cache.default_folder())
    _out.print(str(held.folder), highlight=False, markup=False, soft_wrap=True)
    _out.print(f"{console.size(held.n_bytes)} in {held.files:,} files, for {held.rooms:,} kinds of hashes")


@caches.command()
@_guarded
def prune(
    folder: Folder = None,
    days: Annotated[float | None, typer.Option(min=0, help="Delete what was not used for so many days.")] = None,
    max_bytes: Annotated[int | None, typer.Option(min=0, help="Delete the longest unused until the rest fits.")] = None,
) -> None:
    """Delete what was not used for long. Runs that are at work are not disturbed."""
    if days is None and max_bytes is None:
        message = "dedup cache prune: say what may go, with --days or --max-bytes."
        raise ConfigError(message)
    from dedup import cache

    freed = cache.prune(folder or cache.default_folder(), max_bytes=max_bytes, max_days=days)
    _out.print(f"{console.size(freed)} are free now")


@caches.command()
@_guarded
def clear(folder: Folder = None) -> None:
    """Delete all that is kept."""
    from dedup import cache

    _out.print(f"{console.size(cache.clear(folder or cache.default_folder()))} are free now")


def _message(text: str) -> str:
    """A message for rich; its lines stay lines."""
    return "\n".join(map(console.literal, text.split("\n")))


@contextmanager
def _observed(*, quiet: bool) -> "Iterator[Observer | None]":
    """Log lines and progress bars while a run goes on; bars on a terminal only."""
    logger = logging.getLogger("dedup")
    with console.progress(_err) as bars:
        handler = RichHandler(console=bars.console, show_path=False, show_level=False, log_time_format="%H:%M:%S")
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.ERROR if quiet else logging.INFO)
        try:
            yield None if quiet else console.Bars(bars)
        finally:
            logger.removeHandler(handler)


def _explained(plan: str) -> None:
    _err.print(plan, markup=False, highlight=False, soft_wrap=True)


def _options(output: Path | None, workers: int | None) -> dict[str, Any]:
    """Command-line options by the dotted keys that they stand for."""
    found: dict[str, Any] = {} if output is None else {"output.dir": str(output)}
    return found if workers is None else {**found, "engine.workers": workers}


def _documents(json_: Path | None, junit: Path | None, markdown: Path | None) -> dict[str, Path]:
    """Where the documents asked for go, by the verdict's method; checked before the work begins."""
    asked = {"json": json_, "junit": junit, "markdown": markdown}
    places = {name: place for name, place in asked.items() if place is not None}
    problems = [
        f"--{name} {str(place)!r}: there is no folder {str(place.parent)!r} to write it to."
        if not place.parent.is_dir()
        else f"--{name} {str(place)!r}: it is a folder. Name a file in it."
        for name, place in places.items()
        if place != _STDOUT and (place.is_dir() or not place.parent.is_dir())
    ]
    if list(places.values()).count(_STDOUT) > 1:
        problems.append("Only one of --json, --junit and --markdown can go to stdout (-).")
    if problems:
        raise ConfigError(*problems)
    return places


def _beside(documents: Mapping[str, Path]) -> Console:
    """Where people read: stdout, or stderr when a document goes to stdout."""
    return _err if _STDOUT in documents.values() else _out


def _finish(result: "Run", documents: Mapping[str, Path], *, quiet: bool) -> None:
    """Print what was found and end with the code that the gate asks for."""
    from dedup.gating import gate as judged  # it imports pyarrow

    if not quiet:
        shown = _beside(documents)
        shown.print(console.overview(result.summary, written=result.config.output.splits != "none"))
        _places(result, shown)
    verdict = judged(result)
    if verdict.passed and not verdict.limitless and not quiet:
        _beside(documents).print("[green]The gate is passed.[/]")
    _conclude(verdict, documents)


def _conclude(verdict: "Verdict", documents: Mapping[str, Path]) -> None:
    """Write the documents, say what failed, and pick the exit code."""
    from dedup import folder  # it imports pyarrow

    for name, place in documents.items():
        text = getattr(verdict, name)()
        if place == _STDOUT:
            sys.stdout.buffer.write(text.encode())
        elif place.exists() and not place.is_file():  # a pipe or a device is written to, not replaced
            place.write_text(text, encoding="utf-8")
        else:
            folder.write_text(place, text)
    failed = verdict.failed()
    for check in failed:
        _err.print(f"[red]{_message(check.message)}[/]", soft_wrap=True)
    if any(check.kind == "leakage" for check in failed):
        _err.print(console.worst_leaks(verdict.worst[:_WORST], verdict.n_leaks), soft_wrap=True)
    if any(check.kind in {"leakage", "certificate"} for check in failed):
        raise typer.Exit(LEAKS)
    if failed:
        raise typer.Exit(UNREADABLE)


def _places(result: "Run", shown: Console = _out) -> None:
    if result.dir is None:
        return
    places = {"Report": "report.html", "Tables": "*.parquet", "Clean splits": "splits"}
    for what, name in places.items():
        if "*" in name or (result.dir / name).exists():
            shown.print(f"{what}: {result.dir / name}", highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
