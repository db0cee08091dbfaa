// One image, large, with its grades, its look and, in open sessions, what is known of it.

import { addressOf, fill, find, make, showKey, write } from "./parts.js";
import { get, post } from "./server.js";

const WIDER = 2;
const MOST_PX = 1024;

export class Single {
  constructor(state, actions) {
    this.state = state;
    this.actions = actions;
    this.build();
  }

  build() {
    const { scheme, blind } = this.state.session;
    this.picture = make("img", { id: "picture", decoding: "async", alt: "" });
    this.picture.addEventListener("load", () => this.picture.classList.remove("waiting", "absent"));
    this.picture.addEventListener("error", () => this.explainAbsence());
    this.overlay = make("img", { id: "overlay", alt: "What the network's answer rests on: vermilion for it, blue against it", hidden: true });
    this.overlay.addEventListener("error", () => (this.fault.textContent = "No map can be made of this candidate."));
    this.caption = make("figcaption");
    this.fault = make("p", { class: "fault", role: "status" });
    this.grades = scheme.grades.map((choice) =>
      make("button", { type: "button", class: "grade", onclick: () => this.actions.grade(choice) },
        make("strong", { textContent: choice.label }), make("span", { textContent: choice.meaning }), showKey(choice.keys[0])));
    this.kinds = scheme.kinds.map((choice) =>
      make("button", { type: "button", class: "kind", onclick: () => this.actions.kind(choice) }, `${choice.label} `, showKey(choice.keys[0])));
    this.note = make("textarea", { id: "note", rows: 2, maxLength: 2000, onchange: () => this.actions.note(this.note.value) });
    this.lookRow = make("div", { class: "look", role: "group", "aria-label": "How the image is drawn" });
    this.facts = make("div", { class: "facts" });
    const command = (name, text) => make("button", { type: "button", onclick: () => this.actions.command(name) }, text);
    fill(
      find("single"),
      make("figure", {}, make("div", { class: "frame" }, this.picture, this.overlay), this.caption, this.fault, this.lookRow),
      make("div", { class: "side" },
        make("h2", { textContent: "Grade" }),
        make("div", { class: "grades", role: "group", "aria-label": "Grade" }, ...this.grades),
        this.kinds.length ? make("h2", { textContent: "No lens, but" }) : null,
        make("div", { class: "kinds", role: "group", "aria-label": "What it is if no lens" }, ...this.kinds),
        make("div", { class: "steps" }, command("previous", "Previous"), command("undo", "Undo"), command("pick", "Pick"), command("next", "Next")),
        make("label", { class: "note" }, "Note", this.note),
        blind ? make("p", { class: "hint", textContent: "Blind: scores, names and positions are hidden, and known images may be mixed in." }) : this.facts),
    );
    this.pickButton = find("single").querySelector(".steps button:nth-child(3)");
  }

  address(key, extra = {}) {
    const { stretch, contrast, band } = this.state.look;
    const wider = this.state.wider ? WIDER : null;
    return addressOf(`/image/${key}`, { most_px: MOST_PX, stretch, contrast, band, wider, ...extra });
  }

  // No picture: the candidate has none, or the server is away, and then the picture is asked for again.
  async explainAbsence() {
    const address = this.picture.getAttribute("src");
    const answer = await fetch(address).catch(() => null);
    if (address !== this.picture.getAttribute("src")) return;
    if (answer?.status === 404) {
      this.picture.classList.remove("waiting");
      this.picture.classList.add("absent");
      this.fault.textContent = this.state.wider ? "The larger field is not at hand." : "This candidate has no image that can be read.";
    } else setTimeout(() => address === this.picture.getAttribute("src") && (this.picture.src = address), 1500);
  }

  // A key that comes before the next image is shown must not grade the one before.
  leave() {
    this.item = null;
    this.picture.classList.add("waiting");
  }

  get isWaiting() {
    return !this.item || this.picture.classList.contains("waiting");
  }

  async show() {
    const turn = (this.turnNumber = (this.turnNumber ?? 0) + 1);
    const { place } = this.state;
    const [item] = await this.state.items(place, 1);
    if (turn !== this.turnNumber || !item) return;
    const isNew = this.key !== item.key;
    this.item = item;
    this.key = item.key;
    const address = this.address(item.key);
    if (this.picture.getAttribute("src") === address) this.picture.classList.toggle("waiting", !this.picture.complete);
    else {
      this.fault.textContent = "";
      this.picture.classList.add("waiting");
      this.picture.src = address;
    }
    this.picture.alt = `Image ${write(place + 1)}${item.id ? `, ${item.id}` : ""}`;
    if (isNew) {
      this.started = performance.now();
      this.note.value = item.note;
      fill(this.facts);
    }
    this.refresh();
    this.showLook();
    this.showMap();
    if (isNew && this.state.session.has_samp) post("/api/point", { key: item.key }).catch(() => {});
    this.fetchAhead(place);
    if (isNew && !this.state.session.blind) this.showFacts(item.key, turn).catch(() => {});
  }

