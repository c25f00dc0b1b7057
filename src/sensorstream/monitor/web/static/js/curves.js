import { el, field, link, setOptions, setText } from "./dom.js";
import { count, figure } from "./format.js";
import { Plot } from "./plot.js";
import { Asker, state, topicNames } from "./live.js";

export const name = "Curves";
export const heading = ([topic]) => (topic === undefined ? "Curves" : `Curves of ${topic}`);

const EVERY_MS = 4000;

export function open(place, [topic]) {
  const topics = el("select");
  const by = el("select");
  const limit = el("select", {}, ...[200, 600, 2000].map((value) => el("option", { value, selected: value === 600 }, String(value))));
  const told = el("p", { class: "muted", role: "status" });
  const problem = el("p", { class: "alert", role: "alert", hidden: true });
  const plots = el("div", { class: "plots" });
  place.append(
    el("form", { "aria-label": "Which curves", on: { submit: (event) => event.preventDefault() } }, field("Topic", topics), field("A line for each", by), field("Newest rows", limit)),
    problem,
    told,
    plots,
  );
  const shown = new Map();
  let chosen;
  let seen = null;
  let at = 0;

  const asker = new Asker(
    (answer) => {
      problem.hidden = true;
      setOptions(by, ["", ...answer.choices], ["(one line for all)", ...answer.choices]);
      by.value = answer.by;
      draw(answer);
      const clock = answer.time ? `times are those of ${answer.time}` : "times are those of the records";
      const left = answer.left_out ? `; ${answer.left_out} more columns are left out` : "";
      setText(told, answer.plots.length ? `${count(answer.rows)} rows; ${clock}${left}` : "The newest rows of this topic hold no numbers.");
    },
    (error) => {
      problem.hidden = false;
      setText(problem, error.message);
    },
  );

  function draw(answer) {
    const wanted = new Set(answer.plots.map((one) => one.field));
    for (const [field_, plot] of shown) {
      if (wanted.has(field_)) continue;
      plot.close();
      plot.element.remove();
      shown.delete(field_);
    }
    for (const one of answer.plots) {
      let plot = shown.get(one.field);
      if (!plot) {
        plot = new Plot(one.field, { format: figure, utc: Boolean(answer.time), fromZero: false });
        shown.set(one.field, plot);
        plots.append(plot.element);
      }
      plot.update(answer.x, one.lines.map((line) => ({ ...line, spanGaps: true })));
    }
  }

  function look(again = false) {
    if (!topics.value) return;
    at = performance.now();
    asker.ask("curves", { topic: topics.value, by: chosen, rows: limit.value }, { again });
  }

  topics.addEventListener("change", () => { location.hash = link("curves", topics.value); });
  by.addEventListener("change", () => {
    chosen = by.value;
    look();
  });
  limit.addEventListener("change", () => look());
  return {
    update(cluster) {
      const names = topicNames(cluster);
      setOptions(topics, names);
      if (seen === null) {
        const usual = state.about.topics.find((one) => names.includes(one));
        const first = topic ?? usual;
        if (names.includes(first)) topics.value = first;
      }
      const found = cluster.topics.find((one) => one.name === topics.value);
      const mark = `${topics.value} ${found?.rows}`;
      // Asked for again only where rows have come.
      if (mark !== seen && (seen === null || performance.now() - at > EVERY_MS)) {
        look(seen !== null);
        seen = mark;
      }
    },
    close() {
      asker.close();
      for (const plot of shown.values()) plot.close();
    },
  };
}
