"""The two pages in a real browser: headless Chromium."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from dedup.bank import Bank
from tests.bank.made import edited, photos
from tests.service.made import Server, serving

SHOP = "/v1/banks/shop"
OWN = photos(range(4))
NEW = photos(range(60, 66))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium here (Debian: apt-get install chromium)"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A bank with a key, whose files the service may show."""
    folder = tmp_path_factory.mktemp("service")
    files = folder / "files"
    files.mkdir()
    with Bank.create(folder / "shop.bank") as bank:
        for name, data in OWN.items():
            (files / name).write_bytes(data)
            bank.add(data, name, uri=name)
        key = bank.keys.add("ann", ["review", "submit"])
    settings = {"review": {"pictures": str(files)}}
    with serving(folder, [folder / "shop.bank"], settings=settings, key=key) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    """A page without anything in the console but what a test expects."""
    context = browser.new_context()
    made = context.new_page()
    made.problems = []
    made.on("pageerror", lambda error: made.problems.append(str(error)))
    made.set_default_timeout(30_000)
    yield made
    context.close()


def signed_in(page: Any, server: Server, path: str) -> None:
    """The page, with the key typed in."""
    page.goto(server.url + path)
    page.fill("#key", server.headers["Authorization"].removeprefix("Bearer "))
    page.press("#key", "Enter")
    page.wait_for_selector("#bank option[value=shop]", state="attached")


def says(page: Any, where: str, text: str) -> None:
    """Wait until a part of the page has this text."""
    page.locator(where).filter(has_text=text).wait_for()


def test_a_dropped_picture_gets_its_verdict_and_its_matches(page: Any, server: Server) -> None:
    """Chosen by the keyboard's way, too; the match is shown beside its words."""
    signed_in(page, server, "/drop")
    page.set_input_files(
        "#file", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": edited(OWN["002.png"])}
    )
    page.wait_for_selector("#verdict.rejected")
    caption = page.inner_text("#matches figcaption")
    page.wait_for_selector("#matches img")
    width = page.eval_on_selector("#matches img", "image => image.naturalWidth")

    assert "002.png" in caption
    assert 160 == width
    assert [] == page.problems


def test_a_picture_can_be_dropped_and_joins_if_that_is_ticked(page: Any, server: Server) -> None:
    """A real drop event; afterwards the bank has it."""
    signed_in(page, server, "/drop")
    page.check("#join")
    page.evaluate(
        """bytes => {
            const given = new DataTransfer();
            given.items.add(new File([new Uint8Array(bytes)], "a.png", {type: "image/png"}));
            const drop = document.querySelector("#drop");
            drop.dispatchEvent(new DragEvent("drop", {dataTransfer: given, bubbles: true}));
        }""",
        list(NEW["060.png"]),
    )
    page.wait_for_selector("#verdict.approved")

    assert "It joined as sub_" in page.inner_text("#said")
    assert "rejected" == server.post(f"{SHOP}/checks", NEW["060.png"]).json["verdict"]


def test_what_is_no_picture_is_said(page: Any, server: Server) -> None:
    """The problem's words, no verdict."""
    signed_in(page, server, "/drop")
    page.set_input_files("#file", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b"x"})
    says(page, "#said", "cannot be read")

    assert not page.is_visible("#answer")


def test_pending_submissions_are_judged_by_keys(page: Any, server: Server) -> None:
    """Side by side, the difference, the next one; `a` joins, `r` does not."""
    names = []
    for k, name in enumerate(("061.png", "062.png")):
        body = NEW[name] if k else edited(OWN["001.png"])
        made = server.post(
            f"{SHOP}/submissions?id={name}&always_review=true&reject=1&review=0.5", body
        )
        names.append(made.json["name"])
    signed_in(page, server, "/review")
    page.wait_for_selector("#asked img")
    page.wait_for_selector("#entry img")
    shown = page.inner_text("#askedName")
    page.keyboard.press("o")
    page.wait_for_selector("#entry img.over")
    page.keyboard.press("j")
    says(page, "#count", "2 of 2")
    page.keyboard.press("k")
    says(page, "#count", "1 of 2")
    page.keyboard.press("r")
    says(page, "#count", "1 of 1")
    page.keyboard.press("a")
    says(page, "#said", "Nothing waits")
    said = [server.ask("GET", f"{SHOP}/submissions/{name}").json for name in names]

    assert "061.png" in shown
    assert [("rejected", "ann"), ("approved", "ann")] == [
        (one["verdict"], one["decided_by"]) for one in said
    ]
    assert [] == page.problems


def test_without_a_key_the_page_says_that_one_is_needed(page: Any, server: Server) -> None:
    """The page itself holds no data."""
    page.goto(server.url + "/review")
    says(page, "#said", "key")

    assert not page.is_visible("#one")


def test_both_pages_can_be_used_without_a_mouse(page: Any, server: Server) -> None:
    """Everything that can be used has a name and is reached by Tab."""
    for path in ("/drop", "/review"):
        signed_in(page, server, path)
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, input:not([hidden]), select")]
                .filter(one => !(one.innerText || one.labels?.length || one.ariaLabel)).length"""
        )

        assert 0 == nameless
