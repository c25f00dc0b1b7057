"""Who may ask the page's server, and what its answers forbid a browser."""

from collections.abc import Iterator

import pytest

from page_labs import HERE, TOKEN, Lab, said
from sensorstream.monitor.web.access import CSP, AccessRules


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    made.broker.create_topic("AIR", 2)
    yield made
    made.reading.close()


@pytest.mark.parametrize("path", ["/", "/static/js/main.js", "/api/overview", "/api/nothing", "/static/../app.py"])
def test_every_answer_carries_the_policy(lab: Lab, path: str) -> None:
    with lab.client() as client:
        headers = client.get(path).headers
    assert headers["content-security-policy"] == CSP
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


def test_the_policy_lets_nothing_in_from_elsewhere_and_nothing_inline() -> None:
    rules = dict(one.strip().split(" ", 1) for one in CSP.split(";"))
    assert rules["default-src"] == "'none'"
    assert {rules[name] for name in ("script-src", "style-src", "connect-src", "img-src")} == {"'self'"}
    assert rules["frame-ancestors"] == "'none'"
    assert "unsafe" not in CSP


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("localhost:8765", 200),
        ("LOCALHOST:8765", 200),
        ("[::1]:8765", 200),
        ("localhost:9999", 200),  # through a tunnel
        ("evil.example:8765", 421),
        ("127.0.0.1.evil.example:8765", 421),
        ("localhost.evil.example", 421),
        ("192.168.1.7:8765", 421),
        ("localhost@evil.example", 421),
        ("evil.example/localhost", 421),
        ("localhost:x", 421),
        ("", 421),
    ],
)
def test_a_name_that_was_pointed_here_is_not_answered(lab: Lab, host: str, status: int) -> None:
    with lab.client() as client:
        assert client.get("/api/about", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("host", "status"),
    [("192.168.1.7:8765", 200), ("box:8765", 200), ("BOX.:8765", 200), ("evil.example:8765", 421)],
)
def test_beyond_the_loopback_addresses_and_own_names_are_answered(lab: Lab, host: str, status: int) -> None:
    with lab.client(AccessRules.of("0.0.0.0", 8765, ["box"], TOKEN)) as client:
        answer = client.get("/api/about", headers={"host": host, "authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (HERE, 200),
        ("https://127.0.0.1:8765", 200),  # TLS before it
        ("http://127.0.0.1:9999", 403),
        ("http://localhost:8765", 403),
        ("http://evil.example", 403),
        ("null", 403),
    ],
)
def test_pages_of_other_origins_are_turned_away(lab: Lab, origin: str, status: int) -> None:
    with lab.client() as client:
        assert client.get("/api/about", headers={"origin": origin}).status_code == status


def test_what_the_browser_says_of_other_sites_counts(lab: Lab) -> None:
    with lab.client() as client:
        cross = {"sec-fetch-site": "cross-site"}
        assert client.get("/api/overview", headers=cross).status_code == 403
        assert client.get("/", headers=cross).status_code == 200, "a link to the page is no harm"


def test_without_a_token_nothing_is_told(lab: Lab) -> None:
    with lab.client(AccessRules.of("127.0.0.1", 8765, token=TOKEN)) as client:
        for path in ("/", "/static/js/main.js", "/api/overview", "/api/events", f"/api/overview?token={TOKEN}"):
            answer = client.get(path)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get("/?token=wrong").status_code == 401
        assert client.get("/", headers={"authorization": "Bearer wrong"}).status_code == 401


