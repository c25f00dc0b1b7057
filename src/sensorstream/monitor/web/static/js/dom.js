// Elements. Whatever comes from the cluster becomes text here (textContent), never markup.

/** An element; properties are set as they are, "class", "data-*", "aria-*", "role" and the like as attributes. */
export function el(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") made.className = value;
    else if (key === "on") for (const [event, handler] of Object.entries(value)) made.addEventListener(event, handler);
    else if (key in made && !key.includes("-") && key !== "role" && key !== "list") made[key] = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Set a text where it is another one: what is selected or read out stays undisturbed. */
export function setText(element, text) {
  const wanted = visible(String(text));
  if (element.textContent !== wanted) element.textContent = wanted;
}

const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** Control characters and changes of direction written out: a text must not look like what it does not say. */
export function visible(text) {
  return text.replace(HIDDEN, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** An address within the page. */
export function link(...parts) {
  return `#/${parts.map(encodeURIComponent).join("/")}`;
}

/** A field with its name. */
export function field(name, control) {
  return el("label", {}, el("span", {}, name), control);
}

/** A list to choose from; keeps what is chosen when its options change. */
export function setOptions(select, names, texts = names) {
  const shown = [...select.options].map((option) => option.value);
  if (shown.length === names.length && shown.every((name, index) => name === names[index])) return;
  const chosen = select.value;
  select.replaceChildren(...names.map((name, index) => el("option", { value: name }, visible(String(texts[index])))));
  if (names.includes(chosen)) select.value = chosen;
}

export function badge(text, kind = "plain") {
  return el("span", { class: "badge", "data-kind": kind }, visible(String(text)));
}

/** Figures in a row: each has a label, a text (null: unknown) and perhaps a kind (warn, bad). */
export class Tiles {
  constructor() {
    this.element = el("ul", { class: "tiles" });
    this.shown = new Map();
  }

  update(tiles) {
    for (const [label, text, kind] of tiles) {
      let tile = this.shown.get(label);
      if (!tile) {
        const value = el("span", { class: "value" });
        tile = { item: el("li", {}, el("span", { class: "label" }, label), value), value };
        this.shown.set(label, tile);
        this.element.append(tile.item);
      }
      setText(tile.value, text ?? "unknown");
      tile.value.classList.toggle("unknown", text === null || text === undefined);
      tile.item.dataset.kind = kind ?? "plain";
    }
  }
}
