// The annotation page: shows a pair, takes the answers, sends them, shows the next pair at once.
//
// begin() runs while Gradio is still starting: it asks for the first pair and loads its clips. mount(element) then
// puts the page into Gradio's component.

import { api, ApiError } from "/ui/api_client.js";
import { AnswerSheet } from "/ui/answer_sheet.js";
import { meaningOf } from "/ui/keys.js";
import { Outbox } from "/ui/outbox.js";
import { PairQueue } from "/ui/pair_queue.js";
import { Panels } from "/ui/player_panels.js";

const SPEEDS = [1, 0.5, 0.25, 2];
const PROGRESS_EVERY_MS = 5000;
const LOOK_AGAIN_MS = 15_000;
const RESUME_KEY = "vidpref.current";

class PairPlayer {
  #me = null;
  #outbox;
  #progressAt = -Infinity;
  #lookAgain = 0;
  #rate = 1;
  #busy = null; // The promise of the action that runs.

  constructor() {
    this.panels = new Panels({
      act: (command) => this.act(command),
      category: (name) => this.changeCategory(name),
      skip: (reason) => this.skip(reason),
      seek: (fraction) => this.stage?.clips.seekFraction(fraction),
      sendRefused: () => this.#outbox.sendRefused(),
      dropRefused: () => this.#outbox.dropRefused(),
    });
    this.sheet = new AnswerSheet((aspect) => this.#answered(aspect));
    this.panels.sheetSlot.append(this.sheet.element);
    this.queue = new PairQueue(this.panels.stageSlot, {
      onTick: () => this.panels.showTime(this.stage?.clips),
      onPress: () => this.act("toggle"),
    });
    document.addEventListener("keydown", (event) => this.#onKey(event));
  }

  get element() {
    return this.panels.element;
  }

  get stage() {
    return this.queue.current;
  }

  async start() {
    const first = this.#resumed() ?? this.queue.prefetch();
    first.catch(() => undefined); // Reported by #showNext.
    await this.#guard(async () => {
      this.#me = await api.me();
      this.#outbox = new Outbox(this.#me.name, (state) => this.panels.showOutbox(state));
      const stage = await first;
      if (this.stage) await this.#show(stage);
      else await this.#showNext();
      this.#outbox.flush();
    }, () => this.start());
  }

