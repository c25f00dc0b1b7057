import { Tiles, el, field, link } from "./dom.js";
import { count, rate, size, span } from "./format.js";
import { createTopic, deleteTopic } from "./actions.js";
import { Plot } from "./plot.js";
import { Asker, state } from "./live.js";
import { Table } from "./table.js";

export const name = "Topics";
export const heading = ([topic]) => topic ?? "Topics";

export function open(place, [topic]) {
  return topic === undefined ? openAll(place) : openOne(place, topic);
}

function openAll(place) {
  const search = el("input", { type: "search", autocomplete: "off" });
  const own = el("input", { type: "checkbox" });
  const table = new Table(
    "Topics",
    [
      { label: "Topic", value: (one) => one.name, href: (one) => link("topics", one.name), head: true },
      { label: "Partitions", value: (one) => one.partitions, text: (one) => count(one.partitions), num: true },
      { label: "Replicas", value: (one) => one.replication_factor, num: true, wide: true },
      { label: "State", value: stateOf, badge: (one) => (one.offline ? "bad" : one.under_replicated ? "warn" : "good") },
      { label: "Rows", value: (one) => one.rows, text: (one) => count(one.rows), num: true },
      { label: "Rows/s", value: (one) => one.rate, text: (one) => rate(one.rate), num: true },
      { label: "Size", value: (one) => one.size_bytes, text: (one) => size(one.size_bytes), num: true, wide: true },
      { label: "Newest row", value: (one) => one.age_s, text: (one) => (one.age_s === null ? null : `${span(one.age_s)} ago`), num: true, wide: true },
    ],
    (one) => one.name,
    { sort: 0 },
  );
  const bar = el(
    "div",
    { class: "bar" },
    field("Filter by name", search),
    el("label", { class: "check" }, own, "Kafka's own, too"),
  );
  place.append(bar, table.element);
  if (state.about.changes) place.append(createTopic());
  let cluster = null;
  function update(newest = cluster) {
    cluster = newest;
    if (!cluster) return;
    const wanted = search.value.trim().toLowerCase();
    table.update(cluster.topics.filter((one) => (own.checked || !one.internal) && one.name.toLowerCase().includes(wanted)));
  }
  search.addEventListener("input", () => update());
  own.addEventListener("change", () => update());
  return { update };
}

function stateOf(one) {
  if (one.offline) return `${one.offline} without leader`;
  return one.under_replicated ? `${one.under_replicated} out of sync` : "in sync";
}

function openOne(place, topic) {
  const tiles = new Tiles();
  const problem = el("p", { class: "alert", hidden: true });
  const plot = new Plot("Rows a second", { format: rate });
  const partitions = new Table(
    "Partitions",
    [
      { label: "Partition", value: (one) => one.partition, href: (one) => link("rows", topic, one.partition), head: true },
      { label: "Leader", value: (one) => one.leader, text: (one) => one.leader ?? "none", badge: (one) => (one.leader === null ? "bad" : "") },
      { label: "Replicas", value: (one) => one.replicas.join(", "), wide: true },
      { label: "In sync", value: (one) => one.isr.join(", "), badge: (one) => (one.isr.length < one.replicas.length ? "warn" : "") },
      { label: "First offset", value: (one) => one.first_offset, text: (one) => count(one.first_offset), num: true, wide: true },
      { label: "Next offset", value: (one) => one.end_offset, text: (one) => count(one.end_offset), num: true },
      { label: "Rows/s", value: (one) => one.rate, text: (one) => rate(one.rate), num: true },
      { label: "Size", value: (one) => one.size_bytes, text: (one) => size(one.size_bytes), num: true, wide: true },
    ],
    (one) => one.partition,
    { sort: 0, tall: true },
  );
  const readers = new Table(
    "Groups that read it",
    [
      { label: "Group", value: (one) => one.name, href: (one) => link("groups", one.name), head: true },
      { label: "State", value: (one) => one.state },
      { label: "Lag here", value: (one) => one.lag, text: (one) => count(one.lag), num: true },
    ],
    (one) => one.name,
    { none: "No group has committed an offset of it." },
  );
  const links = el(
    "ul",
    { class: "links" },
    el("li", {}, el("a", { href: link("rows", topic) }, "Its rows")),
    el("li", {}, el("a", { href: link("curves", topic) }, "Its curves")),
    el("li", {}, el("a", { href: link("latency", topic) }, "Its latency")),
    el("li", {}, el("a", { href: link("topics") }, "All topics")),
  );
  place.append(problem, links, tiles.element, plot.element, el("h2", {}, "Partitions and readers"), partitions.element, readers.element);
  if (state.about.changes) place.append(deleteTopic(topic));
  const asker = new Asker(
    (one) => {
      problem.hidden = true;
      tiles.update([
        ["Partitions", count(one.partitions)],
        ["Replicas", count(one.replication_factor)],
        ["Out of sync", count(one.under_replicated), one.under_replicated ? "warn" : "plain"],
        ["Without leader", count(one.offline), one.offline ? "bad" : "plain"],
        ["Rows", count(one.rows)],
        ["Rows a second", rate(one.rate)],
        ["Size", size(one.size_bytes)],
        ["Newest row", one.age_s === null ? null : `${span(one.age_s)} ago`],
      ]);
      plot.update(one.series.x, [{ name: topic, y: one.series.y }]);
      partitions.update(one.parts);
      readers.update(one.groups);
    },
    (error) => {
      problem.hidden = false;
      problem.textContent = error.message;
    },
  );
  return {
    update: () => asker.ask("topic", { name: topic }, { again: true }),
    close() {
      asker.close();
      plot.close();
    },
  };
}
