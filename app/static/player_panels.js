// Everything around the clips and the answers: toolbar, prompt, player controls, messages, dialogs.

import { ANSWER_KEYS, COLUMNS, COMMAND_KEYS, keyLabel } from "/ui/keys.js";
import { keyHint, make, makeButton } from "/ui/elements.js";

const SKIP_REASONS = [
  "A clip does not play",
  "The clips look the same",
  "The prompt cannot be understood",
  "Upsetting or unsafe content",
];
const QUICK_KEY = "vidpref.quick";
const KEYS_KEY = "vidpref.keys";

export class Panels {
  #hooks;

  // hooks: act(command), category(name), skip(reason), seek(fraction), sendRefused(), dropRefused().
  constructor(hooks) {
    this.#hooks = hooks;
    this.stageSlot = make("div", { class: "vp-stages" });
    this.sheetSlot = make("div", { class: "vp-sheet-slot" });
    this.element = make(
      "div",
      { class: "vp-player", "data-state": "loading" },
      this.#toolbar(),
      this.#messages(),
      this.#promptPanel(),
      this.stageSlot,
      this.#controls(),
      this.sheetSlot,
      this.#actions(),
      this.#emptyPanel(),
      this.#skipDialog(),
      this.#helpDialog(),
    );
  }

  #toolbar() {
    this.categories = make(
      "select",
      { "aria-label": "Category", onchange: () => this.#hooks.category(this.categories.value) },
      make("option", { value: "" }, "All categories"),
    );
    this.bar = make("div", { class: "vp-bar-fill" });
    this.barBox = make("div", { class: "vp-progress", role: "progressbar", "aria-label": "Judged pairs" }, this.bar);
    this.count = make("span", { class: "vp-count" });
    return make("div", { class: "vp-toolbar" }, this.categories, this.barBox, this.count);
  }

