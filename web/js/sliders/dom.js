// Making elements. Plain DOM, no host.

export function make(tag, className, properties = {}) {
  return Object.assign(document.createElement(tag), { className, ...properties });
}

// A button with a short sign on it; its name is said and shown on hover.
export function makeButton(className, sign, name, press) {
  const button = make("button", className, { type: "button", textContent: sign, title: name });
  button.setAttribute("aria-label", name);
  button.addEventListener("click", press);
  return button;
}
