"""The page in a real browser on real brokers: every view, hostile values, a phone, the keyboard, dead brokers."""

import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from browser.conftest import AIR, ODD, RED, ROWS, SCORED, SCRIPT, Lab, scored, sized, themed
from running import until
from sensorstream import admin
from sensorstream.monitor.observer import Observer
from sensorstream.monitor.web.server import PageOptions, PageServer
from sensorstream.records import TopicPartition

pytestmark = [pytest.mark.broker, pytest.mark.long, pytest.mark.timeout(600)]

AXE = Path(__file__).parent / "axe" / "axe-4.14.1.min.js"
VIEWS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "overview": (("overview",), ("3 of 3", "Rows a second, by topic", SCRIPT, RED)),
    "brokers": (("brokers",), ("127.0.0.1:", "alive", "leads")),
    "broker": (("brokers", "1"), ("Broker 1", "Partitions on this broker", AIR, "leader", "follower")),
    "topics": (("topics",), (AIR, ODD, SCORED, "in sync")),
    "topic": (("topics", AIR), ("Groups that read it", SCRIPT, RED, "1, 2, 3")),
    "groups": (("groups",), (SCRIPT, RED)),
    "group": (("groups", SCRIPT), (SCRIPT, AIR, "50")),
    "rows": (("rows", ODD), (SCRIPT, RED, "1.50", "plain text", "tombstone", "<b>")),
    "curves": (("curves", AIR), ("Temperature", "PM2.5", "SVDT0", "SVDT1", "times are those of Time")),
    "latency": (("latency", AIR), ("p99.9", "from its end on")),
    "sentiment": (("sentiment", SCORED), (SCRIPT, RED, "news", "Mean score by page", "negative")),
}


def text(browser: Any) -> str:
    return str(browser.execute_script("return document.body.textContent"))


def show(browser: Any, lab: Lab, name: str) -> None:
    """Open a view anew, and wait until it shows what it is to show."""
    parts, wanted = VIEWS[name]
    browser.get("about:blank")
    browser.get(lab.at(*parts))
    try:
        until(lambda: all(one in text(browser) for one in wanted), f"{name}: {wanted}")
    except AssertionError:
        print(text(browser), browser.get_log("browser"))
        raise


def complaints(browser: Any) -> list[str]:
    """What the browser's console has against the page: errors in scripts, and refusals by the policy."""
    told = [one["message"] for one in browser.get_log("browser") if one["level"] in ("SEVERE", "WARNING")]
    return [one for one in told if "Failed to load resource" not in one]


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_shows_what_is_there_and_obeys_nothing(lab: Lab, browser: Any, name: str) -> None:
    """Then it is looked at for faults of accessibility, light and dark, and on a phone."""
    sized(browser, 1280, 900)
    show(browser, lab, name)
    assert browser.execute_script("return document.querySelectorAll('main script, main b, #alerts script').length") == 0
    assert browser.execute_script("return document.querySelectorAll('h1').length") == 1
    assert browser.execute_script("return document.title").endswith("sensorstream")
    assert complaints(browser) == []
    browser.execute_script(AXE.read_text(encoding="utf-8"))
    for theme in ("light", "dark"):
        themed(browser, theme)
        until(lambda: theme_of(browser) == theme, theme)  # noqa: B023  # it is called at once
        # Nothing but the colours is another in the dark.
        assert serious_faults(browser, "cat.color" if theme == "dark" else None) == [], theme
    sized(browser, 360, 780)
    until(
        lambda: browser.execute_script("return document.documentElement.scrollWidth") == 360,
        "a page of a phone's width",
    )
    assert beyond_the_edge(browser) == []


def theme_of(browser: Any) -> str:
    return str(browser.execute_script("return document.documentElement.dataset.theme"))