  #messages() {
    this.problem = make("div", { class: "vp-problem", role: "alert", hidden: true });
    this.outbox = make("div", { class: "vp-problem", role: "alert", hidden: true });
    return make("div", {}, this.problem, this.outbox);
  }

  #promptPanel() {
    this.prompt = make("p", { class: "vp-prompt", "data-testid": "prompt" });
    return make("div", { class: "vp-prompt-box" }, make("span", { class: "vp-eyebrow" }, "Prompt"), this.prompt);
  }

  #controls() {
    const control = (command, label, ...content) =>
      makeButton({ class: "vp-control", "aria-label": label, title: label, onclick: () => this.#hooks.act(command) }, ...content);
    this.playButton = control("toggle", "Play or pause", "❚❚");
    this.speedButton = control("speed", "Speed", "1×");
    this.track = make("input", {
      type: "range", class: "vp-track", min: 0, max: 1000, value: 0, "aria-label": "Position",
      oninput: () => this.#hooks.seek(this.track.value / 1000),
      onchange: () => this.track.blur(),
    });
    this.clock = make("span", { class: "vp-clock" });
    return make(
      "div",
      { class: "vp-controls", role: "group", "aria-label": "Both clips" },
      this.playButton,
      control("stepBack", "One frame back", "‹"),
      control("stepForward", "One frame forward", "›"),
      control("restart", "From the start", "↺"),
      this.speedButton,
      this.track,
      this.clock,
    );
  }

  #actions() {
    const secondary = (command, code, text) =>
      makeButton({ class: "vp-secondary", onclick: () => this.#hooks.act(command) }, text, keyHint(keyLabel(code)));
    this.quickBox = make("input", {
      type: "checkbox",
      onchange: () => localStorage.setItem(QUICK_KEY, this.quickBox.checked ? "1" : ""),
    });
    this.quickBox.checked = localStorage.getItem(QUICK_KEY) === "1";
    this.submitButton = makeButton(
      { class: "vp-submit", onclick: () => this.#hooks.act("submit") }, "Submit", keyHint("Enter"),
    );
    this.status = make("span", { class: "vp-status", role: "status" });
    return make(
      "div",
      { class: "vp-actions" },
      secondary("undo", "KeyU", "Undo"),
      secondary("skip", "KeyK", "Skip"),
      makeButton({ class: "vp-secondary vp-keys-button", onclick: () => this.toggleHelp() }, "Keys", keyHint("H")),
      this.status,
      make("label", { class: "vp-quick" }, this.quickBox, "Submit on “Overall”"),
      this.submitButton,
    );
  }

  #emptyPanel() {
    return make(
      "div",
      { class: "vp-empty" },
      make("h2", {}, "All done here"),
      make("p", {}, "There is no pair left for you in this category. New pairs appear here by themselves."),
    );
  }

  #skipDialog() {
    this.skipDialog = make("dialog", { class: "vp-dialog", "aria-label": "Why skip this pair?" });
    const choose = (reason) => {
      this.skipDialog.close();
      this.#hooks.skip(reason);
    };
    this.otherReason = make("input", { maxlength: 200, placeholder: "Another reason", "aria-label": "Another reason" });
    const form = make(
      "form",
      {
        onsubmit: (event) => {
          event.preventDefault();
          if (this.otherReason.value.trim()) choose(this.otherReason.value.trim());
        },
      },
      this.otherReason,
      make("button", { type: "submit", class: "vp-secondary" }, "Skip"),
    );
    this.skipDialog.append(
      make("h2", {}, "Why skip this pair?"),
      ...SKIP_REASONS.map((reason) => makeButton({ class: "vp-reason", onclick: () => choose(reason) }, reason)),
      form,
      makeButton({ class: "vp-plain", onclick: () => this.skipDialog.close() }, "Back to the pair"),
    );
    return this.skipDialog;
  }

  #helpDialog() {
    this.keysBox = make("input", {
      type: "checkbox",
      onchange: () => localStorage.setItem(KEYS_KEY, this.keysBox.checked ? "" : "off"),
    });
    this.keysBox.checked = localStorage.getItem(KEYS_KEY) !== "off";
    const names = { overall: "Overall", visual_quality: "Visual quality", motion_quality: "Motion", text_alignment: "Text match" };
    const heads = { left: "A", both_good: "Both good", both_bad: "Both bad", right: "B" };
    const row = (name, cells) => make("tr", {}, make("th", { scope: "row" }, name), ...cells);
    this.helpDialog = make(
      "dialog",
      { class: "vp-dialog vp-help", "aria-label": "Keys" },
      make("h2", {}, "Keys"),
      make(
        "table",
        {},
        make("tr", {}, make("td"), ...COLUMNS.map((column) => make("th", { scope: "col" }, heads[column]))),
        ...Object.entries(ANSWER_KEYS).map(([aspect, codes]) =>
          row(names[aspect], codes.map((code) => make("td", {}, make("kbd", {}, keyLabel(code))))),
        ),
      ),
      make(
        "dl",
        {},
        ...Object.entries(COMMAND_KEYS).map(([code, { text }]) =>
          make("div", {}, make("dt", {}, make("kbd", {}, keyLabel(code))), make("dd", {}, text)),
        ),
      ),
      make("label", { class: "vp-quick" }, this.keysBox, "Use these keys"),
      makeButton({ class: "vp-secondary", onclick: () => this.helpDialog.close() }, "Close"),
    );
    return this.helpDialog;
  }

  get quick() {
    return this.quickBox.checked;
  }

  get keysOn() {
    return this.keysBox.checked;
  }

  get dialogOpen() {
    return this.skipDialog.open || this.helpDialog.open;
  }

  // state: loading, judging or empty.
  showState(state) {
    this.element.dataset.state = state;
    this.element.setAttribute("aria-busy", String(state === "loading"));
  }

  showPrompt({ prompt }) {
    this.prompt.textContent = prompt;
  }

  showReady(ready) {
    this.submitButton.toggleAttribute("data-ready", ready);
  }

  showTime(clips) {
    if (!clips) return;
    this.playButton.textContent = clips.running ? "❚❚" : "▶";
    const fraction = clips.duration ? clips.time / clips.duration : 0;
    if (document.activeElement !== this.track) this.track.value = Math.round(1000 * fraction);
    this.clock.textContent = `${clips.time.toFixed(2)} / ${clips.duration.toFixed(2)} s`;
  }

  showSpeed(rate) {
    this.speedButton.textContent = `${rate}×`;
  }

  showProgress({ done, total, categories }) {
    const chosen = this.categories.value;
    const options = categories.map(({ name, mine }) => make("option", { value: name }, `${name} (${mine} for you)`));
    this.categories.replaceChildren(make("option", { value: "" }, "All categories"), ...options);
    this.categories.value = chosen;
    this.bar.style.width = total ? `${(100 * done) / total}%` : "0";
    this.barBox.setAttribute("aria-valuenow", done);
    this.barBox.setAttribute("aria-valuemax", total);
    this.count.textContent = `${done} of ${total} pairs judged`;
  }

  showOutbox({ waiting, problem, late, refused }) {
    this.outbox.hidden = !problem && !refused.length;
    if (this.outbox.hidden) {
      const saved = late ? "Saved as a late answer: the pair had gone back" : "Saved";
      this.say(waiting ? "Saving…" : saved, { quiet: !late });
      return;
    }
    this.outbox.replaceChildren(
      ...(problem ? [make("span", {}, ...outboxMessage(waiting, problem))] : []),
      ...(refused.length ? this.#refusedMessage(refused) : []),
    );
    this.say("");
  }

  #refusedMessage(refused) {
    const [{ refused: reason, body }] = refused;
    const given = Object.entries(body.answers).map(([aspect, outcome]) => `${aspect} ${outcome}`);
    const count = refused.length === 1 ? "An answer was" : `${refused.length} answers were`;
    return [
      make("span", {}, `${count} not accepted and kept here: ${reason} (${given.join(", ")})`),
      makeButton({ class: "vp-secondary", onclick: () => this.#hooks.sendRefused() }, "Send again"),
      makeButton({ class: "vp-secondary", onclick: () => this.#hooks.dropRefused() }, "Drop"),
    ];
  }

  // The button beside the message does `again`.
  showProblem(error, again, label = "Try again") {
    this.problem.hidden = !error;
    if (!error) return;
    const help = error.status === 401 ? loginLink() : "";
    this.problem.replaceChildren(
      make("span", {}, error.status === 401 ? "You are logged out. " : `${error.message} `, help),
      makeButton({ class: "vp-secondary", onclick: again }, label),
    );
  }

  say(text, { quiet = false } = {}) {
    this.status.textContent = text;
    this.status.classList.toggle("vp-quiet", quiet);
  }

  askWhySkip() {
    this.otherReason.value = "";
    this.skipDialog.showModal();
  }

  toggleHelp() {
    if (this.helpDialog.open) this.helpDialog.close();
    else this.helpDialog.showModal();
  }
}

function loginLink() {
  return make("a", { href: "/login", target: "_blank" }, "Log in again");
}

function outboxMessage(waiting, problem) {
  const answers = waiting === 1 ? "1 answer is" : `${waiting} answers are`;
  if (problem.status === 401) return [`You are logged out. ${answers} kept here and sent after you `, loginLink(), "."];
  return [`${problem.message} ${answers} kept here and sent again by themselves.`];
}
