// The page: which view is shown, how the cluster is, and whether what is shown is still true.

import { el, link, setText, visible } from "./dom.js";
import { clock, span } from "./format.js";
import { ask, listen, silent, state } from "./live.js";
import * as overview from "./overview.js";
import * as brokers from "./brokers.js";
import * as topics from "./topics.js";
import * as groups from "./groups.js";
import * as rows from "./rows.js";
import * as curves from "./curves.js";
import * as latency from "./latency.js";
import * as sentiment from "./sentiment.js";

const VIEWS = { overview, brokers, topics, groups, rows, curves, latency, sentiment };
const place = document.getElementById("view");
const title = document.getElementById("title");
const main = document.getElementById("main");
const list = document.getElementById("views");
let shown = null;

for (const [name, view] of Object.entries(VIEWS)) {
  list.append(el("li", {}, el("a", { href: link(name), "data-view": name }, view.name)));
}

function route() {
  let parts;
  try {
    parts = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  } catch {
    parts = [""];
  }
  const name = Object.hasOwn(VIEWS, parts[0]) ? parts[0] : "overview";
  return [name, parts.slice(1)];
}

function show(focus) {
  const [name, rest] = route();
  shown?.close?.();
  for (const anchor of list.querySelectorAll("a")) {
    if (anchor.dataset.view === name) anchor.setAttribute("aria-current", rest.length ? "true" : "page");
    else anchor.removeAttribute("aria-current");
  }
  const heading = VIEWS[name].heading(rest);
  setText(title, heading);
  document.title = visible(`${heading} · sensorstream`);
  place.replaceChildren();
  shown = VIEWS[name].open(place, rest);
  if (state.overview) shown.update(state.overview);
  if (focus) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

/** What is wrong, in sentences: the server, the cluster, single brokers. */
function troubles() {
  const told = [];
  const cluster = state.overview;
  if (silent()) told.push(["bad", "The server of this page does not answer. What is shown is old."]);
  if (!cluster) return told;
  if (!cluster.reachable) {
    told.push(["bad", `No broker answers. Shown is what was known at ${clock(cluster.taken_at)}.`]);
  } else {
    const dead = cluster.brokers.filter((one) => !one.alive).map((one) => one.id);
    if (dead.length) told.push(["bad", `${dead.length === 1 ? "Broker" : "Brokers"} ${dead.join(", ")} ${dead.length === 1 ? "is" : "are"} not there.`]);
    if (cluster.offline) told.push(["bad", `${cluster.offline} ${cluster.offline === 1 ? "partition has" : "partitions have"} no leader.`]);
    if (cluster.under_replicated) told.push(["warn", `${cluster.under_replicated} ${cluster.under_replicated === 1 ? "partition misses" : "partitions miss"} a replica in sync.`]);
  }
  for (const problem of cluster.problems) told.push(["warn", problem]);
  return told;
}

const alerts = document.getElementById("alerts");
const health = document.getElementById("health");
const fresh = document.getElementById("fresh");
let alerted = "";

function tell() {
  const told = troubles();
  const key = JSON.stringify(told);
  if (key !== alerted) {
    // Only what is new is read out.
    alerted = key;
    alerts.replaceChildren(...told.map(([kind, text]) => el("p", { class: "alert", "data-kind": kind }, visible(text))));
  }
  const cluster = state.overview;
  let [kind, text] = ["plain", "connecting"];
  if (silent()) [kind, text] = ["bad", "server silent"];
  else if (cluster && !cluster.reachable) [kind, text] = ["bad", "no broker answers"];
  else if (cluster) {
    const alive = cluster.brokers.filter((one) => one.alive).length;
    const well = alive === cluster.brokers.length && !cluster.offline;
    [kind, text] = [!well ? "bad" : cluster.under_replicated ? "warn" : "good", `${alive} of ${cluster.brokers.length} brokers`];
  }
  setText(health, text);
  health.dataset.kind = kind;
  if (cluster) {
    const age = Math.max(0, cluster.at - cluster.taken_at) + (performance.now() - cluster.came) / 1000;
    setText(fresh, age < 10 ? "live" : `looked at ${span(age)} ago`);
  }
}

addEventListener("hashchange", () => show(true));
setInterval(tell, 500);
ask("about").then((about) => { state.about = about; }, () => {}).finally(() => {
  show(false);
  listen(() => {
    shown?.update(state.overview);
    tell();
  });
});
