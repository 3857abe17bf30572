"""Judging pairs in the report: driven in Chromium where it is installed."""

import csv
import io
import json
import queue
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pytest

from dedup.reporting import listing
from tests.naive import Sample, World
from tests.test_report import Page, no_pictures, rendered

IDS = (
    "plain",
    "a,b",
    'say "hi"',
    "two\nlines",
    " spaces ",
    "=1+1",
    "</script><b>",
    "käse 📷",
    "cr\rlf\r\n",
    "'x'\\",
)
DRIVER = """
const say = {};
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const box = (place, verdict) =>
  [...document.querySelectorAll(`[data-pair="${place}"] input[data-verdict="${verdict}"]`)];
const files = {};
URL.createObjectURL = (blob) => { files.last = blob; return "blob:none"; };
HTMLAnchorElement.prototype.click = function () { files.name = this.download; };
const saved = async (verdict) => {
  document.getElementById("save-" + verdict).click();
  return files.last.text();
};
const open = async (verdict, text) => {
  const given = new DataTransfer();
  given.items.add(new File([text], "list.csv"));
  const input = document.getElementById("open-" + verdict);
  input.files = given.files;
  const note = document.getElementById("said");
  note.textContent = "";
  input.dispatchEvent(new Event("change"));
  for (let k = 0; k < 400 && !note.textContent; k++) {
    await new Blob(["x"]).text(); await wait(5);
  }
};
(async () => {
  %s
})().catch((error) => { say.error = String(error); })
  .finally(() => fetch("/said", { method: "POST", body: JSON.stringify(say) }));
"""


def world(n: int) -> World:
    """Near pairs (0, 1), (2, 3), …, each between train and test."""
    samples = tuple(Sample("train" if k % 2 == 0 else "test", k) for k in range(2 * n))
    near = {(2 * k, 2 * k + 1): (3, 3, 0.9375) for k in range(n)}
    return World(samples, near, dict.fromkeys(range(2 * n), 100))


def listed(page: str) -> list[list[str]]:
    """The rows that the page gives to its script."""
    found = re.search(r'<script id="pairs" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    rows: list[list[str]] = json.loads(found[1])
    return rows


def browser(folder: Path) -> list[str]:
    """The command that runs Chromium with nothing kept from elsewhere."""
    found = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if found is None:
        pytest.skip("no Chromium is installed here")
    options = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
        " --disable-background-networking"
    )
    return [
        found,
        *options.split(),
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={folder}",
    ]


