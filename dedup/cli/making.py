"""The commands that make something without a config: clean splits, splits of one pool, a config,
compiled kernels.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from dedup import config as configuration
from dedup.cli.ending import asked, finish
from dedup.cli.options import Documents, Overwrite, Quiet, Set, Work
from dedup.cli.terminal import observed, out
from dedup.errors import ConfigError
from dedup.lean import let_arrow_do_without_pandas
from dedup.memory import keep_no_large_arrays

Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="A dataset, in any form that `dedup audit` reads.")
]


def clean(source: Source, *, work: Work, documents: Documents, quiet: Quiet = False) -> None:
    """Clean a dataset with the defaults: search it, write the splits without leaks and copies,
    certify, report.
    """
    keep_no_large_arrays()
    let_arrow_do_without_pandas()
    places = asked(documents)
    if work.output is None:
        message = "clean: name the folder for the clean splits: dedup clean SOURCE -o DIR."
        raise ConfigError(message)

    config = configuration.build(
        {"dataset": {"path": source}}, work.set_ or [], work.settings(), where="clean"
    )
    from dedup import pipeline

    with observed(quiet=quiet) as observer:
        result = pipeline.run(config, observer=observer, overwrite=work.overwrite)

    finish(result, places, quiet=quiet)


def split(
    source: Source,
    *,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="SPLIT=SHARE,…", help="The splits to make, with the share of each."
        ),
    ] = "train=0.8,validation=0.1,test=0.1",
    seed: Annotated[
        int, typer.Option(metavar="N", help="Another seed is another choice of samples.")
    ] = 0,
    work: Work,
    documents: Documents,
    quiet: Quiet = False,
) -> None:
    """Make splits of one pool that do not leak: what belongs together stays together, labels are
    spread evenly.
    """
    keep_no_large_arrays()
    let_arrow_do_without_pandas()
    places = asked(documents)
    if work.output is None:
        message = "split: name the folder for the splits: dedup split SOURCE -o DIR."
        raise ConfigError(message)
    from dedup.api import splitting

    shares = splitting.read_shares(to)
    with observed(quiet=quiet) as observer:
        result = splitting.run(
            source,
            shares,
            seed,
            overrides=work.set_ or [],
            options=work.settings(),
            observer=observer,
            overwrite=work.overwrite,
        )

    finish(result, places, quiet=quiet)


def init(
    source: Annotated[
        str | None, typer.Argument(metavar="[SOURCE]", help="The dataset that the config is for.")
    ] = None,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")
    ] = Path("dedup.yaml"),
    overwrite: Overwrite = False,
) -> None:
    """Write a commented config that fits a dataset, to begin with."""
    from dedup.config.template import template

    found: dict[str, Any] = {}
    if source is not None:
        from dedup.formats import described

        found = described(source)

    text = template(source, found, output.absolute().parent)
    if output.exists() and not overwrite:
        message = (
            f"{str(output)!r} is there already. Name another file with -o, or replace it with"
            " --overwrite."
        )
        raise ConfigError(message)

    output.write_text(text, encoding="utf-8")
    out.print(
        f"Config: {output}. Next: dedup run {output}", highlight=False, markup=False, soft_wrap=True
    )


def warm(*, set_: Set = None, quiet: Quiet = False) -> None:
    """Compile the kernels ahead, so that the first run has nothing to wait for: for images and
    caches of CI.
    """
    config = configuration.build({}, set_ or [], where="warm")
    from dedup.clock import Clock, Silent
    from dedup.rehearsal import compiling, missing_of_all, unkept

    if place := unkept():
        raise ConfigError(place)

    parts = missing_of_all(config)
    with observed(quiet=quiet) as observer:
        clock = Clock(observer or Silent())
        if parts:
            with clock.stage("kernels"), compiling(config, parts) as wait:
                wait(clock.count)

    left = missing_of_all(config)
    if left:
        message = f"Not everything was compiled: {', '.join(left)}. The next run compiles it."
        raise ConfigError(message)

    if not quiet:
        out.print("The kernels are compiled; runs with these settings find them.", highlight=False)
