"""``monitor --web`` as a command on real brokers: it says where the page is, serves it, and ends cleanly."""

import json
import re
import signal
import urllib.error
import urllib.request
from typing import Any

import pytest

from running import Started, started, until

pytestmark = pytest.mark.broker


def address(running: Started) -> str:
    """Where the page is, as the command says."""
    until(lambda: " in a browser" in running.told, "an address")
    found = re.search(r"open (http://\S+) in a browser", running.told)
    assert found
    return found[1]


def get(url: str, **headers: str) -> Any:
    """The JSON at a URL; None before there is any."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code != 503:
            raise
        return None


def test_it_serves_until_it_is_stopped(broker: tuple[str, ...]) -> None:
    with started("monitor", "--web", "--listen", "127.0.0.1:0", "-b", ",".join(broker)) as running:
        url = address(running)
        views: list[Any] = []

        def all_alive() -> bool:
            views.append(get(f"{url}api/overview"))
            return views[-1] is not None and [one["alive"] for one in views[-1]["brokers"]] == [True] * 3

        until(all_alive, "a look at three brokers")
        told = views[-1]
        assert f"{told['brokers'][0]['host']}:{told['brokers'][0]['port']}" in broker
        assert get(f"{url}api/about")["changes"] is False
        running.signal(signal.SIGTERM)
        assert running.end() == 0
    assert "Traceback" not in running.told


def test_it_serves_before_any_broker_answers(tmp_path: Any) -> None:
    """And with changes it asks for a token."""
    with started("monitor", "--web", "--listen", "127.0.0.1:0", "--allow-changes", "-b", "127.0.0.1:1") as running:
        where, _, token = address(running).partition("?token=")
        assert len(token) >= 32
        with pytest.raises(urllib.error.HTTPError, match="401"):
            get(f"{where}api/about")
        key = {"Authorization": f"Bearer {token}"}
        assert get(f"{where}api/about", **key)["changes"] is True
        until(lambda: get(f"{where}api/overview", **key), "a view of nobody")
        told = get(f"{where}api/overview", **key)
        assert told["reachable"] is False
        assert told["problems"]
        running.signal(signal.SIGINT)
        assert running.end() == 0
