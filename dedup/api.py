"""The Python functions: settings as keywords, datasets as paths or objects."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup import pipeline
from dedup.calibration import calibrate as calibration
from dedup.calibration.table import Calibration
from dedup.config import ALGORITHMS, BITS, PDQ_BITS, Config, HashConfig, build, keys, load
from dedup.decoding.pictures import Unreadable, normalised
from dedup.errors import ConfigError, SourceError
from dedup.formats import read_bytes
from dedup.formats.source import encoded
from dedup.hashers.families import MODES, picture_codes
from dedup.hashers.measure import measure
from dedup.hashers.setup import Setup
from dedup.runs import folder
from dedup.runs.result import Run

_BATCH = 256  # pictures measured at once: what is small is measured together


def run(config: Config | Mapping[str, Any] | str | Path, *, overwrite: bool = False) -> Run:
    """Run the whole stage: hash, search, verify, decide, write the splits and the report.

    `config`: a YAML file, its content as nested dicts, or a `Config`. Without `output.dir` nothing is written and the
    result stays in memory.
    """
    if isinstance(config, str | Path):
        config = load(Path(config))
    elif not isinstance(config, Config):
        config = build(config)
    return pipeline.run(config, overwrite=overwrite)


def audit(dataset: Any, **options: Any) -> Run:
    """What is wrong with this dataset? Writes no splits.

    `dataset`: a path, a `datasets.DatasetDict` or a `datasets.Dataset`; or a list of paths, of which the first is
    checked and the others are reference sets. `options` are settings of the config by their
    own names (`max_distance=8`, `held_out=["test"]`) or by section (`search={"max_distance": 8}`); with `dir` the
    tables and the report are written there.
    `against`: a path, or several, of banks or other reference sets: is the dataset clean of them?
    """
    against = options.pop("against", ())
    references = [against] if isinstance(against, str | Path) else list(against)
    if references:
        dataset = [*(dataset if isinstance(dataset, list | tuple) else [dataset]), *references]
    return _run(dataset, {**options, "splits": "none"})


def deduplicate(dataset: Any, **options: Any) -> tuple[Any, Run]:
    """The dataset without duplicates and leaks, always as a `datasets.DatasetDict`, and the run that says why.

    Rows are selected, never re-encoded. `dataset` and `options` as for `audit`.
    """
    result = _run(dataset, options)
    return result.splits(), result


def calibrate(dataset: Any, **options: Any) -> Calibration:
    """What each distance would let in on this data: pairs, expected chance pairs, confirmed pairs.

    `dataset`: a finished `Run`, the folder of one, or a dataset with `options` as for `audit`. Raises `RunError` for
    too few pictures.
    """
    if isinstance(dataset, Run) or (isinstance(dataset, str | Path) and (Path(dataset) / folder.RUN).exists()):
        if options:
            message = f"calibrate: a finished run has its settings; these do not apply: {', '.join(sorted(options))}."
            raise ConfigError(message)
        return calibration.calibrate(dataset) if isinstance(dataset, Run) else calibration.of_folder(Path(dataset))
    return calibration.calibrate(audit(dataset, **options))


def hash_images(images: Sequence[Any], *, algorithm: str, bits: int = 64, mode: str = "fast") -> NDArray[np.uint8]:
    """Codes of pictures given as paths, encoded bytes or PIL images: uint8, shape (n, bits // 8).

    Files are normalised as in a run (orientation, transparency, depth). Raises `SourceError` for the first picture that
    cannot be read, `ConfigError` for an unknown algorithm, width or mode.
    """
    problems = [
        f"{key}: got {value!r}, allowed: {', '.join(map(str, allowed))}."
        for key, value, allowed in (
            ("algorithm", algorithm, ALGORITHMS),
            ("bits", bits, BITS),
            ("mode", mode, tuple(MODES)),
        )
        if value not in allowed
    ]
    if algorithm == "pdq" and bits != PDQ_BITS:
        problems.append(f"bits: got {bits!r}; pdq has {PDQ_BITS} bits only.")
    if problems:
        raise ConfigError(*problems)
    settings = HashConfig()
    setup = Setup((algorithm,), bits, mode, settings.background, settings.max_pixels)
    codes = np.empty((len(images), bits // 8), dtype=np.uint8)
    for start in range(0, len(images), _BATCH):
        codes[start : start + _BATCH] = _codes(images[start : start + _BATCH], start, setup)
    return codes


def options_to_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword options as the nested settings of a config.

    >>> options_to_settings({"max_distance": 8, "hash": {"bits": 256}})
    {'search': {'max_distance': 8}, 'hash': {'bits': 256}}
    """
    section_of = {key.partition(".")[2]: key.partition(".")[0] for key in keys()}
    settings: dict[str, Any] = {}
    problems = []
    for name, value in options.items():
        if name in Config.model_fields and isinstance(value, Mapping):
            settings[name] = {**settings.get(name, {}), **value}
        elif name in Config.model_fields:
            problems.append(
                f"{name}: got {value!r}; a section is a dict of settings, e.g. search={{'max_distance': 8}}."
            )
        elif name in section_of:
            settings.setdefault(section_of[name], {})[name] = value
        else:
            near = difflib.get_close_matches(name, [*section_of, *Config.model_fields], n=1)
            problems.append(f"{name}: unknown option.{f' Did you mean {near[0]!r}?' if near else ''}")
    if problems:
        raise ConfigError(*problems)
    return settings


def _run(dataset: Any, options: Mapping[str, Any]) -> Run:
    overwrite = bool(options.get("overwrite", False))
    settings = options_to_settings({name: value for name, value in options.items() if name != "overwrite"})
    if isinstance(dataset, str | Path):
        settings.setdefault("dataset", {})["path"] = str(dataset)
        return pipeline.run(build(settings), overwrite=overwrite)
    if isinstance(dataset, list | tuple) and dataset and all(isinstance(path, str | Path) for path in dataset):
        sources = [{"path": str(path), "reference": at > 0} for at, path in enumerate(dataset)]
        settings.setdefault("dataset", {})["sources"] = sources
        return pipeline.run(build(settings), overwrite=overwrite)
    return pipeline.run(build(settings), dataset, overwrite=overwrite)


def _codes(images: Sequence[Any], start: int, setup: Setup) -> NDArray[np.uint8]:
    """Codes of some images; `start` is the place of the first among all, for messages."""
    (algorithm,) = setup.algorithms
    codes = np.empty((len(images), setup.bits // 8), dtype=np.uint8)
    names = [_image_name(image, start + k) for k, image in enumerate(images)]
    decoded = [k for k, image in enumerate(images) if isinstance(image, Image.Image)]
    pictures = [_normalised(images[k], names[k], setup.background) for k in decoded]
    codes[decoded] = picture_codes(pictures, algorithm, setup.bits, setup.mode)
    stored = [k for k, image in enumerate(images) if not isinstance(image, Image.Image)]
    columns = measure([_content(images[k]) for k in stored], setup)
    for k, status, detail in zip(stored, columns["status"].to_pylist(), columns["detail"].to_pylist(), strict=True):
        if status != "ok":
            message = f"{names[k]}: {status}: {detail}."
            raise SourceError(message)
    if stored:
        codes[stored] = [np.frombuffer(code, np.uint8) for code in columns[algorithm].to_pylist()]
    return codes


def _image_name(image: Any, place: int) -> str:
    """What an image is called in messages. Raises `ConfigError` for what is not an image in any of the three forms."""
    if isinstance(image, str | Path):
        return repr(str(image))
    if isinstance(image, bytes | bytearray | memoryview | Image.Image):
        return f"images[{place}]"
    remedy = " PIL.Image.fromarray makes an image of an array." if isinstance(image, np.ndarray) else ""
    message = f"images[{place}]: got {type(image).__name__}; give a path, the bytes of a file, or a PIL image.{remedy}"
    raise ConfigError(message)


def _content(image: Any) -> bytes | Unreadable:
    """The stored bytes of a path or of what holds bytes."""
    return read_bytes(encoded(str(image)), None) if isinstance(image, str | Path) else bytes(image)


def _normalised(image: Image.Image, name: str, background: str) -> Image.Image:
    found = normalised(image, background)
    if isinstance(found, Unreadable):
        message = f"{name}: {found.status}: {found.detail}."
        raise SourceError(message)
    return found