def serious_faults(browser: Any, rules: str | None = None) -> list[Any]:
    """What axe finds that keeps people out, by all its rules or by those of a kind."""
    script = "axe.run(document, arguments[0] ? { runOnly: [arguments[0]] } : {}).then((found) => arguments[1](found))"
    answer = browser.execute_async_script(script, rules)
    assert len(answer["passes"]) > (0 if rules else 10), "it has looked"
    return [
        (one["impact"], one["id"], [node["html"][:120] for node in one["nodes"][:3]])
        for one in answer["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def beyond_the_edge(browser: Any) -> list[str]:
    """What can't be seen on a phone without scrolling sideways; tables scroll by themselves."""
    found: list[str] = browser.execute_script(
        """
        return [...document.querySelectorAll("a, button, input, select, h1, .tiles li, figure, .alert")]
          .filter((one) => !one.closest(".table") && one.checkVisibility() && !one.classList.contains("skip"))
          .map((one) => [one.outerHTML.slice(0, 80), one.getBoundingClientRect()])
          .filter(([, box]) => box.left < 0 || box.right > 360.5).map(([what]) => what)
        """
    )
    return found


def test_nothing_is_asked_of_another_host(lab: Lab, wide: Any) -> None:
    show(wide, lab, "curves")
    asked = wide.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert len(asked) > 10
    assert all(name.startswith(lab.url) for name in asked), asked


def test_curves_are_drawn(lab: Lab, wide: Any) -> None:
    show(wide, lab, "curves")
    count = "return document.querySelectorAll('figure canvas').length"
    until(lambda: wide.execute_script(count) == 2, "two plots")
    label = wide.execute_script("return document.querySelector('figure [role=img]').getAttribute('aria-label')")
    assert "SVDT0" in label


def test_rows_by_offset_and_by_time(lab: Lab, wide: Any) -> None:
    show(wide, lab, "rows")

    def ask(topic: str, start: str, value: str) -> list[int]:
        script = """
            const [topic, start, value, done] = arguments;
            fetch(`api/rows?${new URLSearchParams({ topic, from: start, value, partition: 0, limit: 3 })}`)
              .then((answer) => answer.json()).then((answer) => done(answer.rows.map((row) => row.offset)));
        """
        return list(wide.execute_async_script(script, topic, start, value))

    assert ask(AIR, "newest", "") == [ROWS // 2 - 1, ROWS // 2 - 2, ROWS // 2 - 3]
    assert ask(AIR, "offset", "7") == [7, 8, 9]
    assert ask(AIR, "time", "2000-01-01T00:00") == [0, 1, 2]
    # By the form.
    wide.execute_script(
        """
        const [topic, partition, from] = document.querySelectorAll("form select");
        from.value = "offset"; from.dispatchEvent(new Event("change"));
        const offset = document.querySelector("form input[type=number]");
        offset.value = "1"; document.querySelector("form").requestSubmit();
        """
    )
    until(lambda: "1.50" not in text(wide) and "plain text" in text(wide), "the rows from offset 1 on")


def test_latency_and_posts_come_as_they_are_published(lab: Lab, wide: Any) -> None:
    show(wide, lab, "latency")
    stop = threading.Event()

    def publish() -> None:
        while not stop.wait(0.2):
            lab.publish(AIR, b'{"n":1}', partition=1)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        tile = "return [...document.querySelectorAll('.tiles li')].map((one) => one.innerText)"
        until(lambda: any("p50" in one and "ms" in one for one in wide.execute_script(tile)), "a p50")
        until(lambda: wide.execute_script("return document.querySelectorAll('figure canvas').length") == 1, "a plot")
    finally:
        stop.set()
        thread.join()
    show(wide, lab, "sentiment")
    lab.publish(SCORED, scored(60).replace(b"post 60", b"the newest post"))
    until(lambda: "the newest post" in text(wide), "a new post")


def test_the_keyboard_is_enough(lab: Lab, wide: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    show(wide, lab, "overview")

    def press(*keys: str) -> None:
        ActionChains(wide).send_keys(*keys).perform()

    def focused(what: str) -> Any:
        return wide.execute_script(f"return document.activeElement.{what}")

    def tab_to(said: str) -> None:
        for _ in range(60):
            if (focused("textContent") or "").strip() == said:
                return
            press(Keys.TAB)
        pytest.fail(f"{said} is not to be had with Tab")

    press(Keys.TAB)
    assert "Skip" in focused("textContent")
    assert wide.execute_script("return document.activeElement.getBoundingClientRect().left") >= 0, "it comes into sight"
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert wide.execute_script(outline) != "none"
    tab_to("Topics")
    assert wide.execute_script(outline) != "none"
    press(Keys.ENTER)
    until(lambda: focused("id") == "main", "focus on the new view")
    assert wide.execute_script("return document.querySelector('nav [aria-current]').innerText") == "Topics"
    tab_to("Partitions")
    press(Keys.ENTER)
    sorted_by = "return document.querySelector('th[aria-sort]').ariaSort"
    until(lambda: "descending" in wide.execute_script(sorted_by), "another order")
    assert "Partitions" in focused("textContent"), "focus stays through an update"
    tab_to(AIR)
    press(Keys.ENTER)
    until(lambda: wide.execute_script("return document.querySelector('h1').innerText") == AIR, "the topic")
    tab_to("Its rows")
    press(Keys.ENTER)
    until(lambda: f"Rows of {AIR}" in text(wide), "its rows")
    # The switch of the theme.
    wide.execute_script("document.querySelector('#theme').focus()")
    press(Keys.ENTER, Keys.ENTER)
    assert theme_of(wide) == "dark"
    wide.refresh()
    assert theme_of(wide) == "dark", "it is kept"
    wide.execute_script("localStorage.clear()")


def test_changes_are_made_with_the_token_alone(lab: Lab, wide: Any) -> None:
    with (
        Observer(lab.settings, every_s=1.0, share=0.3) as observer,
        PageServer(observer, lab.settings, PageOptions(port=0, allow_changes=True)) as page,
    ):
        wide.get(page.address)
        assert "A token is asked for" in text(wide)
        wide.get(page.url)
        until(lambda: "brokers" in text(wide), "the page")
        assert "token" not in wide.current_url
        wide.get(f"{page.address}#/topics")
        until(lambda: "Make a topic" in text(wide), "the form")
        wide.execute_script(
            """
            const [name, partitions, replicas] = document.querySelectorAll("section input");
            name.value = "PAGE_MADE"; partitions.value = 1; replicas.value = 1;
            document.querySelector("section form").requestSubmit();
            """
        )
        until(lambda: "PAGE_MADE is made" in text(wide), "a topic")
        assert "PAGE_MADE" in {one.name for one in admin.list_topics(lab.settings).topics}
        wide.get(f"{page.address}#/topics/PAGE_MADE")
        until(lambda: "Delete this topic" in text(wide), "the form")
        delete = """
            document.querySelector("section input").value = arguments[0];
            document.querySelector("section form").requestSubmit();
        """
        wide.execute_script(delete, "PAGE")
        until(lambda: "not confirmed" in text(wide), "a refusal")
        wide.execute_script(delete, "PAGE_MADE")
        until(lambda: "PAGE_MADE" not in {one.name for one in admin.list_topics(lab.settings).topics}, "it is gone")
        until(lambda: wide.current_url.endswith("#/topics"), "the page of all topics")
        wide.get(f"{page.address}#/groups/{quote(RED, safe='')}")
        until(lambda: "Let this group go on" in text(wide), "the form")
        reset = """
            const [to, execute] = document.querySelectorAll("section input");
            to.value = "beginning"; execute.checked = arguments[0];
            document.querySelector("section form").requestSubmit();
        """
        wide.execute_script(reset, False)
        until(lambda: f"It would be: {AIR}[0] {ROWS // 2} → 0" in text(wide), "a look ahead")
        wide.execute_script(reset, True)
        until(lambda: f"Done: {AIR}[0] {ROWS // 2} → 0" in text(wide), "another place")
        assert admin.describe_group(lab.settings, RED).committed[TopicPartition(AIR, 0)][0] == 0
    wide.get("about:blank")


def test_dead_brokers_are_seen_and_the_server_goes_on(lab: Lab, wide: Any) -> None:
    """The last test: it kills brokers."""
    show(wide, lab, "overview")
    started = time.monotonic()
    lab.cluster.stop_broker(2, kill=True)
    until(lambda: "Broker 2 is not there." in text(wide), "a dead broker on the page")
    print(f"a killed broker is on the page after {time.monotonic() - started:.1f} s")
    until(lambda: "2 of 3 brokers" in text(wide), "two brokers")
    lab.cluster.start_broker(2)
    until(lambda: "Broker 2 is not there." not in text(wide), "a broker that has come back")
    until(lambda: "3 of 3 brokers" in text(wide), "all brokers")
