import { Tiles, el, link } from "./dom.js";
import { count, size } from "./format.js";
import { Asker } from "./live.js";
import { Table } from "./table.js";

export const name = "Brokers";
export const heading = ([id]) => (id === undefined ? "Brokers" : `Broker ${id}`);

export function brokerColumns() {
  return [
    { label: "Broker", value: (one) => one.id, href: (one) => link("brokers", one.id), head: true },
    { label: "State", value: (one) => (one.alive ? "alive" : "not there"), badge: (one) => (one.alive ? "good" : "bad") },
    { label: "Controller", value: (one) => (one.controller ? "leads" : ""), badge: (one) => (one.controller ? "plain" : ""), wide: true },
    { label: "Address", value: (one) => (one.host === null ? null : `${one.host}:${one.port}`), wide: true, cls: "mono" },
    { label: "Leads", value: (one) => one.leaders, text: (one) => count(one.leaders), num: true },
    { label: "Replicas", value: (one) => one.replicas, text: (one) => count(one.replicas), num: true, wide: true },
    { label: "In sync", value: (one) => one.in_sync, text: (one) => count(one.in_sync), num: true },
    { label: "On disk", value: (one) => one.size_bytes, text: (one) => size(one.size_bytes), num: true, wide: true },
  ];
}

export function open(place, [id]) {
  return id === undefined ? openAll(place) : openOne(place, id);
}

function openAll(place) {
  const table = new Table("Brokers", brokerColumns(), (one) => one.id, { sort: 0 });
  place.append(table.element);
  return { update: (cluster) => table.update(cluster.brokers) };
}

function openOne(place, id) {
  const tiles = new Tiles();
  const problem = el("p", { class: "alert", hidden: true });
  const table = new Table(
    "Partitions on this broker",
    [
      { label: "Topic", value: (one) => one.topic, href: (one) => link("topics", one.topic), head: true },
      { label: "Partition", value: (one) => one.partition, num: true },
      { label: "Role", value: (one) => (one.leads ? "leader" : "follower"), badge: (one) => (one.leads ? "plain" : "") },
      { label: "In sync", value: (one) => (one.in_sync ? "yes" : "no"), badge: (one) => (one.in_sync ? "good" : "bad") },
      { label: "Leader now", value: (one) => one.leader, text: (one) => one.leader ?? "none", num: true, wide: true },
      { label: "Replicas", value: (one) => one.replicas.join(", "), wide: true },
    ],
    (one) => `${one.topic}/${one.partition}`,
    { none: "It has none.", tall: true },
  );
  place.append(problem, tiles.element, table.element);
  const asker = new Asker(
    (one) => {
      problem.hidden = true;
      tiles.update([
        ["State", one.alive ? "alive" : "not there", one.alive ? "plain" : "bad"],
        ["Address", one.host === null ? null : `${one.host}:${one.port}`],
        ["Controller", one.controller ? "leads" : "no"],
        ["Leads", count(one.leaders)],
        ["Replicas", count(one.replicas)],
        ["In sync", count(one.in_sync), one.in_sync < one.replicas ? "warn" : "plain"],
        ["On disk", size(one.size_bytes)],
      ]);
      table.update(one.parts);
    },
    (error) => {
      problem.hidden = false;
      problem.textContent = error.message;
    },
  );
  return { update: () => asker.ask("broker", { id }, { again: true }), close: () => asker.close() };
}
