"""The page of `dedup review` in headless Chromium: `make test-review`."""

import csv
import io
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dedup.review.server import Server
from dedup.review.session import Session
from dedup.runs import judging
from tests import pictures
from tests.review.made import HOSTILE, dataset, ran

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install it")

WCAG: dict[str, Any] = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
}
N_DOUBTFUL = 30


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium is installed here")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 leaks, eight of them with hostile names, and a label that is markup."""
    root = tmp_path_factory.mktemp("review")
    dataset(root / "data", n=38, n_copies=36, names=HOSTILE)
    label = root / "data" / "train" / "<b>&quot;label"
    pictures.save(pictures.photo(99), label / "<script>alert(1)<_script>.png")
    ran(root / "data", root / "run")
    return root


@pytest.fixture
def server(made: Path, tmp_path: Path) -> Iterator[Server]:
    shutil.copytree(made / "run", tmp_path / "run")
    session = Session(tmp_path / "run")
    with Server(session) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()
    session.close()


class Faults(list[str]):
    """What a page complains of."""

    def watch(self, page: Any) -> None:
        page.on("pageerror", lambda error: self.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.append(f"dialog: {dialog.message}"))
        page.on("console", self._console)

    def _console(self, message: Any) -> None:
        # Pictures of what cannot be read are not there, and the page shows that.
        if message.type in {"error", "warning"} and "404" not in message.text:
            self.append(f"console: {message.text}")


@pytest.fixture
def faults() -> Iterator[Faults]:
    found = Faults()
    yield found

    assert [] == found


@pytest.fixture
def page(chromium: Any, server: Server, faults: Faults) -> Iterator[Any]:
    opened = chromium.new_page(viewport={"width": 1300, "height": 850})
    faults.watch(opened)
    opened.goto(server.address)
    opened.wait_for_selector('.row[aria-selected="true"]')
    yield opened
    opened.close()


def verdicts(server: Server) -> list[str]:
    return [row.verdict for row in judging.judgements(server.session.folder)]


def settled(page: Any) -> None:
    """Wait until nothing is asked of the server."""
    page.wait_for_load_state("networkidle")


def told(page: Any, selector: str, text: str) -> None:
    """Wait until an element has a text."""
    page.locator(selector).filter(has_text=text).wait_for(state="attached")


def selected(page: Any) -> str:
    return str(page.locator('.row[aria-selected="true"]').get_attribute("id"))


def view(page: Any, server: Server, asked: str) -> None:
    # By way of another page: what is waited for below must not be what was there before.
    page.goto("about:blank")
    page.goto(f"{server.address}#{asked}")
    settled(page)


def test_keys_judge_and_go_on(page: Any, server: Server) -> None:
    """J and K move; Y, N and U write a verdict at once and go on; Z takes the last one back."""
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert selected(page) == "row-1"

    for key in "ynu":
        page.keyboard.press(key)
    told(page, "#progress", "3 judged")
    assert verdicts(server) == ["same", "different", "unsure"]
    assert selected(page) == "row-4"

    page.keyboard.press("z")
    told(page, "#progress", "2 judged")

    assert verdicts(server) == ["same", "different"]
    assert selected(page) == "row-3"


def test_thirty_pairs_are_judged_and_applied_with_few_keys(page: Any, server: Server) -> None:
    """After one click on a view: 30 doubtful pairs, a plan, Apply, at most 45 key presses in all.
    Every fifth is judged different, and those are no pairs afterwards.
    """
    page.get_by_role("link", name="Pairs").click()
    settled(page)
    n_before = len(server.session.run.read("pairs", ["a"]))
    pressed = []

    def press(key: str) -> None:
        page.keyboard.press(key)
        pressed.append(key)

    for place in range(N_DOUBTFUL):
        press("n" if place % 5 == 0 else "y")
    press("a")
    page.wait_for_selector("#plan-do:enabled")
    plan = page.inner_text("#plan")
    press("Enter")
    told(page, "#plan-text h3", "Applied")
    n_after = len(server.session.run.read("pairs", ["a"]))

    assert len(pressed) <= 45
    assert len(verdicts(server)) == N_DOUBTFUL
    assert "judged different" in plan
    assert n_before - 6 == n_after
    assert server.session.judged()["applied"]


