// Figures as people read them. What is not known is null here and "unknown" on the page, never 0.

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const EXACT = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

const known = (make) => (value) => (value === null || value === undefined ? null : make(value));

export const count = known((value) => WHOLE.format(value));
export const rate = known((value) => (value >= 100 ? WHOLE : SHORT).format(value));
export const figure = known((value) => EXACT.format(value));
export const clock = known((seconds) => CLOCK.format(new Date(seconds * 1000)));
export const moment = known((ms) => new Date(ms).toISOString().replace("T", " ").replace("Z", ""));

export const size = known((bytes) => {
  let amount = bytes;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (amount < 1000) return `${unit === "B" ? amount : amount.toFixed(1)} ${unit}`;
    amount /= 1000;
  }
  return `${amount.toFixed(1)} TB`;
});

export const span = known((seconds) => {
  if (seconds < 1) return seconds <= 0 ? "0 s" : `${Math.round(seconds * 1000)} ms`;
  if (seconds < 120) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${WHOLE.format(Math.round(seconds / 86400))} days`;
});

export const milliseconds = known((ms) => (Math.abs(ms) >= 10000 ? `${SHORT.format(ms / 1000)} s` : `${SHORT.format(ms)} ms`));
export const signed = known((value) => `${value > 0 ? "+" : ""}${value.toFixed(3)}`);

const STATUSES = { OK: "good", WARN: "warn", REWIND: "warn", STALL: "bad", STOP: "bad", UNKNOWN: "plain" };

/** A group's status, and how it is coloured. */
export const statusKind = (status) => STATUSES[status] ?? "plain";
