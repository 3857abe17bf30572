"""The HTML report: one file; nothing runs but its own script, nothing is loaded, whatever names
files have.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from dedup import pipeline
from dedup.config import build, resolve
from dedup.graph import from_pairs
from dedup.reporting import album, html
from dedup.reporting.album import ReadSamples
from dedup.reporting.summary import summary
from dedup.stages.chains import chains
from dedup.stages.decisions import decisions
from dedup.stages.groups import groups
from dedup.stages.leakage import leakage
from dedup.stages.pairs import pairs
from tests import naive, pictures
from tests.naive import Sample, World

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "--><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "line\nbreak\r\u2028end",
    "&lt;b&gt; &amp;",
)
ACTIVE = {
    "iframe",
    "object",
    "embed",
    "form",
    "svg",
    "math",
    "base",
    "frame",
    "video",
    "audio",
    "a",
}


OWN_SCRIPT = (Path(html.__file__).parent / "report.js").read_text(encoding="utf-8")


class Page(HTMLParser):
    """Everything in a page that could run or load something, but the report's own script and its
    data.
    """

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script":
            self.scripts[-1] += data
        else:
            self.text.append(data)

    def own_scripts(self) -> bool:
        """Whether there is none, or the data and the script of the report."""
        data = [("id", "pairs"), ("type", "application/json")]
        kinds = [list(attributes.items()) for tag, attributes in self.tags if tag == "script"]
        return kinds == [] or (
            kinds == [data, []] and self.scripts[1].strip() == OWN_SCRIPT.strip()
        )

    @staticmethod
    def is_own_link(tag: str, attributes: dict[str, str | None]) -> bool:
        """Whether it leads from the contents to a heading of the page."""
        return tag == "a" and re.fullmatch("#[a-z]+", attributes.get("href") or "") is not None

    def problems(self) -> list[str]:
        found = [] if self.own_scripts() else ["<script>"]
        for tag, attributes in self.tags:
            if tag in ACTIVE and not self.is_own_link(tag, attributes):
                found.append(f"<{tag}>")
            for name, value in attributes.items():
                if name.startswith("on"):
                    found.append(f"{tag} {name}")
                if name in {
                    "src",
                    "href",
                    "action",
                    "data",
                    "srcset",
                    "poster",
                    "background",
                    "formaction",
                } and not (value or "").startswith(("data:image/jpeg;base64,", "#")):
                    found.append(f"{tag} {name}={value}")
        return found


def ran(dataset: Path, output: Path) -> str:
    pipeline.run(
        build(
            {
                "dataset": {"path": str(dataset)},
                "output": {"dir": str(output), "splits": "none"},
                "engine": {"workers": 0},
            }
        )
    )
    return (output / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report on the planted dataset."""
    root = tmp_path_factory.mktemp("report")
    naive.planted(root / "data")
    return ran(root / "data", root / "run")


def hostile_dataset(root: Path) -> Path:
    """A manifest whose ids, labels and splits are attacks; every picture leaks, is a group, or
    cannot be read.
    """
    root.mkdir(parents=True)
    rows = []
    for k, text in enumerate(HOSTILE):
        data = pictures.encoded(pictures.photo(k))
        copy = pictures.encoded(pictures.photo(k), "JPEG", quality=70)
        for name, part in (
            ("a.png", data),
            ("b.png", data),
            ("c.jpg", copy),
            ("broken.png", b"<script>"),
        ):
            (root / f"{k}{name}").write_bytes(part)
        rows += [
            {"id": f"a{text}", "path": f"{k}a.png", "split": "train", "label": text},
            {"id": f"b{text}", "path": f"{k}b.png", "split": text, "label": "x"},
            {"id": f"c{text}", "path": f"{k}c.jpg", "split": "train", "label": f"y{text}"},
            {"id": f"d{text}", "path": f"{k}broken.png", "split": "train", "label": text},
        ]
    path = root / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rendered(world: World, read: ReadSamples, hashes: pa.Table | None = None) -> str:
    """The page over tables made by hand."""
    config = build({"search": {"max_distance": 64}, "verify": {"min_similarity": 0.0}})
    resolved = resolve(config, [sample.split for sample in world.samples])
    manifest, hashes = world.manifest(), hashes or world.hashes()
    accepted = pairs([world.candidates()], hashes, manifest, resolved)
    matches = from_pairs(accepted, len(world))
    stored = {
        "manifest": manifest,
        "hashes": hashes,
        "pairs": accepted,
        "groups": groups(matches, hashes, manifest, resolved.splits.held_out),
        "leakage": leakage(matches, accepted, hashes, manifest, resolved.splits.held_out),
        "chains": chains(matches, manifest, resolved.splits.held_out),
        "decisions": decisions(matches, hashes, manifest, resolved),
    }
    parts = (stored["pairs"], stored["leakage"], stored["chains"], stored["decisions"])
    said = summary(manifest, hashes, *parts, matches, resolved, skipped={})
    candidates = world.candidates()
    halves = (candidates.slice(0, 1), candidates.slice(1))
    return html.render(
        stored, lambda: iter(halves), {**said, "certificate": None}, title="made by hand", read=read
    )