def test_judgements_outlive_a_reload_and_a_filter_finds_them(page: Any, server: Server) -> None:
    """The link of a filtered view shows what was judged; the list files come from the record."""
    for key in "yynu":
        page.keyboard.press(key)
    told(page, "#progress", "4 judged")
    page.reload()
    settled(page)
    view(page, server, "view=leaks&judged=same")
    told(page, "#count", "2 of 36 rows")

    page.select_option("[name=judged]", "different")
    told(page, "#count", "1 of")
    lists = server.session.lists()

    assert "judged=different" in page.url
    assert 2 == len(list(csv.DictReader(lists["duplicates.csv"].splitlines())))
    assert 1 == len(list(csv.DictReader(lists["not_duplicates.csv"].splitlines())))


def test_two_tabs_lose_nothing(chromium: Any, server: Server, page: Any, faults: Faults) -> None:
    """Both judge by turns; all is on the disk, and each sees the other's when it is looked at."""
    other = chromium.new_page()
    faults.watch(other)
    other.goto(server.address)
    other.wait_for_selector('.row[aria-selected="true"]')
    for _ in range(5):
        other.keyboard.press("j")
    for _ in range(5):
        page.keyboard.press("y")
        other.keyboard.press("n")
    told(other, "#progress", "5 different")
    settled(page)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    told(page, "#progress", "10 judged")
    other.close()

    assert sorted(verdicts(server)) == ["different"] * 5 + ["same"] * 5
    assert 10 == page.locator(".row .verdict").count()


def test_the_second_picture_lies_over_the_first(page: Any, server: Server) -> None:
    """In the overlay it has the place that the verification found; blinking shows one at a time;
    zoom and pan move both in step.
    """
    settled(page)
    page.keyboard.press("o")
    over = page.locator(".pv-over")
    matrix = over.evaluate("element => getComputedStyle(element).transform")
    assert matrix.startswith("matrix(")
    scale = [float(text) for text in matrix[7:-1].split(",")]
    assert [1, 0, 0, 1] == pytest.approx(scale[:4], abs=0.05)
    assert "0.5" == over.evaluate("element => getComputedStyle(element).opacity")

    page.keyboard.press("d")
    blend = over.evaluate("element => getComputedStyle(element).mixBlendMode")
    assert "difference" == blend

    opacity = []
    for _ in range(3):
        page.keyboard.press(" ")
        opacity.append(over.evaluate("element => getComputedStyle(element).opacity"))
    assert ["0", "1", "0"] == opacity

    page.keyboard.press("s")
    page.keyboard.press("+")
    page.locator(".pv-stage").focus()
    page.keyboard.press("ArrowRight")
    planes = page.locator(".pv-plane")
    moved = [planes.nth(k).evaluate("e => getComputedStyle(e).transform") for k in (0, 1)]

    assert moved[0] == moved[1] != "none"


def test_the_difference_of_copies_is_dark(page: Any) -> None:
    """What is on the screen, where the two agree: nearly black, with hardly a bright pixel."""
    settled(page)
    page.keyboard.press("d")
    page.wait_for_timeout(300)
    shot = page.locator(".pv-plane").first.screenshot()
    seen = np.asarray(Image.open(io.BytesIO(shot)).convert("L"))[40:, :]

    assert np.percentile(seen, 90) < 60


def test_hostile_names_are_text(page: Any, server: Server) -> None:
    """In every view, in the facts and in titles: no element, script or dialog comes of them."""
    for name in ("leaks", "pairs", "groups", "dropped", "unreadable", "not_read"):
        view(page, server, f"view={name}")
        for _ in range(min(12, page.locator(".row").count())):
            page.keyboard.press("j")
            page.wait_for_timeout(20)
        settled(page)

    assert 0 == page.locator("#rows img[src=x], #facts img, #rows script, b").count()
    view(page, server, "view=leaks&text=onerror")
    told(page, "#rows", "onerror")
    told(page, "#facts", "onerror")
    assert "<img src=x onerror=alert(1)>" in page.inner_text("#rows")
    assert "<img src=x onerror=alert(1)>" in page.inner_text("#facts")


