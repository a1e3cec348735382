// Answers on their way to the server. They are kept in the browser until the server says that they are stored, and
// sent again (the same PUT, which the server takes once) after a lost connection, a restart or a log-out.

import { api } from "/ui/api_client.js";

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15000;

export class Outbox {
  #key;
  #items;
  #report;
  #busy = null;
  #wait = FIRST_WAIT_MS;
  #timer = 0;

  // report({waiting, problem}): problem is null or an ApiError.
  constructor(userName, report) {
    this.#key = `vidpref.outbox.${userName}`;
    this.#report = report;
    this.#items = JSON.parse(localStorage.getItem(this.#key) || "[]");
    window.addEventListener("online", () => this.flush());
    window.addEventListener("focus", () => this.#items.length && this.flush());
  }

  get size() {
    return this.#items.length;
  }

  add(assignmentId, body) {
    this.#items.push({ assignmentId, body });
    this.#save();
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
    while (this.#items.length) {
      this.#report({ waiting: this.#items.length, problem: refused });
      const item = this.#items[0];
      try {
        await api.submit(item.assignmentId, item.body);
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
      this.#save();
      this.#wait = FIRST_WAIT_MS;
    }
    this.#report({ waiting: 0, problem: refused });
    return true;
  }

  #save() {
    localStorage.setItem(this.#key, JSON.stringify(this.#items));
  }
}
