// What the server tells: each new view of the cluster as it comes, and answers to questions.

export const state = { overview: null, about: { changes: false, bootstrap: [], topics: [] }, heardAt: 0, refused: "" };

const SILENT_MS = 6000;

/** Whether the server has been silent for longer than its beat allows. */
export function silent() {
  return state.heardAt > 0 && performance.now() - state.heardAt > SILENT_MS;
}

export function listen(onView) {
  const events = new EventSource("api/events");
  const heard = () => { state.heardAt = performance.now(); };
  events.addEventListener("open", heard);
  events.addEventListener("beat", heard);
  events.addEventListener("view", (event) => {
    heard();
    state.overview = JSON.parse(event.data);
    state.overview.came = performance.now();
    onView();
  });
  events.addEventListener("error", () => {
    // The browser tries again by itself, but not after an answer that says no.
    if (events.readyState === EventSource.CLOSED) setTimeout(() => listen(onView), 3000);
  });
}

/** An answer of the server as an object. Throws an Error with what it says when it says no. */
export async function ask(path, parameters = {}, signal) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined));
  let response;
  try {
    response = await fetch(`api/${path}?${query}`, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server of this page does not answer.");
  }
  return read(response);
}

/** Ask for a change. Throws an Error with what the server says when it says no. */
export async function change(name, what) {
  let response;
  try {
    response = await fetch(`api/changes/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(what),
    });
  } catch {
    throw new Error("The server of this page does not answer.");
  }
  return read(response);
}

async function read(response) {
  const text = await response.text();
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new Error(text.trim().slice(0, 300) || `The server answered ${response.status}.`);
  }
  if (!response.ok) throw new Error(answer.hint ? `${answer.error}; ${answer.hint}` : answer.error);
  return answer;
}

/** Asks the same again and again, one question at a time, and tells the newest answer; too old ones are dropped. */
export class Asker {
  constructor(onAnswer, onError) {
    this.onAnswer = onAnswer;
    this.onError = onError;
    this.number = 0;
    this.busy = null;
  }

  get waiting() {
    return this.busy !== null;
  }

  async ask(path, parameters, { again = false } = {}) {
    if (this.busy) {
      if (again) return;
      this.busy.abort();
    }
    const mine = ++this.number;
    const controller = new AbortController();
    this.busy = controller;
    try {
      const answer = await ask(path, parameters, controller.signal);
      if (mine === this.number) this.onAnswer(answer);
    } catch (error) {
      if (mine === this.number && error.name !== "AbortError") this.onError(error);
    } finally {
      if (mine === this.number) this.busy = null;
    }
  }

  close() {
    this.number += 1;
    this.busy?.abort();
    this.busy = null;
  }
}

/** The names of the topics to choose from: one's own first, Kafka's behind. */
export function topicNames(overview) {
  return [...(overview?.topics ?? [])].sort((a, b) => a.internal - b.internal || a.name.localeCompare(b.name)).map((one) => one.name);
}
