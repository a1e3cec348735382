// The grid of answers: one row per aspect, four columns, plus confidence and comment.

import { keyHint, make, makeButton } from "/ui/elements.js";
import { ANSWER_KEYS, COLUMNS, keyLabel } from "/ui/keys.js";

const ASPECTS = {
  overall: ["Overall", "All in all, which clip is better?"],
  visual_quality: ["Visual quality", "Sharp, clean and plausible in every frame"],
  motion_quality: ["Motion", "Believable, steady, and as much as asked for"],
  text_alignment: ["Text match", "Shows what the prompt says: subject, action, setting"],
};
const OUTCOMES = { left: "A", both_good: "Both good", both_bad: "Both bad", right: "B" };
const SPOKEN = { left: "A is better", both_good: "both good", both_bad: "both bad", right: "B is better" };
const CONFIDENCE = ["Guess", "Fairly sure", "Sure"];

export class AnswerSheet {
  #buttons = new Map();
  #confidenceButtons;
  #onChange;
  #fixed = new Set(); // Aspects a correction has to answer.

  answers = {};
  confidence = null;

  constructor(onChange) {
    this.#onChange = onChange;
    this.comment = make("textarea", {
      rows: 1,
      maxlength: 2000,
      placeholder: "Comment (optional)",
      "aria-label": "Comment",
      oninput: () => this.#onChange(),
      onkeydown: (event) => event.key === "Escape" && this.comment.blur(),
    });
    this.#confidenceButtons = CONFIDENCE.map((text, index) =>
      makeButton({ class: "vp-chip", "aria-pressed": false, onclick: () => this.setConfidence(index + 1) }, text),
    );
    this.rows = make("div", { class: "vp-rows" });
    this.element = make(
      "section",
      { class: "vp-sheet", "aria-label": "Your answers" },
      this.rows,
      make(
        "div",
        { class: "vp-extra" },
        make("div", { class: "vp-chips", role: "group", "aria-label": "Confidence" }, ...this.#confidenceButtons),
        this.comment,
      ),
    );
  }

  // Shows an empty sheet, or one with the answers given. Of a correction, `earlier` is what it replaces: each of
  // those aspects may be answered otherwise, but not left out.
  show(aspects, outcomes, { answers = {}, confidence = null, comment = "" } = {}, earlier = null) {
    this.#fixed = new Set(Object.keys(earlier?.answers ?? {}));
    this.#buttons.clear();
    const ordered = ["overall", ...aspects.filter((aspect) => aspect !== "overall")];
    this.rows.replaceChildren(...ordered.map((aspect) => this.#row(aspect, outcomes)));
    this.answers = { ...answers };
    this.confidence = confidence;
    this.comment.value = comment ?? "";
    this.#paint();
  }

  choose(aspect, outcome) {
    if (!this.#buttons.has(`${aspect} ${outcome}`)) return;
    // A second press takes an optional answer back.
    const isOptional = aspect !== "overall" && !this.#fixed.has(aspect);
    if (this.answers[aspect] === outcome && isOptional) delete this.answers[aspect];
    else this.answers[aspect] = outcome;
    this.#paint();
    this.#onChange(aspect);
  }

  setConfidence(level) {
    this.confidence = this.confidence === level ? null : level;
    this.#paint();
    this.#onChange();
  }

  askForOverall() {
    const row = this.rows.firstElementChild;
    row?.classList.remove("vp-asked");
    void row?.offsetWidth; // Lets the animation start again.
    row?.classList.add("vp-asked");
  }

  body() {
    const body = { answers: this.answers };
    if (this.confidence) body.confidence = this.confidence;
    if (this.comment.value.trim()) body.comment = this.comment.value.trim();
    return body;
  }

  draft() {
    return { answers: { ...this.answers }, confidence: this.confidence, comment: this.comment.value };
  }

  #row(aspect, outcomes) {
    const [name, question] = ASPECTS[aspect] ?? [aspect, ""];
    const buttons = COLUMNS.filter((outcome) => outcomes.includes(outcome)).map((outcome) => {
      const code = ANSWER_KEYS[aspect]?.[COLUMNS.indexOf(outcome)];
      const button = makeButton(
        {
          class: `vp-answer vp-${outcome}`,
          "aria-pressed": false,
          "aria-label": `${name}: ${SPOKEN[outcome]}`,
          "data-aspect": aspect,
          "data-outcome": outcome,
          onclick: () => this.choose(aspect, outcome),
        },
        make("span", {}, OUTCOMES[outcome]),
        ...(code ? [keyHint(keyLabel(code))] : []),
      );
      this.#buttons.set(`${aspect} ${outcome}`, button);
      return button;
    });
    return make(
      "div",
      { class: aspect === "overall" ? "vp-row vp-overall" : "vp-row", role: "group", "aria-label": name },
      make("div", { class: "vp-aspect" }, make("strong", {}, name), make("span", {}, question)),
      make("div", { class: "vp-answers" }, ...buttons),
    );
  }

  #paint() {
    for (const [key, button] of this.#buttons) {
      const [aspect, outcome] = key.split(" ");
      button.setAttribute("aria-pressed", String(this.answers[aspect] === outcome));
    }
    this.#confidenceButtons.forEach((button, index) =>
      button.setAttribute("aria-pressed", String(this.confidence === index + 1)),
    );
  }
}
