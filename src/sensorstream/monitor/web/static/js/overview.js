import { Tiles, el } from "./dom.js";
import { count, rate, span } from "./format.js";
import { Plot, joined } from "./plot.js";
import { Asker } from "./live.js";
import { Table } from "./table.js";
import { brokerColumns } from "./brokers.js";
import { groupColumns } from "./groups.js";

export const name = "Overview";
export const heading = () => "Overview";

export function open(place) {
  const tiles = new Tiles();
  const all = new Plot("Rows a second, all topics", { format: rate });
  const busiest = new Plot("Rows a second, by topic", { format: rate });
  const lag = new Plot("Lag in rows, by group", { format: count, none: "No group has committed yet." });
  const brokers = new Table("Brokers", brokerColumns(), (one) => one.id);
  const groups = new Table("Groups", groupColumns(), (one) => one.name, { sort: 2, descending: true, none: "No group has committed yet." });
  place.append(tiles.element, el("div", { class: "plots" }, all.element, busiest.element, lag.element), brokers.element, groups.element);
  const asker = new Asker(({ series }) => {
    all.update(series.rate.x, [{ name: "all topics", y: series.rate.y }]);
    busiest.update(...joined(series.topics));
    lag.update(...joined(series.lag));
  }, () => {});
  return {
    update(cluster) {
      const alive = cluster.brokers.filter((one) => one.alive).length;
      tiles.update([
        ["Brokers", `${cluster.reachable ? alive : 0} of ${cluster.brokers.length}`, alive < cluster.brokers.length ? "bad" : "plain"],
        ["Kafka", cluster.version],
        ["Controller", cluster.controller],
        ["Topics", count(cluster.topics.filter((one) => !one.internal).length)],
        ["Partitions", count(cluster.partitions)],
        ["Out of sync", count(cluster.under_replicated), cluster.under_replicated ? "warn" : "plain"],
        ["Without leader", count(cluster.offline), cluster.offline ? "bad" : "plain"],
        ["Rows a second", rate(cluster.rate)],
        ["Lag, all groups", count(cluster.lag)],
        ["Oldest not read", span(cluster.oldest_s)],
      ]);
      brokers.update(cluster.brokers);
      groups.update(cluster.groups);
      asker.ask("overview", {}, { again: true });
    },
    close() {
      asker.close();
      for (const plot of [all, busiest, lag]) plot.close();
    },
  };
}

