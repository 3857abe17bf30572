"""The commands, each a function of its arguments. Heavy imports wait until one is called: `--help`
is at once.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from dedup import config as configuration
from dedup.cli import calibration_views, views
from dedup.cli.ending import asked, beside, conclude, finish
from dedup.cli.options import Documents, Limits, Output, Overwrite, Quiet, Set, Work, Workers
from dedup.cli.terminal import explained, observed, out, places
from dedup.errors import ConfigError
from dedup.lean import let_arrow_do_without_pandas
from dedup.memory import keep_no_large_arrays

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")]


def run(
    config: Annotated[
        Path,
        typer.Argument(metavar="CONFIG.yaml", help="The configuration; configs/ has examples."),
    ],
    *,
    work: Work,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            metavar="",
            help="Print how the codes are searched and what it should take.",
        ),
    ] = False,
    documents: Documents,
    quiet: Quiet = False,
) -> None:
    """Clean a dataset as a config says: search it, decide, write the splits and certify them,
    report.
    """
    keep_no_large_arrays()
    let_arrow_do_without_pandas()
    places = asked(documents)
    settings = configuration.load(config, work.set_ or [], work.settings())
    if settings.output.dir is None:
        by_name = {"output.dir": str(Path("runs") / config.stem)}
        settings = configuration.load(config, work.set_ or [], by_name | work.settings())

    from dedup import pipeline

    with observed(quiet=quiet) as observer:
        result = pipeline.run(
            settings,
            observer=observer,
            overwrite=work.overwrite,
            explain=explained if explain else None,
        )

    finish(result, places, quiet=quiet)


def audit(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help=(
                "A folder of images, a manifest, a WebDataset, COCO, YOLO, a Hugging Face dataset"
                " on disk or on the "
                "Hub (hf://datasets/org/name). Further ones are reference sets: is the first clean"
                " of them?"
            ),
        ),
    ],
    *,
    like: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Use the resolved settings of this finished run."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BANK",
            help="A bank or another reference set: is SOURCE clean of it? Repeatable.",
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--source",
            help=(
                "What the first SOURCE is: imagefolder, manifest, webdataset, huggingface, coco,"
                " yolo, voc."
            ),
        ),
    ] = None,
    limits: Limits,
    work: Work,
    documents: Documents,
    quiet: Quiet = False,
) -> None:
    """Tell what is wrong with a dataset. Needs no config and writes no splits."""
    keep_no_large_arrays()
    let_arrow_do_without_pandas()
    from dedup import formats, pipeline
    from dedup.runs import stored

    places = asked(documents)
    settings: dict[str, Any] = {}
    if like is not None:
        settings = stored.like(like, form or formats.detect(Path(source[0])))

    first = {**settings.get("dataset", {}), "path": source[0], **({"source": form} if form else {})}
    references = [{"path": path, "reference": True} for path in [*source[1:], *(against or [])]]
    settings["dataset"] = {"sources": [first, *references]} if references else first
    settings["gate"] = {"max_leakage": limits.max_leakage, "max_unreadable": limits.max_unreadable}
    settings["gate"] |= {"allow_nothing": True} if limits.allow_nothing else {}
    settings["output"] = {"dir": str(Path("runs") / (Path(source[0]).stem or "audit"))}
    config = configuration.build(
        settings, work.set_ or [], work.settings() | {"output.splits": "none"}, where="audit"
    )
    with observed(quiet=quiet) as observer:
        result = pipeline.run(config, observer=observer, overwrite=work.overwrite)

    finish(result, places, quiet=quiet)


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="A picture.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    bits: Annotated[int, typer.Option(help="Bits of each code: 64, 256 or 1024.")] = 64,
) -> None:
    """Explain one pair: bytes, pixels, every hash and distance, similarity, the two thumbnails."""
    if bits not in configuration.BITS:
        message = f"--bits: got {bits}, allowed: {', '.join(map(str, configuration.BITS))}."
        raise ConfigError(message)

    from dedup.comparison import compare as compared

    out.print(views.comparison(compared(a, b, bits=bits)))


def decide(
    run_folder: RunFolder,
    *,
    output: Output = None,
    set_: Set = None,
    overwrite: Overwrite = False,
    documents: Documents,
    quiet: Quiet = False,
) -> None:
    """Apply new thresholds, within what was searched, or another policy. Reads the stored tables,
    no pixels.
    """
    from dedup import pipeline

    places = asked(documents)
    with observed(quiet=quiet) as observer:
        result = pipeline.decide(
            run_folder, set_ or [], output=output, observer=observer, overwrite=overwrite
        )

    finish(result, places, quiet=quiet)


def gate(
    run_folder: RunFolder,
    *,
    limits: Limits,
    certified: Annotated[
        bool | None,
        typer.Option(
            "--certified",
            metavar="",
            help="Exit with 3 unless what was written is certified to have no leak.",
        ),
    ] = None,
    documents: Documents,
    quiet: Quiet = False,
) -> None:
    """Hold a finished run against limits; those not given are of its own config. Nothing is hashed
    or searched.
    """
    from dedup.gating.gate import gate as judged

    places = asked(documents)
    verdict = judged(
        run_folder,
        max_leakage=limits.max_leakage,
        max_unreadable=limits.max_unreadable,
        certified=certified,
        allow_nothing=limits.allow_nothing,
    )
    if verdict.limitless and not places:
        message = (
            "No limit is set, so nothing is judged. Give --max-leakage 0, --max-unreadable 0 or"
            " --certified."
        )
        raise ConfigError(message)

    if not quiet:
        others = [check for check in verdict.checks if check.state != "failed"]
        beside(places).print(views.checks(others), soft_wrap=True)

    conclude(verdict, places)


def calibrate(
    target: Annotated[
        str,
        typer.Argument(metavar="SOURCE|RUN", help="A dataset, or the folder of a finished run."),
    ],
    *,
    max_fdr: Annotated[
        float | None,
        typer.Option(
            "--max-fdr",
            help="Pick bare thresholds with at most this share of false pairs, e.g. 0.01.",
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BANK",
            help="A bank or another reference set: is SOURCE clean of it? Repeatable.",
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--source",
            help="What SOURCE is: imagefolder, manifest, webdataset, huggingface, coco, yolo, voc.",
        ),
    ] = None,
    work: Work,
    quiet: Quiet = False,
) -> None:
    """Tell what each distance would cost on this data: pairs, chance pairs, confirmed pairs."""
    if max_fdr is not None and not 0 < max_fdr < 1:
        message = f"--max-fdr: got {max_fdr}; give a share above 0 and below 1, such as 0.01."
        raise ConfigError(message)

    from dedup import pipeline
    from dedup.calibration import calibrate as calibration
    from dedup.runs import folder

    place: Path | None = work.output
    if (Path(target) / folder.RUN).exists():
        if work.output is not None or work.set_ or form is not None:
            message = (
                f"{target!r} is a finished run: its calibration goes there, and -o, --set and"
                " --source do not apply."
            )
            raise ConfigError(message)
        place, found = Path(target), calibration.of_folder(Path(target))
    else:
        settings: dict[str, Any] = {
            "dataset": {"path": target, **({"source": form} if form else {})}
        }
        options = work.settings() | {"output.splits": "none"}
        config = configuration.build(settings, work.set_ or [], options, where="calibrate")
        with observed(quiet=quiet) as observer:
            found = calibration.calibrate(
                pipeline.run(config, observer=observer, overwrite=work.overwrite)
            )

    if place is not None:
        calibration.write(found, place)

    out.print(calibration_views.calibration(found))
    if max_fdr is not None:
        out.print(calibration_views.thresholds(found, max_fdr))

    if place is not None:
        out.print(
            f"Plot: {place / folder.CALIBRATION_PLOT}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def report(run_folder: RunFolder) -> None:
    """Write the HTML report of a run again."""
    from dedup import pipeline

    pipeline.report(run_folder)
    out.print(
        f"Report: {run_folder / 'report.html'}", highlight=False, markup=False, soft_wrap=True
    )


def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where the dataset and the run go.")
    ] = Path("demo"),
    workers: Workers = None,
) -> None:
    """Build a small dataset of real pictures with planted duplicates, clean it, and count what was
    found.
    """
    from dedup import demo as demonstration

    with observed(quiet=False) as observer:
        result, planted = demonstration.run(folder, workers=workers, observer=observer)

    out.print(views.overview(result.summary, written=True))
    out.print(views.planted(planted))
    places(result)
