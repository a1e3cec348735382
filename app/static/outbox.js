// Answers on their way to the server. They are kept in the browser until the server says that they are stored, and
// sent again (the same PUT, which the server takes once) after a lost connection, a restart or a log-out. Each has a
// key of its own in the browser's store, so that two windows do not overwrite each other's.

import { api } from "/ui/api_client.js";

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15000;

export class Outbox {
  #prefix;
  #items;
  #report;
  #busy = null;
  #wait = FIRST_WAIT_MS;
  #timer = 0;

  // report({waiting, problem, late}): problem is null or an ApiError; late says that a pair had gone back already.
  constructor(userName, report) {
    this.#prefix = `vidpref.outbox.${userName}/`;
    this.#report = report;
    this.#items = Object.keys(localStorage)
      .filter((key) => key.startsWith(this.#prefix))
      .map((key) => ({ key, ...JSON.parse(localStorage.getItem(key)) }))
      .sort((one, other) => one.madeAt - other.madeAt);
    window.addEventListener("online", () => this.flush());
    window.addEventListener("focus", () => this.#items.length && this.flush());
  }

  get size() {
    return this.#items.length;
  }

  add(assignmentId, body) {
    const madeAt = Date.now();
    const key = `${this.#prefix}${madeAt}.${assignmentId}`;
    this.#items.push({ key, assignmentId, body, madeAt });
    localStorage.setItem(key, JSON.stringify({ assignmentId, body, madeAt }));
    return this.flush();
  }

  // Resolves to true when nothing is left to send.
  flush() {
    clearTimeout(this.#timer);
    this.#busy ??= this.#sendAll().finally(() => {
      this.#busy = null;
    });
    return this.#busy;
  }

  async #sendAll() {
    if (!this.#items.length) return true;
    let refused = null;
    let late = false;
    while (this.#items.length) {
      this.#report({ waiting: this.#items.length, problem: refused });
      const item = this.#items[0];
      try {
        late = (await api.submit(item.assignmentId, item.body)).late;
      } catch (error) {
        if (error.passes || error.status === 401) {
          this.#report({ waiting: this.#items.length, problem: error });
          this.#timer = setTimeout(() => this.flush(), this.#wait);
          this.#wait = Math.min(2 * this.#wait, LONGEST_WAIT_MS);
          return false;
        }
        refused = error; // The server will never take this one: say so, and go on with the others.
      }
      this.#items.shift();
      localStorage.removeItem(item.key);
      this.#wait = FIRST_WAIT_MS;
    }
    this.#report({ waiting: 0, problem: refused, late });
    return true;
  }
}
