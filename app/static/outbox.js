// Answers on their way to the server. They are kept in the browser until the server says that they are stored, and
// sent again (the same PUT, which the server takes once) after a lost connection, a restart or a log-out. One that the
// server refuses is kept too, until the rater sends it again or drops it. Each has a key of its own in the browser's store, so that two windows do not overwrite each other's.

import { api } from "/ui/api_client.js";

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15000;

export class Outbox {
  #prefix;
  #items; // To be sent, oldest first.
  #refused; // Not accepted; `refused` says why.
  #report;
  #busy = null;
  #wait = FIRST_WAIT_MS;
  #timer = 0;

  // report({waiting, problem, late, refused}): problem is null or an ApiError that passes; late says that a pair had
  // gone back already; refused are the answers not accepted.
  constructor(userName, report) {
    this.#prefix = `vidpref.outbox.${userName}/`;
    this.#report = (state) => report({ late: false, problem: null, refused: this.#refused, ...state });
    const kept = Object.keys(localStorage)
      .filter((key) => key.startsWith(this.#prefix))
      .map((key) => ({ key, ...JSON.parse(localStorage.getItem(key)) }))
      .sort((one, other) => one.madeAt - other.madeAt);
    this.#items = kept.filter((item) => !item.refused);
    this.#refused = kept.filter((item) => item.refused);
    window.addEventListener("online", () => this.flush());
    window.addEventListener("focus", () => this.#items.length && this.flush());
  }

  get size() {
    return this.#items.length;
  }

  add(assignmentId, body) {
    const madeAt = Date.now();
    const key = `${this.#prefix}${madeAt}.${assignmentId}`;
    const item = { key, assignmentId, body, madeAt };
    this.#items.push(item);
    keep(item);
    return this.flush();
  }

  // Puts the answers that were refused behind those to be sent.
  sendRefused() {
    for (const item of this.#refused.splice(0)) {
      delete item.refused;
      keep(item);
      this.#items.push(item);
    }
    return this.flush();
  }

  dropRefused() {
    for (const item of this.#refused.splice(0)) localStorage.removeItem(item.key);
    this.#report({ waiting: this.#items.length });
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
    if (!this.#items.length) {
      if (this.#refused.length) this.#report({ waiting: 0 });
      return true;
    }
    let late = false;
    while (this.#items.length) {
      this.#report({ waiting: this.#items.length });
      const item = this.#items[0];
      try {
        late = (await api.submit(item.assignmentId, item.body)).late;
        localStorage.removeItem(item.key);
      } catch (error) {
        if (error.passes || error.status === 401) {
          this.#report({ waiting: this.#items.length, problem: error });
          this.#timer = setTimeout(() => this.flush(), this.#wait);
          this.#wait = Math.min(2 * this.#wait, LONGEST_WAIT_MS);
          return false;
        }
        item.refused = error.message; // Say so, and go on with the others.
        keep(item);
        this.#refused.push(item);
      }
      this.#items.shift();
      this.#wait = FIRST_WAIT_MS;
    }
    this.#report({ waiting: 0, late });
    return true;
  }
}

function keep({ key, ...content }) {
  localStorage.setItem(key, JSON.stringify(content));
}
