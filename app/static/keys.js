// The one key map: what each key does, on the page and in the list of keys. A test reads it for clashes.
//
// Keys are places on the keyboard (KeyboardEvent.code), so that the 4 x 4 block of answers has the same shape on
// every layout. The four columns are: A better, both good, both bad, B better.

export const COLUMNS = ["left", "both_good", "both_bad", "right"];

export const ANSWER_KEYS = {
  overall: ["Digit1", "Digit2", "Digit3", "Digit4"],
  visual_quality: ["KeyQ", "KeyW", "KeyE", "KeyR"],
  motion_quality: ["KeyA", "KeyS", "KeyD", "KeyF"],
  text_alignment: ["KeyZ", "KeyX", "KeyC", "KeyV"],
};

export const COMMAND_KEYS = {
  Space: { command: "toggle", text: "Play or pause" },
  ArrowLeft: { command: "stepBack", text: "One frame back" },
  ArrowRight: { command: "stepForward", text: "One frame forward" },
  Home: { command: "restart", text: "From the start" },
  KeyP: { command: "speed", text: "Change the speed" },
  Enter: { command: "submit", text: "Submit" },
  KeyU: { command: "undo", text: "Undo the last judgment" },
  KeyK: { command: "skip", text: "Skip this pair" },
  KeyM: { command: "comment", text: "Write a comment" },
  Digit7: { command: "confidence1", text: "Confidence: a guess" },
  Digit8: { command: "confidence2", text: "Confidence: fairly sure" },
  Digit9: { command: "confidence3", text: "Confidence: sure" },
  KeyH: { command: "help", text: "Show or hide the keys" },
};

export function keyLabel(code) {
  const names = { Space: "Space", ArrowLeft: "←", ArrowRight: "→", Home: "Home", Enter: "Enter" };
  return names[code] ?? code.replace(/^(Key|Digit)/, "");
}

// Returns {aspect, outcome}, {command}, or null where the key is not ours to take.
export function meaningOf(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return null;
  if (isTyping(event.target)) return null;
  // A focused button keeps the keys that press it.
  if (["Space", "Enter"].includes(event.code) && event.target.closest?.("button, a, summary, label")) return null;
  for (const [aspect, codes] of Object.entries(ANSWER_KEYS)) {
    const column = codes.indexOf(event.code);
    if (column >= 0) return event.repeat ? null : { aspect, outcome: COLUMNS[column] };
  }
  const entry = COMMAND_KEYS[event.code === "NumpadEnter" ? "Enter" : event.code];
  if (!entry) return null;
  const repeats = entry.command.startsWith("step");
  return event.repeat && !repeats ? null : { command: entry.command };
}

function isTyping(target) {
  return Boolean(target.closest?.("textarea, select, input:not([type=checkbox]), [contenteditable=true]"));
}
