import { Tiles, el, field, link } from "./dom.js";
import { count, rate, span, statusKind } from "./format.js";
import { resetGroup } from "./actions.js";
import { Plot } from "./plot.js";
import { Asker, state } from "./live.js";
import { Table } from "./table.js";

export const name = "Groups";
export const heading = ([group]) => group ?? "Groups";

export function groupColumns() {
  return [
    { label: "Group", value: (one) => one.name, href: (one) => link("groups", one.name), head: true },
    { label: "Status", value: (one) => one.status, badge: (one) => statusKind(one.status) },
    { label: "Lag", value: (one) => one.lag, text: (one) => count(one.lag), num: true },
    { label: "Oldest not read", value: (one) => one.age_s, text: (one) => span(one.age_s), num: true, wide: true },
    { label: "Caught up in", value: (one) => one.catch_up_s, text: (one) => (one.lag === 0 ? "–" : span(one.catch_up_s)), num: true, wide: true },
    { label: "In/s", value: (one) => one.rate_in, text: (one) => rate(one.rate_in), num: true, wide: true },
    { label: "Read/s", value: (one) => one.rate_out, text: (one) => rate(one.rate_out), num: true },
    { label: "Members", value: (one) => one.members, text: (one) => count(one.members), num: true, wide: true },
    { label: "Kafka says", value: (one) => one.state, wide: true },
  ];
}

export function open(place, [group]) {
  return group === undefined ? openAll(place) : openOne(place, group);
}

function openAll(place) {
  const search = el("input", { type: "search", autocomplete: "off" });
  const table = new Table("Groups", groupColumns(), (one) => one.name, { sort: 0, none: "No group has committed yet." });
  place.append(
    el("div", { class: "bar" }, field("Filter by name", search)),
    table.element,
    el(
      "p",
      { class: "muted" },
      "OK: it has caught up, or its lag falls. WARN: it reads on, but its lag never falls. STALL: a live member stays " +
        "where it is. STOP: nobody reads on; a pinned consumer is no member. REWIND: its offset went back.",
    ),
  );
  let cluster = null;
  function update(newest = cluster) {
    cluster = newest;
    if (!cluster) return;
    const wanted = search.value.trim().toLowerCase();
    table.update(cluster.groups.filter((one) => one.name.toLowerCase().includes(wanted)));
  }
  search.addEventListener("input", () => update());
  return { update };
}

function openOne(place, group) {
  const tiles = new Tiles();
  const problem = el("p", { class: "alert", hidden: true });
  const plot = new Plot("Lag in rows", { format: count });
  const partitions = new Table(
    "Partitions",
    [
      { label: "Topic", value: (one) => one.topic, href: (one) => link("topics", one.topic), head: true },
      { label: "Partition", value: (one) => one.partition, num: true },
      { label: "Status", value: (one) => one.status, badge: (one) => statusKind(one.status) },
      { label: "Lag", value: (one) => one.lag, text: (one) => count(one.lag), num: true },
      { label: "Current", value: (one) => one.current_offset, text: (one) => count(one.current_offset), num: true, wide: true },
      { label: "End", value: (one) => one.end_offset, text: (one) => count(one.end_offset), num: true, wide: true },
      { label: "Oldest not read", value: (one) => one.age_s, text: (one) => span(one.age_s), num: true, wide: true },
      { label: "Read/s", value: (one) => one.rate_out, text: (one) => rate(one.rate_out), num: true },
      { label: "Consumer", value: (one) => one.consumer_id, wide: true },
      { label: "Host", value: (one) => one.host, wide: true },
    ],
    (one) => `${one.topic}/${one.partition}`,
    { tall: true },
  );
  const members = new Table(
    "Live members",
    [
      { label: "Client", value: (one) => one.client_id, head: true },
      { label: "Host", value: (one) => one.host },
      { label: "Reads", value: (one) => one.partitions.join(", ") || "nothing" },
      { label: "Member", value: (one) => one.member_id, wide: true, cls: "mono" },
    ],
    (one) => one.member_id,
    { none: "It has none: pinned consumers are no members, and stopped ones no longer are." },
  );
  place.append(problem, tiles.element, plot.element, el("h2", {}, "Partitions and members"), partitions.element, members.element);
  if (state.about.changes) place.append(resetGroup(group));
  const asker = new Asker(
    (one) => {
      problem.hidden = true;
      const kind = statusKind(one.status);
      tiles.update([
        ["Status", one.status, kind === "good" ? "plain" : kind],
        ["Lag", count(one.lag)],
        ["Oldest not read", span(one.age_s)],
        ["Caught up in", one.lag === 0 ? "–" : span(one.catch_up_s)],
        ["In, rows a second", rate(one.rate_in)],
        ["Read, rows a second", rate(one.rate_out)],
        ["Kafka says", one.state],
        ["Coordinator", one.coordinator],
      ]);
      plot.update(one.series.x, [{ name: group, y: one.series.y }]);
      partitions.update(one.parts);
      members.update(one.live ?? []);
      members.element.hidden = one.live === null;
    },
    (error) => {
      problem.hidden = false;
      problem.textContent = error.message;
    },
  );
  return {
    update: () => asker.ask("group", { name: group }, { again: true }),
    close() {
      asker.close();
      plot.close();
    },
  };
}
