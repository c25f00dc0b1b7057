"""Storage on real brokers: ``run`` stores as the topic's table says, ``verify`` and ``query`` read it back."""

from pathlib import Path

import pytest

from running import cli, ok
from sensorstream.cluster import LocalCluster

pytestmark = pytest.mark.broker


def test_run_stores_as_the_table_of_the_topic_says(cluster: LocalCluster, tmp_path: Path) -> None:
    b = ["--bootstrap", ",".join(cluster.bootstrap)]
    rows = [f"2023-08-{28 + n // 100} 00:{n // 60 % 60:02}:{n % 60:02},S{n % 3},{n / 4}" for n in range(400)]
    (tmp_path / "POND.csv").write_text("\n".join(["Time,Station,Level", *rows, ""]))
    (tmp_path / "sensorstream.toml").write_text(
        '[topics.STORED_POND]\nsource = "POND.csv"\ntime_column = "Time"\n'
        '[topics.STORED_POND.capture]\nformat = "parquet"\nfolders = "date"\ndate_column = "Time"\nrotate_rows = 60\n'
    )
    ok("topics", "create", "STORED_POND", *b, cwd=tmp_path)
    lab = ok("run", "-e", "--delay", "0", "--to", "out", "-g", "stored_pond", *b, cwd=tmp_path)
    assert lab["captured"]
    assert sorted(path.name for path in (tmp_path / "out" / "STORED_POND").glob("date*")) == [
        f"date_utc=2023-08-{day}" for day in range(28, 32)
    ]
    found = ok("verify", "out", cwd=tmp_path)
    assert (found["exactly_once"], found["compared"]) == (True, 400)
    sql = "SELECT date_utc, count(*), avg(Level), max(Time) FROM stored_pond GROUP BY 1 ORDER BY 1"
    answer = ok("query", sql, "out", cwd=tmp_path)
    assert answer["rows"][0] == ["2023-08-28", 100, 12.375, "2023-08-28T00:01:39"]
    assert [row[1] for row in answer["rows"]] == [100] * 4
    wrong = cli("query", "SELECT Depth FROM stored_pond", "out", cwd=tmp_path)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
