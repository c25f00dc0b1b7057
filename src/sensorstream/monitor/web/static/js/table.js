// A table that is brought up to date in place: rows keep their elements, so focus and selection stay where they are.

import { el, setText } from "./dom.js";

/**
 * columns: { label, value(row), text(row)?, href(row)?, badge(row)?, num?, wide?, head?, cls? }
 *   value sorts, text is shown (null: unknown); href makes a link; badge gives the kind of a badge; wide: not on a phone.
 */
export class Table {
  constructor(caption, columns, key, { sort = null, descending = false, none = "There are none.", tall = false } = {}) {
    this.columns = columns;
    this.key = key;
    this.sort = sort;
    this.descending = descending;
    this.rows = [];
    this.shown = new Map();
    this.heads = columns.map((column, index) => {
      const button = el("button", { type: "button", on: { click: () => this.sortBy(index) } }, column.label);
      return el("th", { scope: "col", class: classes(column) }, button);
    });
    this.body = el("tbody");
    this.none = el("p", { class: "none" }, none);
    this.caption = el("caption", {}, caption);
    this.table = el("table", {}, this.caption, el("thead", {}, el("tr", {}, ...this.heads)), this.body);
    // It may be wider than a phone: then it scrolls by itself, with the keyboard too.
    this.element = el(
      "div",
      { class: tall ? "table tall" : "table", tabIndex: 0, role: "region", "aria-label": caption },
      this.table,
      this.none,
    );
    this.tellOrder();
  }

  sortBy(index) {
    this.descending = this.sort === index ? !this.descending : Boolean(this.columns[index].num);
    this.sort = index;
    this.tellOrder();
    this.update(this.rows);
  }

  tellOrder() {
    this.heads.forEach((head, index) => {
      if (index === this.sort) head.setAttribute("aria-sort", this.descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  }

  update(rows) {
    this.rows = rows;
    this.none.hidden = rows.length > 0;
    const wanted = this.sorted(rows);
    const keys = new Set();
    let place = this.body.firstElementChild;
    for (const row of wanted) {
      const key = String(this.key(row));
      keys.add(key);
      const made = this.shown.get(key) ?? this.make(key);
      this.columns.forEach((column, index) => fill(made.cells[index], column, row));
      if (made.element === place) place = place.nextElementSibling;
      else this.body.insertBefore(made.element, place);
    }
    for (const [key, made] of this.shown) {
      if (keys.has(key)) continue;
      made.element.remove();
      this.shown.delete(key);
    }
  }

  sorted(rows) {
    if (this.sort === null) return rows;
    const { value } = this.columns[this.sort];
    const turn = this.descending ? -1 : 1;
    return [...rows].sort((left, right) => {
      const [a, b] = [value(left), value(right)];
      // What is not known stands at the end, whichever way.
      if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1;
      if (b === null || b === undefined) return -1;
      return turn * (typeof a === "string" ? a.localeCompare(String(b), "en", { numeric: true }) : a - b);
    });
  }

  make(key) {
    const cells = this.columns.map((column) =>
      el(column.head ? "th" : "td", { class: classes(column), scope: column.head ? "row" : undefined }),
    );
    const made = { element: el("tr", {}, ...cells), cells };
    this.shown.set(key, made);
    return made;
  }
}

function classes(column) {
  return [column.num && "num", column.wide && "wide", column.cls].filter(Boolean).join(" ");
}

function fill(cell, column, row) {
  if (column.draw) {
    column.draw(cell, row);
    return;
  }
  const text = (column.text ?? column.value)(row);
  const shown = text === null || text === undefined ? "unknown" : text;
  cell.classList.toggle("unknown", text === null || text === undefined);
  if (column.href) {
    const anchor = cell.firstElementChild ?? cell.appendChild(el("a"));
    const href = column.href(row);
    if (anchor.getAttribute("href") !== href) anchor.setAttribute("href", href);
    setText(anchor, shown);
  } else if (column.badge) {
    const kind = column.badge(row);
    const inner = cell.firstElementChild ?? cell.appendChild(el("span"));
    if (inner.className !== (kind ? "badge" : "")) inner.className = kind ? "badge" : "";
    if (inner.dataset.kind !== kind) inner.dataset.kind = kind ?? "";
    setText(inner, shown);
  } else {
    setText(cell, shown);
  }
}