  // The pair on the page before a reload, with the answers given so far.
  #resumed() {
    const kept = JSON.parse(sessionStorage.getItem(RESUME_KEY) || "null");
    sessionStorage.removeItem(RESUME_KEY);
    if (!kept) return null;
    return this.queue.resume(kept.assignment).then(
      (stage) => Object.assign(stage, { draft: kept.draft }),
      () => this.queue.prefetch(),
    );
  }

  #keep() {
    if (!this.stage) return sessionStorage.removeItem(RESUME_KEY);
    const kept = { assignment: this.stage.assignment, draft: this.sheet.draft() };
    return sessionStorage.setItem(RESUME_KEY, JSON.stringify(kept));
  }

  async #showNext() {
    clearTimeout(this.#lookAgain);
    this.panels.showState("loading");
    const stage = await this.queue.advance();
    if (stage) return this.#show(stage);
    this.#keep();
    this.panels.showState("empty");
    this.#updateProgress({ now: true });
    this.#lookAgain = setTimeout(() => this.#guard(() => this.#showNext()), LOOK_AGAIN_MS);
    return undefined;
  }

  async #show(stage) {
    clearTimeout(this.#lookAgain);
    const { aspects, outcomes } = stage.assignment;
    this.panels.showPrompt(stage.assignment);
    this.sheet.show(aspects, outcomes, stage.draft ?? {}, stage.assignment.earlier);
    this.panels.showState("judging");
    this.panels.showReady(Boolean(this.sheet.answers.overall));
    const playing = stage.show(this.#rate);
    this.#keep();
    await playing;
    this.queue.prefetch().catch(() => undefined); // Asked for again, and reported, when it is needed.
    this.#updateProgress();
  }

  #answered(aspect) {
    this.panels.showReady(Boolean(this.sheet.answers.overall));
    this.#keep();
    if (aspect === "overall" && this.panels.quick && this.sheet.answers.overall) this.submit();
  }

  async submit() {
    if (!this.stage || this.#busy) return;
    if (!this.sheet.answers.overall) {
      this.sheet.askForOverall();
      this.panels.say("Answer “Overall” first.");
      return;
    }
    const stage = this.stage;
    const body = { ...this.sheet.body(), evidence: stage.evidence() };
    this.#outbox.add(stage.id, body); // Sent behind the scenes; the next pair does not wait for it.
    this.queue.dropCurrent();
    await this.#guard(() => this.#showNext());
  }

  async skip(reason) {
    if (!this.stage) return;
    const { id } = this.stage;
    await this.#guard(async () => {
      await api.skip(id, reason);
      await this.#showNext();
      this.panels.say("Skipped.");
    }, () => (this.stage ? this.skip(reason) : this.#guard(() => this.#showNext())));
  }

  async undo() {
    await this.#guard(async () => {
      if (!(await this.#outbox.flush())) return;
      const assignment = await api.undo();
      const present = this.stage;
      const stage = await this.queue.putBefore(assignment);
      if (present) present.draft = this.sheet.draft();
      stage.draft = assignment.earlier;
      await this.#show(stage);
      this.panels.say("Here is your last pair again. Submitting it replaces your earlier answers.");
    });
  }

  async changeCategory(name) {
    await this.#busy;
    this.queue.giveBackAll();
    this.queue.category = name;
    await this.#guard(() => this.#showNext());
    this.#updateProgress({ now: true });
  }

  act(command) {
    const clips = this.stage?.clips;
    const commands = {
      toggle: () => clips?.toggle(),
      stepBack: () => clips?.step(-1),
      stepForward: () => clips?.step(1),
      restart: () => clips?.restart(),
      speed: () => this.#nextSpeed(),
      submit: () => this.submit(),
      undo: () => this.undo(),
      skip: () => this.stage && this.panels.askWhySkip(),
      comment: () => this.sheet.comment.focus(),
      confidence1: () => this.sheet.setConfidence(1),
      confidence2: () => this.sheet.setConfidence(2),
      confidence3: () => this.sheet.setConfidence(3),
      help: () => this.panels.toggleHelp(),
    };
    commands[command]?.();
  }

  #nextSpeed() {
    this.#rate = SPEEDS[(SPEEDS.indexOf(this.#rate) + 1) % SPEEDS.length];
    this.stage?.clips.setRate(this.#rate);
    this.panels.showSpeed(this.#rate);
  }

  #onKey(event) {
    if (!this.panels.keysOn || this.panels.dialogOpen || !this.element.isConnected) return;
    const meaning = meaningOf(event);
    if (!meaning) return;
    event.preventDefault();
    if (meaning.command) this.act(meaning.command);
    else if (this.stage) this.sheet.choose(meaning.aspect, meaning.outcome);
  }

  async #updateProgress({ now = false } = {}) {
    if (!now && performance.now() - this.#progressAt < PROGRESS_EVERY_MS) return;
    this.#progressAt = performance.now();
    try {
      this.panels.showProgress(await api.progress(this.queue.category));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#progressAt = -Infinity; // The bar keeps its last state; the next pair asks again.
    }
  }

  // Runs one user action at a time; a failure is shown with a button that tries again.
  async #guard(action, again = () => this.#guard(action)) {
    if (this.#busy) return;
    this.panels.showProblem(null);
    this.#busy = action().catch((error) => this.#report(error, again));
    try {
      await this.#busy;
    } finally {
      this.#busy = null;
    }
  }

  #report(error, again) {
    if (!(error instanceof ApiError)) throw error;
    const cannotPlay = error.brokenId && [404, 415].includes(error.status);
    if (!cannotPlay) return this.panels.showProblem(error, again);
    return this.panels.showProblem(
      error,
      () =>
        this.#guard(async () => {
          await api.skip(error.brokenId, "A clip does not play");
          await this.#showNext();
        }),
      "Skip this pair",
    );
  }
}

let player = null;

export function begin() {
  if (!player) {
    player = new PairPlayer();
    player.start();
  }
  return player;
}

export function mount(element) {
  element.replaceChildren(begin().element);
}
