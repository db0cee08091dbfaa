// From keys to actions, and the list of all keys.

import { fill, find, make, showKey } from "./parts.js";

const fold = (key) => (key.length === 1 ? key.toLowerCase() : key);

export class Keys {
  // actions: { grade(choice), kind(choice), command(name) }
  constructor(scheme, actions) {
    this.map = new Map();
    for (const choice of scheme.grades) for (const key of choice.keys) this.map.set(fold(key), () => actions.grade(choice));
    for (const choice of scheme.kinds) for (const key of choice.keys) this.map.set(fold(key), () => actions.kind(choice));
    for (const { name, keys } of scheme.commands) for (const key of keys) this.map.set(fold(key), () => actions.command(name));
    document.addEventListener("keydown", (event) => this.press(event));
    this.list(scheme);
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.querySelector("dialog[open]")) return;
    const typing = event.target.closest("input, textarea, select");
    if (typing) {
      if (event.key === "Escape") typing.blur();
      return;
    }
    const own = event.target.closest("button, a, summary");
    if (own && !own.classList.contains("tile") && (event.key === "Enter" || event.key === " ")) return;
    const action = this.map.get(fold(event.key));
    if (!action) return;
    event.preventDefault();
    if (event.repeat && event.key.length === 1) return;  // a key held down is one grade
    action();
  }

  list(scheme) {
    const row = (keys, text) => make("tr", {}, make("td", {}, ...keys.map(showKey)), make("td", { textContent: text }));
    const table = (title, rows) => make("table", {}, make("caption", { textContent: title }), make("tbody", {}, ...rows));
    fill(
      find("keys"),
      table("Grades", scheme.grades.map((one) => row(one.keys, `${one.label}  ${one.meaning}`))),
      scheme.kinds.length ? table("No lens, but", scheme.kinds.map((one) => row(one.keys, one.label))) : null,
      table("Commands", scheme.commands.map((one) => row(one.keys, one.text))),
    );
  }
}
