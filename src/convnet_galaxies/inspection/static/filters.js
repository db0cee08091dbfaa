// Sort and filter; the server does both.

import { fill, find, make } from "./parts.js";

const WORDS = {
  random: "shuffled", rank: "rank", probability: "lens probability", disagreement: "disagreement of net and eyes",
  familiarity: "familiarity", similarity: "similarity to the picked one",
  learned: "learned from the grades", next: "what to grade next",
};
const choice = (name, label, options, value) =>
  make("label", {}, label, make("select", { name }, ...options.map(([key, text]) => make("option", { value: key, textContent: text, selected: key === value }))));
const yesNo = (name, label, value) => choice(name, label, [["", "all"], ["true", "yes"], ["false", "no"]], value ?? "");

export class FilterForm {
  constructor(state, onApply) {
    this.state = state;
    this.form = find("filters");
    const button = find("filters-button");
    button.addEventListener("click", () => {
      this.form.hidden = !this.form.hidden;
      button.setAttribute("aria-expanded", String(!this.form.hidden));
      if (!this.form.hidden) this.build();
      window.dispatchEvent(new Event("resize"));
      onApply({ isSame: true });
    });
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("change", () => {
      state.setFilters(this.read());
      onApply({});
    });
  }

  build() {
    const { session, filters } = this.state;
    const text = (name, label, type, extra = {}) => make("label", {}, label, make("input", { name, type, value: filters[name] ?? "", ...extra }));
    const named = (items) => [["", "all"], ...items.map((one) => [one, one])];
    const range = { step: "any", min: 0, max: 1 };
    const isOpen = !session.blind;
    fill(
      this.form,
      isOpen ? choice("sort", "Sort by", session.sorts.filter((one) => one !== "similarity" || filters.like).map((one) => [one, WORDS[one]]), filters.sort) : null,
      isOpen ? choice("descending", "Order", [["true", "best or largest first"], ["false", "worst or smallest first"]], filters.descending) : null,
      yesNo("graded", "Graded by me", filters.graded),
      yesNo("picked", "Picked by me", filters.picked),
      yesNo("seen", "Seen by me", filters.seen),
      choice("grade", "My grade", [["", "all"], ...session.scheme.grades.map((one) => [String(one.value), one.label])], filters.grade),
      session.scheme.kinds.length ? choice("kind", "My kind", named(session.scheme.kinds.map((one) => one.label)), filters.kind) : null,
      isOpen && session.sorts.includes("probability") ? text("lowest", "Probability from", "number", range) : null,
      isOpen && session.sorts.includes("probability") ? text("highest", "to", "number", range) : null,
      session.flavors.length ? choice("flavor", "Flavor", named(session.flavors), filters.flavor) : null,
      session.flags.length ? choice("flag", "Flag", named(session.flags), filters.flag) : null,
      session.has_known ? yesNo("known", "Known system", filters.known) : null,
      isOpen && session.graders.length ? choice("by", "Graded by", named(session.graders), filters.by) : null,
      isOpen ? text("text", "Id contains", "search", { maxLength: 100 }) : null,
      make("button", { type: "button", onclick: () => this.reset(), textContent: "Clear" }),
    );
  }

  read() {
    const values = Object.fromEntries([...new FormData(this.form)].filter(([, value]) => value !== ""));
    if (values.sort === "similarity") values.like = this.state.filters.like;
    return { sort: "random", ...values };
  }

  reset() {
    this.state.setFilters({ sort: this.state.session.blind ? "random" : this.state.session.sorts.at(1) ?? "random" });
    this.build();
    this.form.dispatchEvent(new Event("change"));
  }
}
