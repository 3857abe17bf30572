"""The server of `dedup review`: whom it answers, what it answers, and how it takes bad input."""

import http.client
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dedup import pipeline
from dedup.errors import ConfigError, RunError
from dedup.review.limits import LimitCurve
from dedup.review.opened import OpenedRun
from dedup.review.server import Server
from dedup.review.session import Session
from dedup.runs import judging
from tests.review.made import HOSTILE, dataset, ran


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that tests copy; its dataset is beside it."""
    root = tmp_path_factory.mktemp("review")
    dataset(root / "data", names=HOSTILE)
    ran(root / "data", root / "run")
    return root


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made / "run", tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def session(out: Path) -> Iterator[Session]:
    opened = Session(out)
    yield opened
    opened.close()


@pytest.fixture
def server(session: Session) -> Iterator[Server]:
    with Server(session) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def request(
    server: Server, path: str, method: str = "GET", body: str | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """A request by the given path below the token, or another one if it begins with a slash."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    whole = path if path.startswith("/") else f"/{server.token}/{path}"
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, whole, body, given)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), content


class TestWhoIsAnswered:
    @pytest.mark.parametrize("path", ["/", "/wrong/", "/wrong/api/run", "//api/run"])
    def test_nobody_without_the_token(self, server: Server, path: str) -> None:
        """Whatever is asked for, the answer is the same and says nothing."""
        assert (404, b"Not Found") == request(server, path)[::2]

    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:1", ""])
    def test_nobody_by_another_name(self, server: Server, host: str) -> None:
        """A page elsewhere that lets its own name point here is refused, token or not."""
        assert 403 == request(server, "api/run", Host=host)[0]

    def test_no_page_of_another_origin(self, server: Server) -> None:
        """Neither to read nor to judge."""
        evil = "http://evil.example"

        assert 403 == request(server, "api/run", Origin=evil)[0]
        assert 403 == request(server, "api/judge", "POST", "{}", Origin=evil)[0]

    def test_tokens_differ(self, session: Session) -> None:
        """Each server has its own, of 192 random bits."""
        with Server(session) as one, Server(session) as two:
            assert one.token != two.token
            assert len(one.token) >= 32

    @pytest.mark.parametrize(
        "path",
        [
            "static/../page.html",
            "static/%2e%2e/session.py",
            "static//etc/passwd",
            "thumb/../../etc/passwd",
            "thumb/999999",
            "thumb/-1",
            "thumb/1e3",
            "large/",
            "api/nothing",
            "api/judge",
        ],
    )
    def test_nothing_else_is_served(self, server: Server, path: str) -> None:
        """Files only from a fixed list, pictures only by the number of a sample."""
        assert 404 == request(server, path)[0]

    def test_every_answer_forbids_other_scripts(self, server: Server) -> None:
        """The page, pictures, data and refusals carry the policy."""
        for path in ("", "static/pair.js", "thumb/0", "api/run", "api/nothing"):
            headers = request(server, path)[1]

            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert "unsafe" not in headers["Content-Security-Policy"]
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"

    @pytest.mark.parametrize(
        "body", ["", "[]", "{", "null", "[" * 50_000, '{"a": 1' + "0" * 200_000]
    )
    def test_a_body_that_is_not_an_object_is_refused(self, server: Server, body: str) -> None:
        """Neither malformed, nor nested, nor huge ones harm it."""
        kind = "application/json"

        assert 400 == request(server, "api/judge", "POST", body, Content_Type=kind)[0]
        assert 200 == request(server, "api/run")[0]

    def test_a_form_of_another_page_is_refused(self, server: Server) -> None:
        """Browsers send forms anywhere, but not as JSON."""
        assert 400 == request(server, "api/judge", "POST", "{}", Content_Type="text/plain")[0]


