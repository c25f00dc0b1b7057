import { el, field, link, setOptions, setText, visible } from "./dom.js";
import { count, moment, size } from "./format.js";
import { Asker, topicNames } from "./live.js";

export const name = "Rows";
export const heading = ([topic]) => (topic === undefined ? "Rows" : `Rows of ${topic}`);

const FROMS = { newest: "the newest rows", offset: "from an offset on", time: "from a time on" };

export function open(place, [topic, partition]) {
  const topics = el("select");
  const partitions = el("select");
  const from = el("select", {}, ...Object.entries(FROMS).map(([value, text]) => el("option", { value }, text)));
  const offset = el("input", { type: "number", min: 0, step: 1, value: 0 });
  const time = el("input", { type: "datetime-local", step: 1 });
  const limit = el("select", {}, ...[20, 50, 100, 500].map((value) => el("option", { value, selected: value === 50 }, String(value))));
  const live = el("input", { type: "checkbox" });
  const told = el("p", { class: "muted", role: "status" });
  const problem = el("p", { class: "alert", role: "alert", hidden: true });
  const fields = { offset: field("Offset", offset), time: field("Time (UTC)", time) };
  const keep = el("label", { class: "check" }, live, "Keep showing the newest");
  const form = el(
    "form",
    { "aria-label": "Which rows" },
    field("Topic", topics),
    field("Partition", partitions),
    field("Show", from),
    fields.offset,
    fields.time,
    field("At most", limit),
    el("button", { class: "main" }, "Show rows"),
    keep,
  );
  const head = el("tr");
  const body = el("tbody");
  const table = el(
    "div",
    { class: "table tall", tabIndex: 0, role: "region", "aria-label": "Rows", hidden: true },
    el("table", { class: "rows" }, el("thead", {}, head), body),
  );
  place.append(form, problem, told, table);

  let cluster = null;
  let asked = false;
  const asker = new Asker(
    (answer) => {
      problem.hidden = true;
      draw(answer, head, body);
      table.hidden = answer.rows.length === 0;
      setText(told, tale(answer));
    },
    (error) => {
      problem.hidden = false;
      setText(problem, error.message);
      setText(told, "");
    },
  );

  function look(again = false) {
    if (!topics.value) return;
    asked = true;
    if (!again) setText(told, "Reading …");
    asker.ask(
      "rows",
      {
        topic: topics.value,
        partition: partitions.value,
        from: from.value,
        value: from.value === "offset" ? offset.value || "0" : from.value === "time" ? time.value || "0" : "",
        limit: limit.value,
      },
      { again },
    );
  }

  function fit() {
    fields.offset.hidden = from.value !== "offset";
    fields.time.hidden = from.value !== "time";
    keep.hidden = from.value !== "newest";
    if (from.value !== "newest") live.checked = false;
  }

  function countPartitions() {
    const found = cluster?.topics.find((one) => one.name === topics.value);
    const numbers = Array.from({ length: found?.partitions ?? 0 }, (_, number) => String(number));
    setOptions(partitions, ["all", ...numbers], ["all", ...numbers]);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    look();
  });
  from.addEventListener("change", fit);
  topics.addEventListener("change", () => { location.hash = link("rows", topics.value); });
  live.addEventListener("change", () => { if (live.checked) look(); });
  fit();
  return {
    update(newest) {
      cluster = newest;
      setOptions(topics, topicNames(cluster));
      if (topic !== undefined && !asked && [...topics.options].some((one) => one.value === topic)) topics.value = topic;
      countPartitions();
      if (partition !== undefined && !asked) partitions.value = partition;
      if (!asked) look();
      else if (live.checked && from.value === "newest") look(true);
    },
    close: () => asker.close(),
  };
}

function tale(answer) {
  const held = answer.bounds.reduce((sum, one) => sum + one.end - one.first, 0);
  const parts = [`${count(answer.rows.length)} of ${count(held)} rows`];
  if (answer.bounds.length < answer.partitions) parts.push(`from the first ${answer.bounds.length} of ${answer.partitions} partitions`);
  if (answer.bounds.length === 1) parts.push(`the partition holds offsets ${count(answer.bounds[0].first)} to ${count(answer.bounds[0].end)}`);
  if (!answer.whole) parts.push("time was up before all were read");
  return parts.join("; ");
}

function draw(answer, head, body) {
  const names = ["Partition", "Offset", "Timestamp (UTC)", "Key", ...answer.columns.map((one) => one.name)];
  head.replaceChildren(
    ...names.map((text, index) => el("th", { scope: "col", class: index < 2 || answer.columns[index - 4]?.numeric ? "num" : "" }, visible(text))),
  );
  body.replaceChildren(
    ...answer.rows.map((row) => {
      const cells = answer.columns.map((column, index) => {
        const cell = row.cells[index];
        if (cell === null) return el("td", { class: column.numeric ? "num unknown" : "unknown" }, row.reason ? "" : "–");
        return el("td", { class: column.numeric ? "num" : "value-cell" }, visible(cell));
      });
      if (row.reason) {
        const where = cells[answer.columns.findIndex((one) => one.name === "value")] ?? cells.at(-1);
        const why = el("span", { class: "muted" }, visible(`(${row.reason})`));
        if (where) where.append(" ", why);
        else cells.push(el("td", {}, why));
      }
      return el(
        "tr",
        {},
        el("td", { class: "num" }, String(row.partition)),
        el("td", { class: "num", title: row.size === null ? null : size(row.size) }, count(row.offset)),
        el("td", { class: "mono" }, moment(row.timestamp_ms)),
        el("td", { class: row.key === null ? "unknown" : "value-cell" }, row.key === null ? "–" : visible(row.key)),
        ...cells,
      );
    }),
  );
}