def no_pictures(samples: Sequence[int]) -> Iterator[pa.RecordBatch]:
    return iter(())


def test_one_file_that_loads_nothing(page: str) -> None:
    """No link, no script, no address of another file: only pictures within the page."""
    assert [] == Page(page).problems()
    without = page.replace("url(data:image/jpeg;base64,", "")

    assert not re.search(r"https?://|@import|url\(", without)


def test_the_policy_forbids_other_scripts_and_connections(page: str) -> None:
    """The page's own Content-Security-Policy allows data: pictures, inline styles and one script by
    its digest.
    """
    (policy,) = [
        attributes["content"] or ""
        for tag, attributes in Page(page).tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))

    assert rules["default-src"] == "'none'"
    assert (
        rules["script-src"]
        == f"'sha256-{base64.b64encode(hashlib.sha256(OWN_SCRIPT.encode()).digest()).decode()}'"
    )
    assert "unsafe-eval" not in policy
    assert rules["img-src"] == "data:"


def test_each_picture_is_embedded_once(page: str) -> None:
    """However often it is shown: no two of the data: addresses are the same, and whatever is shown
    as a picture has one.
    """
    rules = re.findall(
        r"^((?:\.p\d+,?)+)\{background-image:url\(data:image/jpeg;base64,([^)]+)\)",
        page,
        re.MULTILINE,
    )
    numbers = [name for names, _ in rules for name in re.findall(r"\d+", names)]
    embedded = [data for _, data in rules]
    shown = {
        name[1:]
        for tag, attributes in Page(page).tags
        if attributes.get("role") == "img"
        for name in (attributes.get("class") or "").split()
        if re.fullmatch(r"p\d+", name)
    }

    assert len(embedded) == page.count("data:image/jpeg")
    assert len(set(embedded)) == len(embedded)
    assert len(set(numbers)) == len(numbers)
    assert shown <= set(numbers)
    assert len(shown) >= 10


def test_the_verdict_is_first_and_the_contents_lead_on(page: str) -> None:
    """The first paragraph behind the title says what leaks; each line of the contents leads to a
    heading, and every heading of a section is in them.
    """
    tags = Page(page).tags
    links = [attributes["href"] for tag, attributes in tags if tag == "a"]
    headings = [attributes["id"] for tag, attributes in tags if tag == "h2" and "id" in attributes]
    verdict = re.search(r"</h1>\s*<p class=\"verdict[^\"]*\">([^<]+)</p>", page)

    assert verdict is not None
    assert "images of &#39;test&#39; are also in train" in verdict[1]
    assert sorted(f"#{name}" for name in headings) == sorted(map(str, links))
    assert len(headings) == len(set(headings))


def test_pictures_say_what_they_show(page: str) -> None:
    """Every picture has the id of its sample as its text."""
    texts = [
        attributes.get("aria-label")
        for _, attributes in Page(page).tags
        if attributes.get("role") == "img"
    ]

    assert len(texts) >= 10
    assert all(texts)


def test_what_it_shows(page: str) -> None:
    """Counts, matrix, histograms, leaks and groups with pictures, ids, labels and distances."""
    text = " ".join("".join(Page(page).text).split())

    assert "Leaks: 5" in text
    assert "Same picture, different labels" in text
    assert "Unreadable: 4" in text
    assert "train/dog/b_small.jpg" in text
    assert "test/cat/b.jpg" in text
    assert re.search(r"near · dhash \d+ · phash \d+ · similarity", text) or re.search(
        r"near · distance \d+", text
    )
    for heading in (
        "Splits",
        "Classes",
        "Sizes and formats",
        "Images with a match",
        "Groups: ",
        "Candidates",
        "Settings",
        "similarity",
        "dhash, bits",
    ):
        assert heading in text
    assert page.count("data:image/jpeg;base64,") >= 8  # some samples show the same picture


@pytest.mark.parametrize("with_dataset", [True, False])
def test_hostile_names_are_text(tmp_path: Path, with_dataset: bool) -> None:
    """Ids, labels and splits full of markup show as they are, with or without the dataset."""
    path = hostile_dataset(tmp_path / "data")
    text = ran(path, tmp_path / "run")
    if not with_dataset:
        (tmp_path / "data").rename(tmp_path / "moved")
        pipeline.report(tmp_path / "run")
        text = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    parsed = Page(text)

    assert [] == parsed.problems()
    shown = "".join(parsed.text)
    for name in HOSTILE:
        if name.isprintable():
            assert f"a{name}" in shown
    assert "49" not in re.findall(r"a(\d+)", shown)