class TestViews:
    def test_they_are_what_the_tables_have(self, session: Session) -> None:
        """Ids, kinds and doubts of the pairs, most doubtful first; hostile names as they are."""
        rows = session.rows({"view": "pairs", "n": "500"})["rows"]
        stored = pq.read_table(session.folder / "pairs.parquet").to_pylist()
        expected = sorted((row["id_a"], row["id_b"], row["kind"]) for row in stored)
        doubts = [row["doubt"] for row in rows]

        assert expected == sorted((row["id_a"], row["id_b"], row["kind"]) for row in rows)
        assert sorted(doubts, reverse=True) == doubts
        assert any("onerror" in row["id_a"] + row["id_b"] for row in rows)

    def test_leaks_have_the_train_side_first(self, session: Session) -> None:
        """Each leak with its witness and the doubt of its pair."""
        rows = session.rows({"view": "leaks"})["rows"]
        stored = pq.read_table(session.folder / "leakage.parquet").to_pylist()

        assert sorted((row["id"], row["witness_id"]) for row in stored) == sorted(
            (row["id_a"], row["id_b"]) for row in rows
        )
        assert {("train", "test")} == {(row["split_a"], row["split_b"]) for row in rows}
        assert None not in [row["doubt"] for row in rows]

    @pytest.mark.parametrize(
        ("asked", "keeps"),
        [
            ({"split": "test"}, lambda row: "test" in (row["split_a"], row["split_b"])),
            ({"label": "cat"}, lambda row: "cat" in (row["label_a"], row["label_b"])),
            ({"text": "COPY OF =1"}, lambda row: "copy of =1" in row["id_a"] + row["id_b"]),
            ({"min_similarity": "0.99"}, lambda row: row["similarity"] >= 0.99),
            ({"max_similarity": "0.99"}, lambda row: row["similarity"] <= 0.99),
            ({"kind": "near"}, lambda row: row["kind"] == "near"),
        ],
    )
    def test_filters_keep_what_they_say(
        self, session: Session, asked: dict[str, str], keeps: Any
    ) -> None:
        """Against the same test in Python over all rows."""
        every = session.rows({"view": "pairs", "n": "500"})["rows"]
        found = session.rows({"view": "pairs", "n": "500", **asked})
        expected = [row for row in every if keeps(row)]

        assert expected == found["rows"]
        assert len(expected) == found["total"]

    def test_a_side_filter_is_about_the_smaller_picture(self, session: Session) -> None:
        """The pair with the small copy is the only one below 130 pixels."""
        rows = session.rows({"view": "pairs", "max_side": "130"})["rows"]

        assert [True] == ["small.png" in row["id_a"] + row["id_b"] for row in rows]

    def test_what_is_unreadable_and_what_was_not_read(self, session: Session) -> None:
        """With the status and the reason."""
        broken = session.rows({"view": "unreadable"})["rows"]
        others = session.rows({"view": "not_read"})["rows"]

        assert ["train/dog/broken.jpg"] == [row["id_a"] for row in broken]
        assert ["train/notes.txt"] == [row["detail"] for row in others]

    @pytest.mark.parametrize(
        "asked",
        [
            {"view": "nothing"},
            {"view": "pairs", "sort": "up"},
            {"view": "pairs", "min_side": "many"},
            {"view": "pairs", "start": "x"},
            {"view": "pairs", "judged": "perhaps"},
            {"view": "sample", "design": "other"},
        ],
    )
    def test_a_wrong_question_is_named(self, session: Session, asked: dict[str, str]) -> None:
        """What it got, and what is allowed."""
        with pytest.raises(ConfigError, match=r"Allowed|not a number"):
            session.rows(asked)

    def test_every_view_opens(self, session: Session, server: Server) -> None:
        """Over HTTP, as JSON, whatever the names are; each pair in it can be explained."""
        for view in session.about()["views"]:
            status, _, body = request(server, f"api/rows?view={quote(view['name'])}")
            rows = json.loads(body)["rows"]

            assert 200 == status
            for row in rows[:3]:
                if row["a"] >= 0:
                    asked = f"api/pair?a={row['a']}&b={row['b']}"

                    assert 200 == request(server, asked)[0]


