"""What the analyser window does, each case in a process of its own: ``python -m window_cases NAME [ARGUMENT...]``.

A case opens the real window on the display that DISPLAY names, sends it keys and clicks, and asserts on what it shows.
"""

import sys
import threading
import time
import tkinter as tk
from collections.abc import Callable
from pathlib import Path
from tkinter import filedialog, ttk

from sensorstream.clients import open_client
from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.config import Settings
from sensorstream.pipelines.scored_feed import scored_feed
from sensorstream.pipelines.scored_feed.job import FeedJob
from sensorstream.pipelines.scored_feed.scored_feed import ScoredFeed
from sensorstream.pipelines.start_at import StartAt
from sensorstream.records import ConsumedRecord, Number
from sensorstream.sentiment.feed import Feed
from sensorstream.sentiment.scorers import open_scorer
from sensorstream.sentiment.transform import ScoreTransform
from sensorstream.sentiment.window.analyser import Analyser, WindowOptions
from sensorstream.sentiment.window.live import LiveFeed
from sensorstream.sentiment.window.palette import DARK, LIGHT
from sensorstream.serde import json as json_serde
from sensorstream.transforms.base import InputRow, OutputRow

TOPIC = "SCORED"
GOOD, BAD, PLAIN = "I love this, it is great!", "This is horrible, I hate it.", "The bus leaves at nine."
SCORER = open_scorer()
TRANSFORM = ScoreTransform(SCORER)


def value(text: str, page: str) -> bytes:
    record = ConsumedRecord("POSTS", 0, 0, 0, None, b"")
    (made,) = TRANSFORM.apply([InputRow({"id": Number("1"), "page": page, "text": text}, record)])
    assert isinstance(made, tuple) and isinstance(made[0], OutputRow)
    return json_serde.encode(made[0].row)


def put(broker: MemoryBroker, *posts: tuple[str, str]) -> None:
    with MemoryClient(broker).publisher() as publisher:
        for number, (text, page) in enumerate(posts):
            publisher.publish(TOPIC, value(text, page), partition=0, timestamp_ms=1000 * number)


