// Making elements. Texts go in as text: nothing from the server is ever read as markup.

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

// A button that gives the keyboard back to the page after a click with the mouse.
export function makeButton(attributes, ...children) {
  const button = make("button", { type: "button", ...attributes }, ...children);
  button.addEventListener("click", (event) => {
    if (event.detail > 0) button.blur();
  });
  return button;
}

export function keyHint(label) {
  return make("kbd", { "aria-hidden": "true" }, label);
}