class TestJudging:
    def test_it_is_written_at_once_and_undone(self, session: Session) -> None:
        """The row is on the disk when the answer comes; undo brings back what was there."""
        row = session.rows({"view": "leaks"})["rows"][0]
        pair = {"a": row["a"], "b": row["b"]}
        first = session.judge({**pair, "verdict": "same"})
        second = session.judge({**pair, "verdict": "different"})

        assert ["different"] == [one.verdict for one in judging.judgements(session.folder)]
        assert "same" == session.undo({"undo": second["undo"]})["verdict"]
        assert "" == session.undo({"undo": first["undo"]})["verdict"]
        assert () == judging.judgements(session.folder)

    def test_two_sessions_lose_nothing(self, out: Path, session: Session) -> None:
        """What one wrote the other sees; undo never takes back what the other said since."""
        other = Session(out)
        rows = session.rows({"view": "leaks"})["rows"]
        pairs = [{"a": row["a"], "b": row["b"]} for row in rows[:2]]
        mine = session.judge({**pairs[0], "verdict": "same"})
        other.judge({**pairs[1], "verdict": "unsure"})
        other.judge({**pairs[0], "verdict": "different"})
        with pytest.raises(ConfigError, match="judged again since"):
            session.undo({"undo": mine["undo"]})
        words = [row["verdict"] for row in session.rows({"view": "leaks"})["rows"][:2]]
        other.close()

        assert ["different", "unsure"] == words
        assert {"same": 0, "different": 1, "unsure": 1} == session.judged()["judged"]

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"a": 0, "b": 10**9, "verdict": "same"}, "no sample"),
            ({"a": 0, "b": "x", "verdict": "same"}, "not a number"),
            ({"a": 0, "b": 1, "verdict": "maybe"}, "Allowed"),
            ({"a": 0, "b": 1, "verdict": "same", "sample": "mine"}, "random sample"),
            ({"a": 0, "b": 1}, "Allowed"),
        ],
    )
    def test_a_wrong_judgement_is_refused(
        self, session: Session, given: dict[str, Any], expected: str
    ) -> None:
        """Nothing is written."""
        with pytest.raises(ConfigError, match=expected):
            session.judge(given)

        assert not (session.folder / judging.JUDGEMENTS).exists()

    def test_identical_pictures_cannot_be_different(self, made: Path, tmp_path: Path) -> None:
        """No limit and no list can say so either."""
        shutil.copytree(made / "data", tmp_path / "data")
        photo = next((tmp_path / "data" / "test").rglob("*.png"))
        shutil.copy(photo, tmp_path / "data" / "train" / "dog" / "twin.png")
        ran(tmp_path / "data", tmp_path / "run")
        session = Session(tmp_path / "run")
        row = session.rows({"view": "pairs", "kind": "bytes"})["rows"][0]
        with pytest.raises(ConfigError, match="same pixels"):
            session.judge({"a": row["a"], "b": row["b"], "verdict": "different"})
        session.close()

    def test_a_plan_changes_nothing_and_apply_what_it_said(self, session: Session) -> None:
        """The plan's figures are those of the run afterwards."""
        row = session.rows({"view": "leaks"})["rows"][0]
        session.judge({"a": row["a"], "b": row["b"], "verdict": "different"})
        before = (session.folder / "pairs.parquet").read_bytes()
        plan = session.plan({})

        assert before == (session.folder / "pairs.parquet").read_bytes()
        assert not session.judged()["applied"]

        applied = session.apply({})
        names = {name: (n, m) for name, n, m in plan["changes"]}

        assert plan["changes"] == applied["changes"]
        assert names["judged different"] == (0, 1)
        assert names["pairs, near"][0] == names["pairs, near"][1] + 1
        assert session.judged()["applied"]
        assert row["id_a"] not in [one["id_a"] for one in session.rows({"view": "leaks"})["rows"]]