def until(window: Analyser, holds: Callable[[], object], what: str) -> None:
    """Let the window live until a condition holds."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not come about"
        window.root.update()
        time.sleep(0.005)
    window.root.update()


def keys(window: Analyser, *names: str, to: tk.Misc | None = None) -> None:
    """Press keys, as events that go to the widget with the focus."""
    for name in names:
        widget = to or window.root.focus_get() or window.root
        widget.event_generate(f"<Key-{name}>" if len(name) == 1 else f"<{name}>")
        window.root.update()


def type_text(window: Analyser, text: str) -> None:
    named = {" ": "space", ",": "comma", "!": "exclam", "'": "apostrophe"}
    keys(window, *(f"Key-{named[letter]}" if letter in named else letter for letter in text))


def opened(source: ScoredFeed | None = None, **options: object) -> Analyser:
    window = Analyser(SCORER, source, Feed(), threading.Event(), WindowOptions(**options))  # type: ignore[arg-type]
    window.root.update()
    window.typed.input.focus_force()
    until(window, lambda: window.root.focus_get() is window.typed.input, "the focus")
    return window


def told(label: ttk.Label | ttk.Button) -> str:
    return str(label.cget("text"))


def rows(table: ttk.Treeview) -> list[tuple[str, ...]]:
    return [tuple(map(str, table.item(row, "values"))) for row in table.get_children()]


def live(window: Analyser) -> LiveFeed:
    assert window.live is not None
    return window.live


def drawn(canvas: tk.Canvas, tag: str) -> list[str]:
    return [str(canvas.tk.call(canvas, "itemcget", item, "-text")) for item in canvas.find_withtag(tag)]


# The cases


def typing() -> None:
    window = opened()
    typed = window.typed
    assert window.root.title() == "Sentiment analyser - vader 3.3.2"
    assert (told(typed.compound), told(typed.label)) == ("-", "nothing typed yet")
    type_text(window, "I don't love it")
    until(window, lambda: told(typed.compound) == "-0.5216", "the score of what was typed")
    assert told(typed.label) == "negative"
    assert str(typed.compound.cget("foreground")) == LIGHT.negative
    assert rows(typed.table) == [("love", "+3.2", "yes", "", "-2.368")]
    assert typed.words.get("1.0", "end").split() == ["I", "don't", "love", "it"]
    at = typed.words.search("love", "1.0")
    assert set(typed.words.tag_names(at)) == {"negative", "negated"}
    assert told(typed.share_line) == "neg 0.529   neu 0.471   pos 0.000"

    keys(window, "Return")  # what is typed now takes the place of what was there
    type_text(window, "really GREAT!")
    keys(window, "Return")
    assert typed.input.get("1.0", "end-1c") == "really GREAT!"
    assert (told(typed.label), str(typed.compound.cget("foreground"))) == ("positive", LIGHT.positive)
    assert [(word, boost) for word, _, _, boost, _ in rows(typed.table)] == [("GREAT", "+0.293")]

    keys(window, "Control-d")
    assert str(typed.compound.cget("foreground")) == DARK.positive
    assert str(typed.input.cget("background")) == DARK.surface
    keys(window, "Escape")
    assert (told(typed.compound), typed.input.get("1.0", "end-1c")) == ("-", "")

    typed.put("Der Zug kommt heute leider wieder viel zu spät und niemand weiß warum")
    assert told(typed.label) == "not scored: a language it does not know (de)"
    typed.put("good " * 6000)
    assert told(typed.label).startswith("positive, of its first 20,000")
    assert len(typed.table.get_children()) == 300
    for text in ("a\x00b \x1b[31m \u202e good", "\ud83d good", "{[$x]} %s \\ good", "👍 good"):
        typed.put(text)
        assert told(typed.label) == "positive"
    typed.put("\u2764")  # shown as it is or as a mark, it is scored as it is
    assert told(typed.compound) == "+0.6369"
    keys(window, "Control-q")
    assert window.failure is None


def feed(folder: str) -> None:
    broker = MemoryBroker()
    broker.create_topic(TOPIC, 1)
    put(broker, (GOOD, "a"), (BAD, "a"), (PLAIN, "b"), ("", "b"))
    with ScoredFeed(MemoryClient(broker), FeedJob(TOPIC, StartAt("beginning"), patient=True)) as source:
        window = opened(source, title=TOPIC)
        shown = live(window)
        assert window.root.title() == f"Sentiment analyser - vader 3.3.2 - {TOPIC}"
        until(window, lambda: len(rows(shown.table)) == 4, "four posts")
        assert [row[1:] for row in rows(shown.table)][-1] == ("a", "positive", "+0.862", GOOD)
        assert [row[2] for row in rows(shown.table)] == ["empty", "neutral", "negative", "positive"]
        until(window, lambda: drawn(shown.mix, "told")[:1] == ["positive 1 (25%)"], "the mix of labels")
        assert drawn(shown.trends, "page") == ["a", "b"]
        assert len(shown.trends.find_withtag("bar")) == 2
        until(window, lambda: "lag 0" in told(shown.figures), "the lag")
        assert told(shown.figures).startswith("4 posts")
        assert told(shown.status) == f"reading {TOPIC}, scored by vader 3.3.2"

        # By page and by label, from the keyboard.
        until(window, lambda: list(shown.page["values"]) == ["all pages", "a", "b"], "the pages")
        order = [window.root.focus_get()]
        for _ in range(5):
            keys(window, "Tab")
            order.append(window.root.focus_get())
        assert order == [window.typed.input, shown.page, shown.label, shown.pause, shown.export, shown.table]
        shown.page.focus_force()
        keys(window, "Down")
        window.root.update()
        shown.page.tk.call("ttk::combobox::Unpost", shown.page)
        shown.page.current(1)
        shown.page.event_generate("<<ComboboxSelected>>")
        window.root.update()
        assert [row[4] for row in rows(shown.table)] == [BAD, GOOD]
        assert drawn(shown.trends, "page") == ["a"]
        assert drawn(shown.mix, "told") == ["positive 1 (50%)", "negative 1 (50%)"]
        shown.label.current(1)
        shown.label.event_generate("<<ComboboxSelected>>")
        window.root.update()
        assert [row[4] for row in rows(shown.table)] == [GOOD]
        put(broker, (GOOD + " New.", "a"), (BAD, "a"), (GOOD, "b"))
        until(window, lambda: len(rows(shown.table)) == 2, "the new post of that page and label")
        assert told(shown.figures).startswith("7 posts")

        # Export what is shown; a file that can't be written is told.
        target = Path(folder) / "shown.csv"
        filedialog.asksaveasfilename = lambda **asked: str(target)
        keys(window, "Control-e")
        assert told(shown.status) == f"exported 2 posts to {target}"
        assert target.read_text(encoding="utf-8").count(GOOD) == 2
        filedialog.asksaveasfilename = lambda **asked: str(Path(folder) / "shown.xlsx")
        shown.export.invoke()
        assert "shown.xlsx can't be exported to" in told(shown.status)
        assert str(shown.status.cget("foreground")) == LIGHT.negative
        filedialog.asksaveasfilename = lambda **asked: ""
        shown.export.invoke()

        # Everything again; then a post is opened to see its words.
        window.typed.input.focus_force()
        keys(window, "Escape")
        assert len(rows(shown.table)) == 7
        shown.table.focus_force()
        oldest = shown.table.get_children()[-1]
        shown.table.focus(oldest)
        keys(window, "Return", to=shown.table)
        assert window.typed.input.get("1.0", "end-1c") == GOOD
        assert [row[0] for row in rows(window.typed.table)] == ["love", "great"]
        box = shown.table.bbox(shown.table.get_children()[0])
        assert box
        for event in ("<Button-1>", "<ButtonRelease-1>") * 2:
            shown.table.event_generate(event, x=box[0] + 5, y=box[1] + 5)
        until(window, lambda: window.typed.input.get("1.0", "end-1c") == rows(shown.table)[0][4], "its words")

        # Paused, posts wait and are not lost.
        vars(scored_feed).update(LAG_EVERY_S=0.1)
        keys(window, "Control-p")
        assert (told(shown.pause), window.root.focus_get()) == ("Go on", shown.table)
        put(broker, *[(PLAIN, "c")] * 500)
        until(window, lambda: "lag 500" in told(shown.figures), "posts that wait")
        assert len(rows(shown.table)) == 7
        shown.pause.invoke()
        until(window, lambda: told(shown.figures).startswith("507 posts"), "posts that waited")
        assert len(rows(shown.table)) == 200
        until(window, lambda: "c" in shown.page["values"], "a new page")
        window.root.geometry("1000x600")
        until(window, lambda: window.root.winfo_width() == 1000, "another size")
        keys(window, "Control-d")
        assert str(shown.trends.cget("background")) == DARK.background
        window.close()
        assert window.failure is None


def no_broker() -> None:
    vars(scored_feed).update(LOOK_AGAIN_S=0.1)
    broker = MemoryBroker()
    broker.stop()
    with ScoredFeed(MemoryClient(broker), FeedJob(TOPIC, patient=True)) as source:
        window = opened(source)
        shown = live(window)
        until(window, lambda: "looking for a broker" in told(shown.status), "no broker")
        assert "lag unknown" in told(shown.figures)
        assert drawn(shown.mix, "told") == []
        window.typed.put(GOOD)
        assert told(window.typed.label) == "positive"
        broker.start()
        until(window, lambda: "waiting for the topic" in told(shown.status), "no topic")
        broker.create_topic(TOPIC, 1)
        put(broker, (GOOD, "a"))
        until(window, lambda: len(rows(shown.table)) == 1, "a post")
        # It is closed by what Ctrl-C sets, while its main loop runs.
        window.root.after(50, window._stop.set)
        window.run()
    assert not [thread for thread in threading.enumerate() if thread is not threading.main_thread()]


def broken() -> None:
    window = opened()
    window.root.after(10, lambda: 1 // 0)
    try:
        window.run()
    except ZeroDivisionError:
        return
    raise AssertionError("what fails in the window is not hidden")


def real_broker(bootstrap: str, topic: str) -> None:
    client = open_client(Settings(bootstrap=tuple(bootstrap.split(","))))
    with ScoredFeed(client, FeedJob(topic, StartAt("beginning"), patient=True)) as source:
        window = opened(source, title=topic)
        until(window, lambda: len(rows(live(window).table)) == 4, "four posts")
        until(window, lambda: "lag 0" in told(live(window).figures), "the lag")
        window.close()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
