// Curves over time, drawn by uPlot; the legend is made of buttons, and says the values under the cursor or the last ones.

import { el, setText, visible } from "./dom.js";
import { figure } from "./format.js";

const DASHES = [[], [8, 4], [3, 3], [10, 4, 2, 4]];

export class Plot {
  constructor(title, { format = figure, utc = false, fromZero = true, none = "Nothing to plot yet.", range = null } = {}) {
    this.title = title;
    this.format = format;
    this.utc = utc;
    this.fromZero = fromZero;
    this.range = range;
    this.off = new Set();
    this.canvas = el("div", { class: "canvas", role: "img", "aria-label": title });
    this.none = el("p", { class: "empty" }, none);
    this.legend = el("ul", { class: "legend" });
    this.element = el("figure", { class: "card plot" }, el("figcaption", {}, visible(title)), this.canvas, this.legend);
    this.canvas.append(this.none);
    this.redraw = () => this.build();
    addEventListener("theme", this.redraw);
    this.watcher = new ResizeObserver(() => this.fit());
    this.watcher.observe(this.canvas);
  }

  close() {
    removeEventListener("theme", this.redraw);
    this.watcher.disconnect();
    this.chart?.destroy();
    this.chart = null;
  }

  /** x: Unix seconds; lines: [{ name, y }], null is a gap. */
  update(x, lines) {
    const before = this.lines?.map((line) => line.name).join("\u0000");
    this.x = x;
    this.lines = lines;
    if (this.chart && before === lines.map((line) => line.name).join("\u0000") && x.length) {
      this.chart.setData([x, ...lines.map((line) => line.y)]);
    } else {
      this.build();
    }
    this.tell();
  }

  build() {
    if (!this.lines) return;
    this.chart?.destroy();
    this.chart = null;
    const width = this.canvas.clientWidth;
    this.none.hidden = Boolean(this.x.length && this.lines.length);
    if (this.none.hidden && width > 0) {
      const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
      const axis = { stroke: color("--muted"), grid: { stroke: color("--grid"), width: 1 }, ticks: { stroke: color("--grid"), width: 1 } };
      const range = (_, low, high) => this.range ?? span(low, high, this.fromZero);
      this.chart = new uPlot(
        {
          width,
          height: this.canvas.clientHeight,
          legend: { show: false },
          cursor: { drag: { x: true, y: false }, points: { size: 6 } },
          tzDate: (seconds) => (this.utc ? uPlot.tzDate(new Date(seconds * 1000), "UTC") : new Date(seconds * 1000)),
          scales: { y: { range } },
          axes: [{ ...axis, space: 62, values: (_, ticks, __, ___, step) => times(ticks, step, this.utc) }, { ...axis, size: 62, values: (_, ticks) => ticks.map((tick) => this.format(tick)) }],
          series: [
            {},
            ...this.lines.map((line, index) => ({
              label: line.name,
              show: !this.off.has(line.name),
              stroke: color(`--series-${index % 8}`),
              width: 2,
              dash: DASHES[Math.floor(index / 8 + (index % 4)) % 4],
              points: { show: this.x.length < 2, size: 6 },
              spanGaps: line.spanGaps ?? false,
            })),
          ],
          hooks: { setCursor: [() => this.tell()] },
        },
        [this.x, ...this.lines.map((line) => line.y)],
        this.canvas,
      );
    }
    this.legend.replaceChildren(
      ...this.lines.map((line, index) =>
        el(
          "li",
          {},
          el(
            "button",
            { type: "button", "aria-pressed": String(!this.off.has(line.name)), on: { click: (event) => this.toggle(event.currentTarget, line.name, index) } },
            el("span", { class: `swatch s${index % 8}`, "aria-hidden": "true" }),
            el("span", { class: "name" }, visible(line.name)),
            el("span", { class: "figure" }),
          ),
        ),
      ),
    );
    this.tell();
  }

  toggle(button, name, index) {
    if (!this.off.delete(name)) this.off.add(name);
    button.setAttribute("aria-pressed", String(!this.off.has(name)));
    this.chart?.setSeries(index + 1, { show: !this.off.has(name) });
  }

  fit() {
    const width = this.canvas.clientWidth;
    if (!width) return;
    if (!this.chart) this.build();
    else if (this.chart.width !== width || this.chart.height !== this.canvas.clientHeight) this.chart.setSize({ width, height: this.canvas.clientHeight });
  }

  /** Values in the legend: under the cursor, else the last ones that are known. */
  tell() {
    const at = this.chart?.cursor.idx ?? null;
    const told = this.lines.map((line, index) => {
      const value = at === null ? line.y.findLast((one) => one !== null) : line.y[at];
      const text = this.format(value ?? null) ?? "–";
      const place = this.legend.children[index]?.querySelector(".figure");
      if (place) setText(place, text);
      return `${line.name}: ${text}`;
    });
    if (at === null) {
      const label = visible(`${this.title}. ${told.length ? `Latest: ${told.join(", ")}` : "Nothing to plot yet"}`);
      if (this.canvas.getAttribute("aria-label") !== label) this.canvas.setAttribute("aria-label", label);
    }
  }
}

/** The ends of the axis of values: a little more than what is there, and 0 where figures count from it. */
function span(low, high, fromZero) {
  if (low === null || high === null) return [0, 1];
  const room = 0.06 * (high - low) || 0.06 * Math.abs(high) || 1;
  return fromZero ? [Math.min(0, low), high > 0 ? high + room : 1] : [low - room, high + room];
}

/** What is written at the axis of times; the day once, below the first, where it is not today. */
function times(ticks, step, utc) {
  const day = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const today = day(new Date());
  let before = today;
  return ticks.map((tick) => {
    const date = utc ? uPlot.tzDate(new Date(tick * 1000), "UTC") : new Date(tick * 1000);
    const shown = day(date);
    if (step >= 86400) return shown.slice(step >= 86400 * 300 ? 0 : 5);
    const clock = `${two(date.getHours())}:${two(date.getMinutes())}${step < 60 ? `:${two(date.getSeconds())}` : ""}`;
    if (shown === before) return clock;
    before = shown;
    return `${clock}\n${shown}`;
  });
}

function two(number) {
  return String(number).padStart(2, "0");
}

/** Several series with times of their own on one axis of time. */
export function joined(all) {
  const x = [...new Set(all.flatMap((one) => one.x))].sort((a, b) => a - b);
  const place = new Map(x.map((at, index) => [at, index]));
  const lines = all.map((one) => {
    const y = new Array(x.length).fill(null);
    one.x.forEach((at, index) => { y[place.get(at)] = one.y[index]; });
    return { name: one.name, y };
  });
  return [x, lines];
}
