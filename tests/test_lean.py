"""What a process does without, shown in processes of their own."""

import subprocess
import sys

SAYS = (
    "import sys, pyarrow as pa; pa.array([1]); pa.table({'a': [1]}); print('pandas' in sys.modules)"
)


def said(*lines: str) -> str:
    """What a process prints that runs these lines."""
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_arrow_finds_no_pandas_and_others_do() -> None:
    """With it, arrays are made without pandas, which can still be imported, and made from tables;
    without it, Arrow imports pandas, so that this test can fail.
    """
    lean = "from dedup.lean import let_arrow_do_without_pandas; let_arrow_do_without_pandas()"
    later = "import pandas; print(len(pa.table({'a': [1, 2]}).to_pandas()))"

    assert "True\n" == said(SAYS)
    assert "False\n2\n" == said(lean, SAYS, later)


def test_pandas_that_is_there_stays() -> None:
    """Who imported pandas before has Arrow know its series."""
    lean = "from dedup.lean import let_arrow_do_without_pandas; let_arrow_do_without_pandas()"
    series = "import pyarrow as pa; print(pa.array(pandas.Series([3, 4])).to_pylist())"

    assert "[3, 4]\n" == said("import pandas", lean, series)
