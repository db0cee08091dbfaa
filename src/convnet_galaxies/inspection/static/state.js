// What the page shows at the moment: grader, list, place in it, and how images are drawn.

import { get, ServerError } from "./server.js";

const BLOCK = 200;
const remember = (name, value) => localStorage.setItem(`inspect-${name}`, value);

export class State {
  constructor(session) {
    this.session = session;
    this.grader = sessionStorage.getItem("inspect-grader") ?? localStorage.getItem("inspect-grader") ?? "";
    this.look = { stretch: session.stretches[0], contrast: 1, band: null };
    this.wider = false;
    this.hasMap = false;
    this.isSmooth = localStorage.getItem("inspect-smooth") !== "false";
    this.filters = this.readFilters();
    this.list = { view: "", total: 0 };
    this.place = 0;
    this.blocks = new Map();
    this.byKey = new Map();
    this.progress = { graded: 0, picked: 0, seen: 0, total: session.total };
    this.listeners = [];
  }

  onChange(listener) {
    this.listeners.push(listener);
  }

  changed() {
    for (const listener of this.listeners) listener();
  }

  setGrader(name) {
    this.grader = name;
    sessionStorage.setItem("inspect-grader", name);  // two tabs may have two graders
    remember("grader", name);
  }

  readFilters() {
    const standard = { sort: this.session.blind ? "random" : this.session.sorts.at(1) ?? "random" };
    try {
      const kept = JSON.parse(localStorage.getItem(`inspect-filters-${this.session.session}`));
      return kept && this.session.sorts.includes(kept.sort) && kept.sort !== "similarity" ? kept : standard;
    } catch {
      return standard;
    }
  }

  setFilters(filters) {
    this.filters = filters;
    remember(`filters-${this.session.session}`, JSON.stringify(filters));
  }

  // Ask for the list anew. keepKey: showing to stay at, if it was loaded before.
  async reload({ stay = false } = {}) {
    const list = await get("/api/view", { ...this.filters, grader: this.grader });
    this.list = list;
    this.progress = list.progress;
    this.blocks.clear();
    this.byKey.clear();
    this.place = stay ? Math.min(this.place, Math.max(0, list.total - 1)) : list.first;
    this.changed();
  }

  async fetchBlock(number) {
    if (!this.blocks.has(number)) {
      const { view } = this.list;
      const fetched = get("/api/items", { view, grader: this.grader, start: number * BLOCK, count: BLOCK }).then(
        ({ items }) => {
          items.forEach((item, k) => this.byKey.set(item.key, { block: number, k }));
          return items;
        },
      );
      this.blocks.set(number, fetched);
      fetched.catch(() => this.blocks.delete(number));
    }
    return this.blocks.get(number);
  }

  // Items from start on. After a restart of the server the list is made again, once.
  async items(start, count, isRetry = false) {
    const end = Math.min(start + count, this.list.total);
    const numbers = [];
    for (let n = Math.floor(start / BLOCK); n * BLOCK < end; n += 1) numbers.push(n);
    try {
      const blocks = await Promise.all(numbers.map((n) => this.fetchBlock(n)));
      return blocks.flat().slice(start - (numbers[0] ?? 0) * BLOCK, end - (numbers[0] ?? 0) * BLOCK);
    } catch (error) {
      if (!(error instanceof ServerError) || error.status !== 410 || isRetry) throw error;
      await this.renew();
      return this.items(start, count, true);
    }
  }

  async renew() {
    const place = this.place;
    const list = await get("/api/view", { ...this.filters, grader: this.grader });
    Object.assign(this, { list, progress: list.progress, place: Math.min(place, Math.max(0, list.total - 1)) });
    this.blocks.clear();
    this.byKey.clear();
  }

  async update(item) {
    const where = this.byKey.get(item.key);
    if (!where) return;
    const items = await this.blocks.get(where.block);
    if (items) Object.assign(items[where.k], item);
  }

  lookOf(grade) {
    return this.session.scheme.grades.find((one) => one.value === grade)?.label ?? "";
  }

  turnLook(name) {
    const { look, session } = this;
    if (name === "stretch") {
      look.stretch = session.stretches[(session.stretches.indexOf(look.stretch) + 1) % session.stretches.length];
    } else if (name === "smooth") {
      this.isSmooth = !this.isSmooth;
      remember("smooth", this.isSmooth);
    } else if (name === "brighter") look.contrast = Math.min(16, look.contrast * Math.SQRT2);
    else if (name === "darker") look.contrast = Math.max(1 / 16, look.contrast / Math.SQRT2);
    else if (name === "band" && session.bands.length) {
      look.band = look.band === null ? 0 : look.band + 1 < session.bands.length ? look.band + 1 : null;
    }
    this.changed();
  }
}