def dumped(page: str, folder: Path) -> str:
    """The DOM of the page, opened from a file, after its script ran."""
    (folder / "page.html").write_text(page, encoding="utf-8")
    command = [*browser(folder / "profile"), "--dump-dom", (folder / "page.html").as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def driven(page: str, folder: Path, steps: str) -> dict[str, object]:
    """What the steps put into `say`: they run behind the page's own script, for which its policy is
    taken off.
    """
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    page = page.replace("</body>", f"<script>{DRIVER % steps}</script></body>")
    answers: queue.Queue[bytes] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(page.encode())

        def do_POST(self) -> None:
            answers.put(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer(b"")

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    command = [*browser(folder / "profile"), "--remote-debugging-port=0"]
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page_at = f"http://127.0.0.1:{server.server_port}/"
        with subprocess.Popen(
            [*command, page_at], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                said: dict[str, object] = json.loads(answers.get(timeout=120))
            finally:
                process.kill()
                server.shutdown()
    assert "error" not in said, said
    return said


@pytest.fixture
def renamed(monkeypatch: pytest.MonkeyPatch) -> World:
    """Near pairs whose ids are hard to write as CSV."""
    made = world(len(IDS))
    manifest = made.manifest()
    names = [f"{side}{name}" for name in IDS for side in "ab"]
    place = manifest.column_names.index("id")
    changed = manifest.set_column(place, manifest.schema.field("id"), pa.array(names, pa.string()))
    monkeypatch.setattr(World, "manifest", lambda self: changed)
    return made


def rows_of(text: object) -> list[dict[str, str]]:
    """A list as Python reads it."""
    assert isinstance(text, str)
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_it_runs_under_the_pages_own_policy(tmp_path: Path) -> None:
    """The policy lets the page's script run, and each pair has its radio buttons."""
    dom = dumped(rendered(world(3), no_pictures), tmp_path)
    boxes = [attributes for tag, attributes in Page(dom).tags if attributes.get("type") == "radio"]

    assert 'class="judging"' in dom
    # in a gallery and in the list
    assert len([box for box in boxes if box.get("data-verdict") == "not"]) >= 2 * 3


def test_lists_are_csv(renamed: World, tmp_path: Path) -> None:
    """Ids with commas, quotes and line ends are read back as they were; the file has the name that
    the docs use.
    """
    steps = """
    for (let k = 0; k < %d; k++) box(k, "not")[0].click();
    say.text = await saved("not"); say.name = files.name;
    say.disabled = document.getElementById("save-yes").disabled;
    """
    page = rendered(renamed, no_pictures)
    said = driven(page, tmp_path, steps % len(IDS))
    expected = sorted(
        ([f"a{name}", f"b{name}", ""] for name in IDS), key=lambda row: "\n".join(row)
    )

    assert sorted(map(list, expected)) == sorted(
        list(row.values()) for row in rows_of(said["text"])
    )
    assert ("not_duplicates.csv", True) == (said["name"], said["disabled"])
    assert str(said["text"]).startswith("id_a,id_b,note\n")


def test_a_list_is_opened_and_grows(renamed: World, tmp_path: Path) -> None:
    """An opened list keeps its notes, pairs of other runs and hard ids; what is judged now comes to
    it.
    """
    rows = [[f"b{name}", f"a{name}", "by hand, twice"] for name in IDS[1:]] + [
        ["of another", "run", ""]
    ]
    sink = io.StringIO()
    csv.writer(sink).writerows([["id_a", "id_b", "note"], *rows])
    steps = f"""
    await open("yes", {json.dumps(sink.getvalue()).replace("<", chr(92) + "u003c")});
    box(0, "yes")[0].click();
    say.checked = box(1, "yes").map((one) => one.checked);
    say.text = await saved("yes"); say.name = files.name;
    await open("not", "no,header\\n1,2\\n");
    say.refused = document.getElementById("said").textContent;
    """
    said = driven(rendered(renamed, no_pictures), tmp_path, steps)
    got = {frozenset((row["id_a"], row["id_b"])): row["note"] for row in rows_of(said["text"])}

    assert got == {
        **{frozenset(row[:2]): row[2] for row in rows},
        frozenset((f"a{IDS[0]}", f"b{IDS[0]}")): "",
    }
    assert said["checked"] == [True] * len(said["checked"])  # type: ignore[arg-type]
    assert "has no columns id_a and id_b" in str(said["refused"])


def test_judgements_stay(tmp_path: Path) -> None:
    """They stay while pages are turned and rows filtered; a pair has one judgement, the same
    wherever it is shown.
    """
    steps = """
    const rows = () => document.querySelectorAll("#rows tr").length;
    const type = (text) => {
      document.getElementById("words").value = text;
      document.getElementById("words").dispatchEvent(new Event("input"));
    };
    box(2, "not")[0].click();
    say.everywhere = box(2, "not").map((one) => one.checked);
    say.first = rows();
    document.getElementById("on").click();
    say.second = rows();
    box(60, "not").at(-1).click(); box(60, "yes").at(-1).click();
    say.one = [box(60, "not").at(-1).checked, box(60, "yes").at(-1).checked];
    document.getElementById("back").click();
    say.kept = box(2, "not").map((one) => one.checked);
    type("id000007"); say.filtered = rows(); type("");
    document.getElementById("only").click();
    say.judged = rows();
    const button = (verdict) => document.getElementById("save-" + verdict).textContent;
    say.buttons = ["not", "yes"].map(button);
    say.stored = JSON.parse(Object.values(localStorage)[0]).length;
    """
    said = driven(rendered(world(70), no_pictures), tmp_path, steps)

    n_kept = len(said["kept"])  # type: ignore[arg-type]
    assert said["everywhere"] == said["kept"] == [True] * n_kept
    assert (50, 20, 1, 2) == (said["first"], said["second"], said["filtered"], said["judged"])
    assert said["one"] == [False, True]
    assert said["buttons"] == ["not_duplicates.csv (1)", "duplicates.csv (1)"]
    assert said["stored"] == 2


def test_the_list_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds the worst pairs up to its size and says that there are more."""
    monkeypatch.setattr(listing, "MAX_BYTES", 20_000)
    page = rendered(world(1_000), no_pictures)

    assert 50 < len(listed(page)) < 1_000
    assert f"{len(listed(page)):,} of 1,000 pairs are listed" in page


def test_identical_pictures_are_not_judged() -> None:
    """A list cannot say of the same pixels that they are two pictures, so nobody is asked."""
    samples = (Sample("train", 0), Sample("test", 0), Sample("train", 1), Sample("test", 2))
    page = rendered(
        World(samples, {(1, 2): (3, 3, 0.9375)}, dict.fromkeys(range(3), 100)), no_pictures
    )

    assert [["id000002", "id000003"]] == [row[:2] for row in listed(page)]


def test_nothing_to_judge() -> None:
    """Without a pair there is no script and no bar."""
    page = rendered(
        World((Sample("train", 0), Sample("test", 1)), {}, {0: 100, 1: 100}), no_pictures
    )

    assert "<script" not in page
    assert "Your judgements" not in page
