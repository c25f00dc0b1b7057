import { Tiles, el, field, link, setOptions, setText, visible } from "./dom.js";
import { count, moment, rate, signed } from "./format.js";
import { Plot } from "./plot.js";
import { Asker, topicNames } from "./live.js";
import { Table } from "./table.js";

export const name = "Sentiment";
export const heading = ([topic]) => (topic === undefined ? "Sentiment" : `Sentiment in ${topic}`);

const KINDS = ["positive", "neutral", "negative", "unscored"];
const COLORS = { positive: "good", negative: "bad" };

export function open(place, [topic]) {
  const topics = el("select");
  const tiles = new Tiles();
  const told = el("p", { class: "muted", role: "status" });
  const problem = el("p", { class: "alert", role: "alert", hidden: true });
  const trend = new Plot("Mean score by page", { format: signed, utc: true, fromZero: false, range: [-1, 1], none: "No scored post has come yet." });
  const pages = new Table(
    "Pages",
    [
      { label: "Page", value: (one) => one.page, head: true },
      { label: "Posts", value: (one) => one.posts, text: (one) => count(one.posts), num: true },
      { label: "Mix", value: (one) => share(one, "positive"), draw: drawMix },
      { label: "Positive", value: (one) => one.counts.positive, text: (one) => count(one.counts.positive), num: true, wide: true },
      { label: "Neutral", value: (one) => one.counts.neutral, text: (one) => count(one.counts.neutral), num: true, wide: true },
      { label: "Negative", value: (one) => one.counts.negative, text: (one) => count(one.counts.negative), num: true, wide: true },
      { label: "Unscored", value: (one) => one.counts.unscored, text: (one) => count(one.counts.unscored), num: true, wide: true },
      { label: "Mean", value: (one) => one.mean, text: (one) => signed(one.mean), num: true },
    ],
    (one) => one.page,
    { none: "No post has come yet." },
  );
  const latest = new Table(
    "Newest posts",
    [
      { label: "Time (UTC)", value: (one) => one.time_ms, text: (one) => moment(one.time_ms), wide: true, cls: "mono" },
      { label: "Page", value: (one) => one.page },
      { label: "Label", value: (one) => one.said, badge: (one) => COLORS[one.kind] ?? "plain" },
      { label: "Score", value: (one) => one.compound, text: (one) => signed(one.compound), num: true },
      { label: "Post", value: (one) => one.text, cls: "value-cell" },
    ],
    (one) => one.key,
    { none: "No post has come yet.", tall: true },
  );
  const key = el("p", {}, ...KINDS.map((kind) => el("span", { class: "key" }, el("i", { class: kind, "aria-hidden": "true" }), kind)));
  place.append(
    el("form", { "aria-label": "Which topic", on: { submit: (event) => event.preventDefault() } }, field("Topic of scored posts", topics)),
    problem,
    tiles.element,
    trend.element,
    el("h2", {}, "Pages and posts"),
    key,
    pages.element,
    latest.element,
    told,
  );
  const asker = new Asker(
    (one) => {
      problem.hidden = true;
      tiles.update([
        ["Posts", count(one.posts)],
        ["Posts a second", rate(one.rate)],
        ...KINDS.map((kind) => [kind[0].toUpperCase() + kind.slice(1), count(one.counts[kind])]),
        ["Still to be read", count(one.lag)],
        ["Scorer", one.scorers.join(", ") || null],
      ]);
      drawTrend(trend, one.pages);
      pages.update(one.pages);
      latest.update(one.latest.map((post, index) => ({ ...post, key: `${post.time_ms} ${post.page} ${post.text} ${index}` })));
      const parts = [one.text];
      if (one.unusable) parts.push(`${count(one.unusable)} records were no scored posts: ${one.reason}`);
      if (one.missed) parts.push(`${count(one.missed)} were gone before they could be read`);
      setText(told, parts.join("; "));
    },
    (error) => {
      problem.hidden = false;
      setText(problem, error.message);
    },
  );
  let began = false;
  const look = () => { if (topics.value) asker.ask("sentiment", { topic: topics.value }, { again: true }); };
  const timer = setInterval(look, 1500);
  topics.addEventListener("change", () => { location.hash = link("sentiment", topics.value); });
  return {
    update(cluster) {
      const names = topicNames(cluster);
      setOptions(topics, ["", ...names], ["(choose one)", ...names]);
      if (!began) {
        began = true;
        const first = topic ?? names.find((one) => one === "POSTS_SCORED") ?? names.find((one) => /scored/i.test(one));
        if (names.includes(first)) topics.value = first;
        look();
      }
    },
    close() {
      clearInterval(timer);
      asker.close();
      trend.close();
    },
  };
}

function share(page, kind) {
  return page.posts ? page.counts[kind] / page.posts : 0;
}

function drawMix(cell, page) {
  const bar = cell.firstElementChild ?? cell.appendChild(el("span", { class: "mix", role: "img" }, ...KINDS.map((kind) => el("span", { class: kind }))));
  KINDS.forEach((kind, index) => { bar.children[index].style.width = `${100 * share(page, kind)}%`; });
  const label = visible(KINDS.map((kind) => `${count(page.counts[kind])} ${kind}`).join(", "));
  if (bar.getAttribute("aria-label") !== label) bar.setAttribute("aria-label", label);
}

/** Every page has the same buckets. */
function drawTrend(plot, pages) {
  const dated = pages.filter((one) => one.first !== null).slice(0, 8);
  const length = Math.max(0, ...dated.map((one) => one.points.length));
  const x = Array.from({ length }, (_, index) => dated[0].first + (index + 0.5) * dated[0].width_s);
  plot.update(x, dated.map((one) => ({ name: one.page, y: one.points, spanGaps: true })));
}
