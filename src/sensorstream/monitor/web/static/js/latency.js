import { Tiles, el, field, link, setOptions, setText } from "./dom.js";
import { count, milliseconds } from "./format.js";
import { Plot } from "./plot.js";
import { Asker, state, topicNames } from "./live.js";

export const name = "Latency";
export const heading = ([topic]) => (topic === undefined ? "Latency" : `Latency of ${topic}`);

export function open(place, [topic]) {
  const topics = el("select");
  const tiles = new Tiles();
  const told = el("p", { class: "muted", role: "status" });
  const problem = el("p", { class: "alert", role: "alert", hidden: true });
  const plot = new Plot("Publishing to reading, by second", { format: milliseconds, none: "No row has come yet." });
  place.append(
    el("form", { "aria-label": "Which topic", on: { submit: (event) => event.preventDefault() } }, field("Topic", topics)),
    problem,
    tiles.element,
    plot.element,
    told,
    el(
      "p",
      { class: "muted" },
      "From a row's timestamp, which its publisher's clock gave it, to the moment at which this server read it. A " +
        "difference between the two clocks is in every figure. The server reads on its own, without a group.",
    ),
  );
  const asker = new Asker(
    (one) => {
      problem.hidden = true;
      tiles.update([
        ["Rows in 60 s", count(one.samples)],
        ["Mean", milliseconds(one.mean_ms)],
        ["p50", milliseconds(one.p50_ms)],
        ["p99", milliseconds(one.p99_ms)],
        ["p99.9", milliseconds(one.p999_ms)],
        ["Longest", milliseconds(one.max_ms)],
      ]);
      plot.update(one.series.x, [{ name: "p50", y: one.series.p50 }, { name: "p99", y: one.series.p99 }]);
      const parts = [one.state];
      if (one.own_times) parts.push(`${count(one.own_times)} rows have timestamps of their own, which say nothing of publishing`);
      if (one.early) parts.push(`${count(one.early)} rows came before their timestamps: the publisher's clock is ahead`);
      setText(told, parts.join("; "));
    },
    (error) => {
      problem.hidden = false;
      setText(problem, error.message);
    },
  );
  let began = false;
  const look = () => { if (topics.value) asker.ask("latency", { topic: topics.value }, { again: true }); };
  const timer = setInterval(look, 1000);
  topics.addEventListener("change", () => { location.hash = link("latency", topics.value); });
  return {
    update(cluster) {
      const names = topicNames(cluster);
      setOptions(topics, names);
      if (!began) {
        began = true;
        const busiest = [...cluster.topics].filter((one) => !one.internal).sort((a, b) => (b.rate ?? 0) - (a.rate ?? 0))[0];
        const usual = busiest?.rate ? busiest.name : state.about.topics.find((one) => names.includes(one));
        const first = topic ?? usual;
        if (names.includes(first)) topics.value = first;
        look();
      }
    },
    close() {
      clearInterval(timer);
      asker.close();
      plot.close();
    },
  };
}
