// Forms that change something; shown only where the server was started with --allow-changes.

import { el, field, link, visible } from "./dom.js";
import { change } from "./live.js";

function form(title, button, controls, send) {
  const told = el("p", { role: "status" });
  const made = el("form", { "aria-label": title }, ...controls, button);
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    told.className = "muted";
    told.textContent = "…";
    try {
      told.textContent = await send();
      told.className = "";
    } catch (error) {
      told.textContent = error.message;
      told.className = "alert";
    }
    button.disabled = false;
  });
  return el("section", { class: "card" }, el("h2", {}, title), made, told);
}

export function createTopic() {
  const name = el("input", { required: true, maxLength: 249, pattern: "[A-Za-z0-9._\\-]+", autocomplete: "off" });
  const partitions = el("input", { type: "number", min: 1, max: 10000, value: 2, required: true });
  const replicas = el("input", { type: "number", min: 1, max: 100, value: 3, required: true });
  return form(
    "Make a topic",
    el("button", { class: "main" }, "Make it"),
    [field("Name", name), field("Partitions", partitions), field("Replicas", replicas)],
    async () => {
      const made = await change("create-topic", {
        name: name.value,
        partitions: partitions.valueAsNumber,
        replication_factor: replicas.valueAsNumber,
      });
      return made.created ? `${made.name} is made.` : `${made.name} was there already and is left as it is.`;
    },
  );
}

export function deleteTopic(topic) {
  const confirm = el("input", { required: true, autocomplete: "off" });
  return form(
    "Delete this topic",
    el("button", { class: "danger" }, "Delete it with all its rows"),
    [field(`To delete it, type ${topic}`, confirm)],
    async () => {
      const here = location.hash;
      await change("delete-topic", { name: topic, confirm: confirm.value });
      // Whoever has gone elsewhere meanwhile stays there.
      if (location.hash === here) location.hash = link("topics");
      return `${topic} is deleted.`;
    },
  );
}

export function resetGroup(group) {
  const to = el("input", { required: true, autocomplete: "off", value: "end" });
  const execute = el("input", { type: "checkbox" });
  return form(
    "Let this group go on somewhere else",
    el("button", { class: "danger" }, "Look, or do it"),
    [field("To: beginning, end, an offset, -N, @TIME", to), el("label", { class: "check" }, execute, "Do it, don't just look")],
    async () => {
      const done = await change("reset-group", { name: group, to: to.value.trim(), execute: execute.checked });
      execute.checked = false;
      const where = done.partitions.map((one) => `${one.topic}[${one.partition}] ${one.before ?? "unknown"} → ${one.after}`);
      const blocked = done.blocked ? ` It can't be done now: ${done.blocked}` : "";
      return visible(`${done.executed ? "Done" : "It would be"}: ${where.join(", ") || "nothing to change"}.${blocked}`);
    },
  );
}