def test_the_token_moves_from_the_address_into_a_cookie(lab: Lab) -> None:
    with lab.client(AccessRules.of("127.0.0.1", 8765, token=TOKEN)) as client:
        answer = client.get(f"/?token={TOKEN}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=lax" in cookie.lower()
        assert "sensorstream-8765" in cookie
        assert client.get("/").status_code == 200
        assert said(client, "/api/about")["changes"] is False
        client.cookies.clear()
        assert client.get("/api/about", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize("before", ['foo={"a": 1}; ', "a b=c; ", "[x]=1; =; ", 'q="; ', ""])
@pytest.mark.parametrize("after", ["", '; bar={"b": [2]}'])
def test_cookies_of_other_programs_are_passed_over(lab: Lab, before: str, after: str) -> None:
    with lab.client(AccessRules.of("127.0.0.1", 8765, token=TOKEN)) as client:
        cookies = f"{before}sensorstream-8765={TOKEN}{after}"
        assert client.get("/", headers={"cookie": cookies}).status_code == 200
        assert client.get("/", headers={"cookie": cookies.replace(TOKEN, "wrong")}).status_code == 401


def test_the_address_opens_from_a_page_of_another_site(lab: Lab) -> None:
    """A browser names the other site with the redirect's question, too, and sends a lax cookie with it."""
    with lab.client(AccessRules.of("127.0.0.1", 8765, token=TOKEN)) as client:
        cross = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
        moved = client.get(f"/?token={TOKEN}", headers=cross)
        assert (moved.status_code, moved.headers["location"]) == (303, "/")
        assert "samesite=lax" in moved.headers["set-cookie"].lower()
        assert client.get("/", headers=cross).status_code == 200


def test_a_change_from_another_site_is_refused_though_it_has_the_cookie(lab: Lab) -> None:
    with lab.client(AccessRules.of("127.0.0.1", 8765, token=TOKEN), changes=True) as client:
        assert client.get(f"/?token={TOKEN}").status_code == 303
        path, body = "/api/changes/delete-topic", {"name": "AIR", "confirm": "AIR"}
        for headers in (
            {"origin": "http://evil.example"},
            {"origin": "http://127.0.0.1:9999"},
            {"origin": "null"},
            {"origin": HERE, "sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "cross-site"},
            {},
        ):
            assert client.post(path, json=body, headers=headers).status_code == 403, headers


def test_methods_that_are_not_there_are_refused(lab: Lab) -> None:
    with lab.client() as client:
        assert client.request("OPTIONS", "/api/about").status_code == 403
        assert client.post("/api/overview", headers={"origin": HERE}).status_code == 405


# Changes


def test_it_only_reads_unless_it_is_told(lab: Lab) -> None:
    with lab.client() as client:
        answer = client.post("/api/changes/create-topic", json={"name": "NEW"}, headers={"origin": HERE})
    assert answer.status_code == 403
    assert "--allow-changes" in answer.json()["error"]


def test_a_change_needs_token_origin_and_json(lab: Lab) -> None:
    with lab.client(AccessRules.of("127.0.0.1", 8765, token=TOKEN), changes=True) as client:
        path, body, known = "/api/changes/delete-topic", {"name": "AIR"}, {"authorization": f"Bearer {TOKEN}"}
        assert client.post(path, json=body, headers={"origin": HERE}).status_code == 401
        assert client.post(path, json=body, headers=known).status_code == 403, "no origin"
        assert client.post(path, json=body, headers={**known, "origin": "http://evil.example"}).status_code == 403
        let_in = {**known, "origin": HERE}
        assert client.post(path, content=b"name=AIR", headers=let_in).status_code == 415
        assert client.post("/api/changes/drop-all", json={}, headers=let_in).status_code == 404
        assert (
            client.post(path, content=b"{" * 20_000, headers={**let_in, "content-type": "application/json"}).status_code
            == 413
        )
        assert client.post(path, json=["AIR"], headers=let_in).status_code == 400
        answer = client.post(path, json=body, headers=let_in)
        assert answer.status_code == 400
        assert "not confirmed" in answer.json()["error"]
        wrong = {"name": "NEW", "partitions": 0, "replication_factor": True}
        assert client.post("/api/changes/create-topic", json=wrong, headers=let_in).status_code == 400
        assert client.post("/api/changes/create-topic", json={"name": "../x"}, headers=let_in).status_code == 400