class TestLimits:
    def test_the_curve_is_what_decide_gives(self, session: Session) -> None:
        """Pairs, images and leaks by split at every fourth setting are those of a plan there, with
        judgements both ways.
        """
        rows = session.rows({"view": "pairs", "kind": "near"})["rows"]
        session.judge({"a": rows[0]["a"], "b": rows[0]["b"], "verdict": "different"})
        session.judge({"a": rows[1]["a"], "b": rows[2]["b"], "verdict": "same"})
        curve = session.limit()
        assert curve["settings"][0] == 0.0

        for place in range(0, len(curve["settings"]), 4):
            limit = curve["settings"][place]
            planned = pipeline.planned(session.folder, [f"verify.max_false_probability={limit}"])

            assert sum(planned["pairs"]["by_kind"].values()) == curve["pairs"][place]
            assert planned["pairs"]["images"] == curve["images"][place]
            assert planned["leakage"]["test"]["leaking"] == curve["leaks"]["test"][place]

    def test_bare_thresholds_slide_over_distances(self, made: Path, tmp_path: Path) -> None:
        """Without verification the slider is the distance, up to what was searched."""
        search = {"max_distance": 6}
        ran(made / "data", tmp_path / "run", verify={"method": "none"}, search=search)
        curve = LimitCurve(OpenedRun(tmp_path / "run"), {})
        found = curve.curve()

        assert list(range(7)) == found["settings"]
        for bits in (0, 3, 6):
            planned = pipeline.planned(tmp_path / "run", [f"search.max_distance={bits}"])

            assert sum(planned["pairs"]["by_kind"].values()) == found["pairs"][bits]

    def test_examples_are_between_the_limits(self, session: Session) -> None:
        """A lower limit takes pairs away, each with a doubt between the two."""
        found = session.between({"limit": "0"})
        near = session.rows({"view": "pairs", "kind": "near", "n": "500"})["rows"]

        assert (False, len(near)) == (found["come"], found["n"])
        assert all(0 < row["doubt"] <= session.limit()["current"] for row in found["rows"])


class TestSample:
    def test_its_judgements_give_the_precision(self, session: Session) -> None:
        """In the answer, and in the summary once they are applied; a pair judged different stays
        in the sample that it was drawn into.
        """
        rows = session.rows({"view": "sample", "n": "500"})["rows"]
        for place, row in enumerate(rows):
            verdict = "different" if place == 0 else "same"
            judged = {"a": row["a"], "b": row["b"], "verdict": verdict, "sample": "random 0"}
            session.judge(judged)
        before = session.precision({"view": "sample"})
        session.apply({})
        after = session.precision({"view": "sample"})

        assert len(rows) == before["judged"] == before["same"] + 1
        assert before == after
        assert (
            round((len(rows) - 1) / len(rows), 4) == session.run.summary["precision"]["precision"]
        )

    def test_other_judgements_do_not(self, session: Session) -> None:
        """The same pairs, judged in another view."""
        for row in session.rows({"view": "sample"})["rows"]:
            session.judge({"a": row["a"], "b": row["b"], "verdict": "different"})

        assert 0 == session.precision({"view": "sample"})["judged"]
        session.apply({})

        assert session.run.summary["precision"] is None


class TestPictures:
    def test_they_are_of_the_dataset(self, session: Session) -> None:
        """A thumbnail and a large one, as JPEG."""
        session.album.wait(20)
        small, large = (session.album.picture(0, size) for size in ("thumb", "large"))

        assert ("ok", "ok") == (small.state, large.state)
        assert small.jpeg is not None
        assert small.jpeg.startswith(b"\xff\xd8")

    def test_a_dataset_that_has_moved(self, made: Path, tmp_path: Path) -> None:
        """The stored thumbnails are shown, and the page says so."""
        dataset(tmp_path / "data")
        ran(tmp_path / "data", tmp_path / "run")
        (tmp_path / "data").rename(tmp_path / "moved")
        session = Session(tmp_path / "run")
        session.album.wait(20)
        shown = session.album.picture(0, "large")
        told = session.about()["trouble"]
        session.close()

        assert "stored" == shown.state
        assert shown.jpeg is not None
        assert "not where it was" in told

    def test_pictures_that_vanished_changed_or_broke(self, made: Path, tmp_path: Path) -> None:
        """Each says what it is; nobody judges another picture than was searched."""
        dataset(tmp_path / "data")
        run = ran(tmp_path / "data", tmp_path / "run")
        ids = run.manifest["id"].to_pylist()
        paths = [tmp_path / "data" / name for name in ids]
        pictures = [k for k, path in enumerate(paths) if path.suffix == ".png"][:3]
        paths[pictures[0]].unlink()
        shutil.copy(paths[pictures[2]], paths[pictures[1]])
        paths[pictures[2]].write_bytes(b"\x89PNG\r\n\x1a\nbroken")
        session = Session(tmp_path / "run")
        session.album.wait(20)
        shown = [session.album.picture(k, "large") for k in pictures]
        told = session.about()["trouble"]
        session.close()

        assert ["stored", "changed", "stored"] == [one.state for one in shown]
        assert "undecodable" in shown[2].detail
        assert "1 of" in told

    def test_the_overlay_finds_the_map(self, session: Session) -> None:
        """A copy of the same size lies where the original does; a map is six numbers."""
        row = session.rows({"view": "leaks"})["rows"][0]
        found = session.laid_over({"a": row["a"], "b": row["b"]})["map"]

        assert [1, 0, 0, 0, 1, 0] == pytest.approx(found, abs=0.03)