  showMap() {
    const isShown = this.state.hasMap && this.state.session.has_map && !this.state.wider;
    this.overlay.hidden = !isShown;
    const address = `/map/${this.key}`;
    if (isShown && this.overlay.getAttribute("src") !== address) this.overlay.src = address;
    if (!isShown) this.overlay.removeAttribute("src");
  }

  get seconds() {
    return Math.min(86400, Math.max(0, (performance.now() - this.started) / 1000));
  }

  refresh() {
    const { item } = this;
    if (!item) return;
    const grade = this.state.lookOf(item.grade);
    this.state.session.scheme.grades.forEach((one, k) => this.grades[k].setAttribute("aria-pressed", String(one.value === item.grade)));
    this.state.session.scheme.kinds.forEach((one, k) => this.kinds[k].setAttribute("aria-pressed", String(one.label === item.kind)));
    this.pickButton.setAttribute("aria-pressed", String(item.picked));
    const given = grade ? `graded ${[grade, item.kind].filter(Boolean).join(", ")}` : "not graded";
    this.caption.textContent = [`${write(this.state.place + 1)} of ${write(this.state.list.total)}`, item.id, given].filter(Boolean).join(" · ");
  }

  showLook() {
    const { look, session } = this.state;
    this.picture.classList.toggle("square-pixels", !this.state.isSmooth);
    const choose = (label, options, value, onchange) =>
      make("label", {}, label, make("select", { onchange }, ...options.map(([key, text]) => make("option", { value: key, textContent: text, selected: key === value }))));
    const set = (name, value) => {
      look[name] = value;
      this.state.changed();
    };
    const button = (name, text, label) => make("button", { type: "button", "aria-label": label, onclick: () => this.actions.command(name) }, text);
    fill(
      this.lookRow,
      choose("Stretch ", session.stretches.map((one) => [one, one]), look.stretch, (event) => set("stretch", event.target.value)),
      session.bands.length
        ? choose("Band ", [["", "all"], ...session.bands.map((one, k) => [String(k), one])], look.band === null ? "" : String(look.band),
            (event) => set("band", event.target.value === "" ? null : Number(event.target.value)))
        : null,
      make("span", { class: "contrast" }, button("darker", "−", "Less contrast"), ` contrast ${look.contrast.toFixed(1)} `, button("brighter", "+", "More contrast")),
      make("button", { type: "button", "aria-pressed": String(this.state.isSmooth), onclick: () => this.actions.command("smooth"), textContent: "Smooth" }),
      session.has_map ? make("button", { type: "button", "aria-pressed": String(this.state.hasMap), onclick: () => this.actions.command("map"), textContent: "Map of the network" }) : null,
      session.has_wider ? make("button", { type: "button", "aria-pressed": String(this.state.wider), onclick: () => this.actions.command("wider"), textContent: "Larger field" }) : null,
    );
  }

  async showFacts(key, turn) {
    const detail = await get(`/api/item/${key}`, { grader: this.state.grader });
    if (turn !== this.turnNumber) return;
    const rows = (values) => Object.entries(values).map(([name, value]) => make("tr", {}, make("th", { scope: "row", textContent: name }), make("td", { textContent: value })));
    const table = (values) => make("table", {}, make("tbody", {}, ...rows(values)));
    const link = ({ name, address }) => make("a", { href: address, target: "_blank", rel: "noopener noreferrer", textContent: name });
    fill(
      this.facts,
      detail.fault ? make("p", { class: "fault", textContent: detail.fault }) : null,
      detail.position ? make("p", { class: "links" }, ...detail.position.links.map(link)) : null,
      detail.neighbours?.length ? make("h2", { textContent: "Most alike" }) : null,
      detail.neighbours?.length ? this.showNeighbours(detail.neighbours) : null,
      detail.values && Object.keys(detail.values).length ? make("details", { open: true }, make("summary", { textContent: "Table" }), table(detail.values)) : null,
      detail.cards && Object.keys(detail.cards).length ? make("details", {}, make("summary", { textContent: "Header" }), table(detail.cards)) : null,
    );
  }

  showNeighbours(items) {
    return make("div", { class: "neighbours" }, ...items.map((item) =>
      make("button", { type: "button", title: item.id ?? "", "aria-label": `Show ${item.id ?? "this one"}`, onclick: () => this.actions.jump(item.key) },
        make("img", { src: addressOf(`/image/${item.key}`, { most_px: 96 }), width: 72, height: 72, alt: "" }),
        make("span", { class: "badge", textContent: this.state.lookOf(item.grade), hidden: item.grade === null }))));
  }

  // The next two images wait in the browser's cache.
  async fetchAhead(place) {
    const items = await this.state.items(place + 1, 2).catch(() => []);
    this.ahead = items.map((item) => Object.assign(new Image(), { src: this.address(item.key) }));
  }
}
