// The pairs this page holds: the one shown, the next ones already loaded, and how to get more.

import { api } from "/ui/api_client.js";
import { PairStage } from "/ui/pair_stage.js";

const HEARTBEAT_MS = 60_000;

export class PairQueue {
  #waiting = []; // Stages loaded ahead, first to be shown first.
  #fetching = null;
  #hooks;
  #container;

  current = null;
  category = "";

  // hooks: {onTick, onPress} of the stages.
  constructor(container, hooks) {
    this.#container = container;
    this.#hooks = hooks;
    setInterval(() => this.#beat(), HEARTBEAT_MS);
    // Pairs never looked at go back at once when the page is left; the one shown stays leased for a while, so that
    // reloading the page shows it again.
    window.addEventListener("pagehide", () => this.giveBackWaiting());
  }

  get ids() {
    return [this.current, ...this.#waiting].filter(Boolean).map((stage) => stage.id);
  }

  // Starts loading the next pair, once. Resolves to its stage, or null when nothing is left.
  prefetch() {
    if (this.#waiting.length) return Promise.resolve(this.#waiting[0]);
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = null;
    });
    return this.#fetching;
  }

  async #fetch() {
    const category = this.category;
    const assignment = await api.next(category);
    const isHere = assignment && this.ids.includes(assignment.assignment_id);
    if (category !== this.category) {
      // Another category was chosen meanwhile: this pair is not wanted any more.
      if (assignment && !isHere) api.giveBack(assignment.assignment_id).catch(() => undefined);
      return this.#fetch();
    }
    if (!assignment || isHere) return null; // Nothing is left, or all we may hold at once is here already.
    const stage = this.#add(assignment);
    this.#waiting.push(stage);
    return stage;
  }

  #add(assignment) {
    const stage = new PairStage(assignment, this.#hooks);
    this.#container.append(stage.element);
    return stage;
  }

  // Takes the present pair away and makes the next one current, as soon as it can be played.
  async advance() {
    this.dropCurrent();
    const stage = await this.prefetch();
    if (!stage || this.current) return this.current;
    try {
      await stage.loaded;
    } catch (error) {
      stage.remove();
      error.brokenId = stage.id; // Still leased: it can be skipped, or given again.
      throw error;
    } finally {
      this.#waiting = this.#waiting.filter((other) => other !== stage);
    }
    this.current = stage;
    return stage;
  }

  dropCurrent() {
    this.current?.remove();
    this.current = null;
  }

  // Shows a pair that this rater holds already, as after a reload.
  async resume(assignment) {
    await api.heartbeat(assignment.assignment_id);
    const stage = this.#add(assignment);
    await stage.loaded;
    this.current = stage;
    return stage;
  }

  // Puts the present pair back to the front of those waiting and makes another assignment current instead, once it
  // can be played; the present pair stays where that fails.
  async putBefore(assignment) {
    const stage = this.#add(assignment);
    try {
      await stage.loaded;
    } catch (error) {
      stage.remove();
      throw error;
    }
    if (this.current) {
      this.current.hide();
      this.#waiting.unshift(this.current);
    }
    this.current = stage;
    return stage;
  }

  giveBackWaiting() {
    for (const stage of this.#waiting.splice(0)) this.#giveBack(stage);
  }

  giveBackAll() {
    this.giveBackWaiting();
    if (this.current) this.#giveBack(this.current);
    this.current = null;
  }

  #giveBack(stage) {
    stage.remove();
    api.giveBack(stage.id).catch(() => undefined); // The lease ends by itself in minutes.
  }

  #beat() {
    if (document.visibilityState !== "visible") return;
    // A heartbeat that fails changes nothing here: an answer after the lease's end is kept too.
    for (const id of this.ids) api.heartbeat(id).catch(() => undefined);
  }
}