def test_a_hostile_title(tmp_path: Path) -> None:
    """The dataset's own path is text too."""
    name = "<script>alert(1)<∕script>"
    pictures.folder(tmp_path / name, ["train/1.png", "test/2.png"])

    assert [] == Page(ran(tmp_path / name, tmp_path / "run")).problems()


def test_full_galleries_stay_below_20_mb() -> None:
    """With every gallery full of pictures that do not compress, the page stays below its size."""
    n = 400
    noise = np.random.default_rng(1).integers(0, 256, (224, 224, 3), dtype=np.uint8)

    def of(sample: int) -> bytes:
        return pictures.encoded(Image.fromarray(np.roll(noise, 7 * sample)), "BMP")

    def read(samples: Sequence[int]) -> Iterator[pa.RecordBatch]:
        schema = pa.schema(
            [("row", pa.int64()), ("path", pa.binary()), ("data", pa.large_binary())]
        )
        yield pa.record_batch(
            [list(samples), [None] * len(samples), list(map(of, samples))], schema=schema
        )

    samples = [
        Sample("test" if k % 8 == 0 else "train", k // 8, k % 8, label=str(k)) for k in range(8 * n)
    ]
    near = {(2 * k, 2 * k + 1): (3, 3, 0.9375) for k in range(n // 2)}
    page = rendered(World(tuple(samples), near, dict.fromkeys(range(n), 100)), read)

    assert 10_000_000 < len(page.encode()) < 20_000_000
    assert [] == Page(page).problems()


def test_the_budget_counts_every_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the budget is spent the rest of the gallery shows no pictures, but still ids."""
    noise = np.random.default_rng(1).integers(0, 256, (100, 100), dtype=np.uint8)
    data = pictures.encoded(Image.fromarray(noise))

    def read(samples: Sequence[int]) -> Iterator[pa.RecordBatch]:
        schema = pa.schema(
            [("row", pa.int64()), ("path", pa.binary()), ("data", pa.large_binary())]
        )
        yield pa.record_batch(
            [list(samples), [None] * len(samples), [data] * len(samples)], schema=schema
        )

    world = World(
        tuple(Sample("train", k // 2, k % 2) for k in range(40)), {}, dict.fromkeys(range(20), 100)
    )
    monkeypatch.setattr(album, "MAX_PICTURE_BYTES", 20_000)
    page = rendered(world, read)

    assert 0 < page.count("data:image/jpeg") < 40
    assert "no picture" in page
    assert all(f"id{k:06d}" in page for k in range(40))


def test_a_big_dataset_is_a_small_page() -> None:
    """The size does not grow with the dataset: galleries have limits, and the page says where the
    rest is.
    """
    n = 30_000
    samples = tuple(
        Sample("test" if k % 3 == 0 else "train", None if k % 10 == 9 else k // 3, k % 3)
        for k in range(n)
    )
    page = rendered(World(samples, {}, dict.fromkeys(range(n), 100)), no_pictures)

    assert len(page) < 1_000_000
    assert "leakage.parquet" in page
    assert "The first 200; all are in" in page


def test_many_splits_are_a_small_page() -> None:
    """A split column that was named by mistake, with a value for every row, does not blow up the
    page.
    """
    n = 500
    samples = tuple(Sample(f"split {k:05d}" if k else "train", k) for k in range(n))
    page = rendered(World(samples, {}, dict.fromkeys(range(n), 100)), no_pictures)

    assert len(page) < 1_000_000  # 20 MB would be passed at 1,400 splits


def test_thumbnails_stand_in_for_pictures() -> None:
    """Where the dataset gives nothing, the stored thumbnails are shown; two that are the same are
    one.
    """
    world = World((Sample("train", 0), Sample("test", 0)), {}, {0: 100})
    hashes = world.hashes()
    thumbnails = pa.array([bytes(range(256)) * 4] * 2, pa.binary(1024))
    hashes = hashes.set_column(hashes.column_names.index("thumbnail"), "thumbnail", thumbnails)

    page = rendered(world, no_pictures, hashes)

    assert page.count("data:image/jpeg;base64,") == 1
    assert 'class="pic p0"' in page
    assert 'class="pic p1"' in page
    assert "data:image/jpeg" not in rendered(world, no_pictures)


def test_nothing_found() -> None:
    """A dataset without any pair has a report that says so."""
    page = rendered(
        World((Sample("train", 0), Sample("test", 1)), {}, {0: 100, 1: 100}), no_pictures
    )

    assert "No duplicates were found." in page
    assert "Leaks:" not in page


def test_a_label_of_any_kind_is_shown(tmp_path: Path) -> None:
    """A sample without label or split shows neither `None` nor `null`."""
    pictures.folder(tmp_path / "data", ["1.png"])
    (tmp_path / "data/2.png").write_bytes((tmp_path / "data/1.png").read_bytes())
    shown: list[Any] = Page(ran(tmp_path / "data", tmp_path / "run")).text

    assert not [text for text in shown if text.strip() in {"None", "· None"}]