def test_the_limit_slides_and_is_applied(page: Any, server: Server) -> None:
    """The table follows the slider, examples come, and Apply sets the limit of the run."""
    view(page, server, "view=limit")
    slider = page.locator("#slider")
    slider.focus()
    before = page.inner_text("#limit table")
    for _ in range(12):
        page.keyboard.press("ArrowLeft")
    settled(page)
    assert before != page.inner_text("#limit table")
    told(page, "#limit", "would go")
    assert page.locator(".example").count() > 0

    page.get_by_role("button", name="Apply …").last.click()
    page.wait_for_selector("#plan-do:enabled")
    assert "--set verify.max_false_probability=" in page.inner_text("#plan")
    page.keyboard.press("Enter")
    told(page, "#plan-text h3", "Applied")

    assert server.session.run.resolved["max_false_probability"] < 0.2


def test_a_random_sample_tells_the_precision(page: Any, server: Server) -> None:
    """All judged in its view: the sentence has the interval; judging elsewhere leaves it."""
    view(page, server, "view=sample")
    n = int(page.inner_text("#count").split()[0])
    for place in range(n):
        page.keyboard.press("n" if place == 0 else "y")
    told(page, "#precision", f"Of {n} pairs judged")
    before = page.text_content("#precision p")
    view(page, server, "view=leaks")
    page.keyboard.press("n")
    settled(page)
    view(page, server, "view=sample")

    told(page, "#precision", f"Of {n} pairs judged")

    assert f"{n - 1} are the same picture" in before
    assert "%" in before
    assert before == page.text_content("#precision p")


def test_every_row_of_a_long_list_can_be_seen(page: Any, server: Server) -> None:
    """Scrolled to the end and back, no place stays empty, and few rows are elements."""
    view(page, server, "view=rejected")
    n = int(page.inner_text("#count").split()[0].replace(",", ""))
    for place in (1.0, 0.5, 0.0):
        page.evaluate(f"rows.scrollTop = {place} * rows.scrollHeight")
        page.wait_for_timeout(150)
        settled(page)

        assert 0 == page.locator(".row.waiting").count()
        assert 0 < page.locator(".row").count() <= min(n, 60)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "asked", ["view=leaks", "view=sample", "view=unreadable", "view=not_read", "view=limit"]
)
def test_wcag(chromium: Any, server: Server, faults: Faults, asked: str, scheme: str) -> None:
    """axe-core finds no violation of WCAG 2.1 A or AA, in both colour schemes."""
    opened = chromium.new_page(color_scheme=scheme)
    faults.watch(opened)
    opened.goto(f"{server.address}#{asked}")
    settled(opened)
    opened.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    opened.wait_for_timeout(200)
    found = axe.Axe().run(opened, options=WCAG).response["violations"]
    opened.close()

    assert [] == [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found]


def test_dialogs_are_accessible(page: Any) -> None:
    """The keys and the plan, opened and closed by keys alone."""
    page.keyboard.press("?")
    keys = axe.Axe().run(page, options=WCAG).response["violations"]
    page.keyboard.press("Escape")
    page.keyboard.press("y")
    page.keyboard.press("a")
    page.wait_for_selector("#plan-do:enabled")
    plan = axe.Axe().run(page, options=WCAG).response["violations"]
    page.keyboard.press("Escape")

    assert [] == [*keys, *plan]
    assert 0 == page.locator("dialog[open]").count()


def test_a_narrow_window(page: Any, server: Server) -> None:
    """At 420 pixels nothing is wider than the window."""
    page.set_viewport_size({"width": 420, "height": 800})
    for asked in ("view=leaks", "view=limit"):
        view(page, server, asked)

        assert page.evaluate("document.documentElement.scrollWidth") <= 420


def test_a_server_that_is_gone_is_named(page: Any, faults: Faults) -> None:
    """The verdict is taken back on the page, and the page says why."""
    settled(page)
    page.route("**/api/judge", lambda route: route.abort())
    page.keyboard.press("y")
    page.wait_for_selector("#trouble:not([hidden])")

    assert "Is it still running?" in page.inner_text("#trouble")
    assert 0 == page.locator(".row .verdict").count()
    faults.clear()
