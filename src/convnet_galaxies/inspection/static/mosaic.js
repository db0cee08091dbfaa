// The mosaic: one page of as many tiles as fit, drawn from one picture; the next page is fetched ahead.

import { addressOf, fill, find, make, write } from "./parts.js";

const GAP = 6;
const SIZES = [80, 112, 160, 224];
const SERVED = [48, 64, 80, 96, 112, 128, 160, 192, 224, 256];
const MOST = 400;

export class Mosaic {
  constructor(state, actions) {
    this.state = state;
    this.actions = actions;
    this.grid = find("grid");
    this.focused = 0;
    this.side = Number(localStorage.getItem("inspect-tile")) || 112;
    const chooser = find("tile-size");
    fill(chooser, ...SIZES.map((size) => make("option", { value: size, textContent: `${size} px`, selected: size === this.side })));
    chooser.addEventListener("change", () => {
      this.side = Number(chooser.value);
      localStorage.setItem("inspect-tile", this.side);
      this.show();
    });
    find("page-on").addEventListener("click", () => this.turn(1));
    find("page-back").addEventListener("click", () => this.turn(-1));
    find("page-number").addEventListener("change", (event) => this.open(Number(event.target.value) - 1));
    new ResizeObserver(() => {
      if (!find("mosaic").hidden && this.measure().count !== this.shownCount) this.show();
    }).observe(find("mosaic"));
  }

  // How many tiles fit.
  measure() {
    const box = find("mosaic").getBoundingClientRect();
    const bottom = document.querySelector(".pager").offsetHeight + 16;
    const columns = Math.max(2, Math.floor((box.width + GAP) / (this.side + GAP)));
    const rows = Math.max(2, Math.floor((window.innerHeight - box.top - bottom + GAP) / (this.side + GAP)));
    return { columns, rows, count: Math.min(MOST, columns * rows) };
  }

  get pages() {
    return Math.max(1, Math.ceil(this.state.list.total / this.shownCount));
  }

  sheet(start, { columns, count }) {
    const wanted = this.side * Math.min(2, window.devicePixelRatio || 1);
    const side = SERVED.find((one) => one >= wanted) ?? SERVED.at(-1);
    const { stretch, contrast, band } = this.state.look;
    return addressOf(`/mosaic/${this.state.list.view}`, { start, count, columns, side, stretch, contrast, band });
  }

  async show({ focus = false } = {}) {
    const fit = this.measure();
    this.shownCount = fit.count;
    this.columns = fit.columns;
    this.start = Math.floor(this.state.place / fit.count) * fit.count;
    const turn = (this.turnNumber = (this.turnNumber ?? 0) + 1);
    const items = await this.state.items(this.start, fit.count);
    if (turn !== this.turnNumber) return;
    this.items = items;
    this.focused = Math.min(Math.max(0, this.state.place - this.start), Math.max(0, items.length - 1));
    const sheet = `url("${this.sheet(this.start, fit)}")`;
    this.grid.style.gridTemplateColumns = `repeat(${fit.columns}, ${this.side}px)`;
    this.tiles = items.map((item, k) => this.makeTile(item, k, fit, sheet));
    fill(this.grid, ...this.tiles);
    if (focus) this.tiles[this.focused]?.focus();
    this.showPager();
    this.fetchAhead(fit);
  }

  makeTile(item, k, fit, sheet) {
    const picture = make("span", { class: "picture" });
    Object.assign(picture.style, {
      width: `${this.side}px`,
      height: `${this.side}px`,
      backgroundImage: sheet,
      backgroundSize: `${fit.columns * this.side}px auto`,
      backgroundPosition: `${-(k % fit.columns) * this.side}px ${-Math.floor(k / fit.columns) * this.side}px`,
    });
    const tile = make(
      "button",
      { type: "button", class: "tile", tabIndex: k === this.focused ? 0 : -1, onclick: () => this.pick(k), onfocus: () => this.move(k) },
      picture,
      make("span", { class: "badge", "aria-hidden": "true" }),
    );
    tile.addEventListener("dblclick", () => this.actions.open());
    this.dress(tile, item, k);
    return tile;
  }

  // State of a tile in colour, letter and words.
  dress(tile, item, k) {
    const grade = this.state.lookOf(item.grade);
    tile.setAttribute("aria-pressed", String(item.picked));
    tile.classList.toggle("seen", item.seen);
    tile.classList.toggle("graded", item.grade !== null);
    tile.querySelector(".badge").textContent = [grade, item.kind].filter(Boolean).join(" ");
    tile.querySelector(".badge").hidden = !grade && !item.kind;
    const words = [`Image ${write(this.start + k + 1)}`];
    if (item.id) words.push(item.id);
    if (item.probability !== undefined && item.probability !== null) words.push(`probability ${item.probability.toFixed(3)}`);
    words.push(grade ? `graded ${grade} ${item.kind}`.trim() : "not graded");
    if (item.seen) words.push("seen");
    tile.setAttribute("aria-label", words.join(", "));
    if (item.id) tile.title = words.slice(1, -1).join(", ");
  }

  refresh() {
    this.items?.forEach((item, k) => this.tiles[k] && this.dress(this.tiles[k], item, k));
    this.showPager();
  }

  move(k, { focus = false } = {}) {
    if (!this.items?.length) return;
    const next = Math.min(Math.max(0, k), this.items.length - 1);
    if (this.tiles[this.focused]) this.tiles[this.focused].tabIndex = -1;
    this.focused = next;
    this.state.place = this.start + next;
    this.tiles[next].tabIndex = 0;
    if (focus) this.tiles[next].focus();
  }

  get current() {
    return this.items?.[this.focused];
  }

  pick(k = this.focused) {
    this.move(k);
    const item = this.items?.[k];
    if (!item) return;
    item.picked = !item.picked;
    this.actions.mark(item.picked ? "picked" : "unpicked", [item.key]);
    this.refresh();
  }

  // A page counts as seen only when it is left forward.
  turn(step) {
    if (!this.items) return;
    if (step > 0) {
      const fresh = this.items.filter((item) => !item.seen);
      fresh.forEach((item) => (item.seen = true));
      if (fresh.length) this.actions.mark("seen", fresh.map((item) => item.key));
    }
    const page = Math.floor(this.start / this.shownCount) + step;
    if (page >= this.pages) {
      this.refresh();
      this.actions.say("This was the last page.");
      return;
    }
    this.open(page);
  }

  open(page) {
    const number = Math.min(Math.max(0, page || 0), this.pages - 1);
    this.state.place = number * this.shownCount;
    this.show({ focus: true });
  }

  showPager() {
    const page = Math.floor(this.start / this.shownCount);
    find("page-number").value = page + 1;
    find("page-number").max = this.pages;
    find("page-count").textContent = `of ${write(this.pages)}`;
    find("page-back").disabled = page === 0;
    const picked = this.state.progress.picked;
    const { look, session } = this.state;
    const band = look.band === null ? "" : `, ${session.bands[look.band]}`;
    find("mosaic-look").textContent = `${write(picked)} picked · ${look.stretch}${band}, contrast ${look.contrast.toFixed(1)}`;
  }

  fetchAhead(fit) {
    const next = this.start + fit.count;
    if (next >= this.state.list.total) return;
    this.state.items(next, fit.count).catch(() => {});
    this.ahead = new Image();
    this.ahead.src = this.sheet(next, fit);
  }
}