class TestBadInput:
    def test_an_unfinished_run(self, out: Path) -> None:
        """It is refused, with what to do."""
        info = json.loads((out / "run.json").read_text())
        (out / "run.json").write_text(json.dumps({**info, "state": "started"}))
        with pytest.raises(RunError, match="not finished"):
            Session(out)

    def test_no_run(self, tmp_path: Path) -> None:
        """A folder without one is named."""
        with pytest.raises(RunError, match="holds no run"):
            Session(tmp_path)

    def test_a_port_in_use(self, session: Session, server: Server) -> None:
        """It is named, with what to do; nothing is shared with whoever has it."""
        with pytest.raises(RunError, match=rf"Port {server.server_port} .*--port"):
            Server(session, server.server_port)

    def test_a_run_that_is_replaced_meanwhile(
        self, made: Path, out: Path, session: Session
    ) -> None:
        """The next answer is about the new one."""
        before = session.about()["stamp"]
        ran(made / "data", out, overwrite=True, search={"max_distance": 4})
        session.refreshed()

        assert before != session.about()["stamp"]
        assert {"dhash": 4, "phash": 4} == session.run.resolved["max_distance"]

    def test_a_run_of_an_older_version(self, out: Path) -> None:
        """Without the columns that came later, and of another schema version: what is there is
        shown.
        """
        later = ["false_probability", "better", "close_similarity", "unframed", "structure"]
        for name in ("pairs", "candidates"):
            table = pq.read_table(out / f"{name}.parquet")
            older = table.drop_columns([c for c in later if c in table.column_names])
            pq.write_table(older, out / f"{name}.parquet")
        for name in ("hashes", "manifest"):
            table = pq.read_table(out / f"{name}.parquet")
            older = table.drop_columns(
                [c for c in ("n_frames", "group") if c in table.column_names]
            )
            metadata = {**(table.schema.metadata or {}), b"dedup.schema_version": b"0"}
            pq.write_table(older.replace_schema_metadata(metadata), out / f"{name}.parquet")
        session = Session(out)
        row = session.rows({"view": "pairs"})["rows"][0]
        known = session.pair({"a": str(row["a"]), "b": str(row["b"])})
        session.close()

        assert known["accepted"]
        assert row["similarity"] is not None

    def test_an_empty_run(self, tmp_path: Path) -> None:
        """No pairs: every view is empty, and the limit has nothing to count."""
        dataset(tmp_path / "data", n=2, n_copies=0)
        for path in (tmp_path / "data").rglob("small.png"):
            path.unlink()
        ran(tmp_path / "data", tmp_path / "run")
        session = Session(tmp_path / "run")
        totals = [
            session.rows({"view": view["name"]})["total"]
            for view in session.about()["views"]
            if view["name"] not in {"unreadable", "not_read", "dropped"}
        ]
        curve = session.limit()
        session.close()

        assert {0} == set(totals)
        assert {0} == set(curve["pairs"])


def test_the_token_is_in_the_address(server: Server) -> None:
    """And the page is there."""
    parts = urlsplit(server.address)

    assert "127.0.0.1" == parts.hostname
    assert f"/{server.token}/" == parts.path
    assert b"<title>dedup review" in request(server, "")[2]


def test_views_have_one_schema(session: Session) -> None:
    """What the page knows of rows does not depend on the view."""
    from dedup.review import views

    for _, make, _ in views.VIEWS.values():
        table: pa.Table = make(session.run)

        assert views.ROWS == table.schema
