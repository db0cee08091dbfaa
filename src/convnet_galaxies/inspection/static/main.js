// The page: which view is shown, what keys do, who grades.

import { FilterForm } from "./filters.js";
import { Keys } from "./keys.js";
import { Mosaic } from "./mosaic.js";
import { fill, find, make, write } from "./parts.js";
import { showResults } from "./results.js";
import { get, Queue } from "./server.js";
import { Single } from "./single.js";
import { State } from "./state.js";

let state, mosaic, single, queue, filterForm;
let mode = "mosaic";
const channel = new BroadcastChannel("inspect");
const say = (text) => (find("status").textContent = text);

function trouble(text) {
  const box = find("trouble");
  box.hidden = !text;
  box.textContent = text;
}

function showProgress() {
  const { progress, session, grader } = state;
  find("bar").value = progress.total ? progress.graded / progress.total : 0;
  const parts = [make("strong", { textContent: write(progress.graded) }), ` of ${write(progress.total)} graded`];
  if (queue?.length) parts.push(` · ${queue.length} being saved`);
  fill(find("count"), ...parts);
  find("grader-button").textContent = grader || "Who grades?";
  find("source").textContent = session.source;
}

async function show({ focus = false } = {}) {
  for (const name of ["mosaic", "single", "results"]) {
    find(name).hidden = name !== mode || (name !== "results" && !state.list.total);
    document.querySelector(`[data-mode=${name}]`).setAttribute("aria-pressed", String(name === mode));
  }
  const isEmpty = mode !== "results" && !state.list.total;
  find("empty").hidden = !isEmpty;
  find("empty").textContent = "No image passes the filters. Clear them, or choose others.";
  find("like-button").hidden = !state.session.has_neighbours;
  for (const name of ["learned", "next"]) find(`${name}-button`).hidden = !state.session.sorts.includes(name);
  find("learned").hidden = !state.list.remark || mode === "results";
  find("learned").textContent = state.list.remark;
  showProgress();
  try {
    if (mode === "results") await showResults();
    else if (isEmpty) return;
    else if (mode === "mosaic") await mosaic.show({ focus });
    else {
      if (focus) find("main").focus({ preventScroll: true });
      await single.show();
    }
  } catch (error) {
    trouble(error.status ? error.message : "The server does not answer. Is `inspect` still running?");
  }
}

async function setMode(next) {
  mode = next;
  localStorage.setItem("inspect-mode", mode === "results" ? "mosaic" : mode);
  await show({ focus: true });
}

const current = () => (mode === "single" ? single.item : mosaic.current);

function step(by) {
  const next = state.place + by;
  if (next < 0 || next >= state.list.total) {
    say(by > 0 ? "This was the last image." : "This is the first image.");
    return;
  }
  if (mode === "single") {
    state.place = next;
    single.leave();
    single.show().catch((error) => trouble(error.message));
  } else mosaic.move(mosaic.focused + by, { focus: true });
}

// A grade shows at once, and goes to the server through the queue.
function grade(value, kind, { onward = true, note } = {}) {
  const item = current();
  if (mode === "results") return;
  if (!item || (mode === "single" && single.isWaiting && note === undefined)) {
    say("The image is not there yet: no grade was given.");
    return;
  }
  const { stretch, contrast, band } = state.look;
  const shown = { view: mode, stretch, contrast, band, wider: state.wider ? 1 : 0 };
  Object.assign(item, { grade: value, kind, note: note ?? item.note });
  queue.add("/api/grade", {
    key: item.key, grader: state.grader, grade: value, kind, note: item.note, shown,
    seconds: mode === "single" ? single.seconds : null,
  });
  say(`${state.lookOf(value)} ${kind}`.trim() || "Note kept");
  refresh();
  if (onward) step(1);
}

function refresh() {
  showProgress();
  if (mode === "mosaic") mosaic.refresh();
  else if (mode === "single") single.refresh();
}

async function jump(key) {
  const where = state.byKey.get(key);
  if (where) state.place = where.block * 200 + where.k;
  else {
    state.setFilters({ sort: "similarity", like: key });
    await state.reload({ stay: false });
    state.place = 0;
  }
  await show();
}

const lowest = () => state.session.scheme.grades.reduce((low, one) => (one.value < low.value ? one : low));

const actions = {
  say,
  open: () => setMode("single"),
  jump,
  mark: (mark, keys) => queue.add("/api/marks", { grader: state.grader, mark, keys }),
  grade: (choice) => grade(choice.value, ""),
  kind: (choice) => grade(lowest().value, choice.label),
  note: (text) => {
    const item = current();
    if (item && text !== item.note) grade(item.grade, item.kind, { onward: false, note: text });
  },
  command: (name) => {
    const inMosaic = mode === "mosaic";
    const commands = {
      undo: () => queue.add("/api/undo", { grader: state.grader }),
      pick: () => {
        if (inMosaic) mosaic.pick();
        else if (single.item) {
          single.item.picked = !single.item.picked;
          actions.mark(single.item.picked ? "picked" : "unpicked", [single.item.key]);
          refresh();
        }
      },
      open: () => setMode(inMosaic ? "single" : "mosaic"),
      next: () => step(1),
      previous: () => step(-1),
      down: () => inMosaic && mosaic.move(mosaic.focused + mosaic.columns, { focus: true }),
      up: () => inMosaic && mosaic.move(mosaic.focused - mosaic.columns, { focus: true }),
      next_page: () => (inMosaic ? mosaic.turn(1) : step(1)),
      previous_page: () => (inMosaic ? mosaic.turn(-1) : step(-1)),
      wider: () => {
        if (!state.session.has_wider) return say("The larger field is not at hand here.");
        state.wider = !state.wider;
        return show();
      },
      map: () => {
        if (!state.session.has_map) return say("No map is at hand: start `inspect` with --no-blind and --run.");
        state.hasMap = !state.hasMap;
        return inMosaic ? setMode("single") : show();
      },
      note: () => (inMosaic ? setMode("single").then(() => find("note").focus()) : find("note").focus()),
      help: () => find("help-dialog").showModal(),
    };
    (commands[name] ?? (() => state.turnLook(name)))();
  },
};

// What the server answered to a grade, an undo or marks.
async function onAnswer(answer, task) {
  if (task.body.grader !== state.grader) return;
  state.progress = answer.progress;
  if (answer.item) await state.update(answer.item);
  if (task.path === "/api/undo") {
    say(answer.item ? "Undone." : "Nothing is left to undo.");
    const where = answer.item && state.byKey.get(answer.item.key);
    if (where) {
      state.place = where.block * 200 + where.k;
      await show({ focus: true });
    }
  }
  channel.postMessage({ session: state.session.session, grader: state.grader, item: answer.item, progress: answer.progress });
  refresh();
}

channel.addEventListener("message", async ({ data }) => {
  if (!state || data.session !== state.session.session || data.grader !== state.grader) return;
  state.progress = data.progress;
  if (data.item) await state.update(data.item);
  refresh();
});

async function askGrader() {
  const dialog = find("grader-dialog");
  fill(find("grader-names"), ...state.session.graders.map((name) => make("option", { value: name })));
  find("grader-name").value = state.grader;
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  const name = find("grader-name").value.trim();
  if (!name) return state.grader ? undefined : askGrader();
  state.setGrader(name);
  try {
    await state.reload();
    trouble("");
  } catch (error) {
    state.setGrader("");
    trouble(error.message);
    return askGrader();
  }
  return show({ focus: true });
}

async function begin() {
  const session = await get("/api/session");
  state = new State(session);
  mosaic = new Mosaic(state, actions);
  single = new Single(state, actions);
  filterForm = new FilterForm(state, async ({ isSame }) => {
    if (!isSame) await state.reload().catch((error) => trouble(error.message));
    await show();
  });
  queue = new Queue(session.session, onAnswer, (text) => {
    trouble(text);
    showProgress();
  });
  state.onChange(() => show());
  new Keys(session.scheme, actions);
  mode = localStorage.getItem("inspect-mode") ?? "mosaic";
  const resultsButton = document.querySelector("[data-mode=results]");
  resultsButton.hidden = session.blind;
  for (const button of document.querySelectorAll("[data-mode]")) button.addEventListener("click", () => setMode(button.dataset.mode));
  find("help-button").addEventListener("click", () => actions.command("help"));
  find("grader-button").addEventListener("click", askGrader);
  find("like-button").addEventListener("click", async () => {
    const item = mosaic.current;
    if (item) await jumpLike(item.key);
  });
  for (const name of ["learned", "next"]) find(`${name}-button`).addEventListener("click", () => jumpTo({ sort: name }));
  window.addEventListener("beforeunload", (event) => queue.length && event.preventDefault());
  showProgress();
  if (state.grader) await state.reload();
  else await askGrader();
  document.body.dataset.ready = "true";
  if (session.has_samp) watchPicks();
}

const jumpLike = (key) => jumpTo({ sort: "similarity", like: key });

// The list anew, from its first image; grades on their way are waited for, since the order may follow from them.
async function jumpTo(filters) {
  const before = state.filters;
  state.setFilters(filters);
  try {
    await queue.settle();
    await state.reload();
    trouble("");
  } catch (error) {
    state.setFilters(before);
    trouble(error.message);
    return;
  }
  state.place = 0;
  filterForm.form.hidden || filterForm.build();
  await show({ focus: true });
}

// What is picked in TOPCAT, Aladin or DS9 is shown here.
async function watchPicks() {
  let { number } = await get("/api/pick").catch(() => ({ number: 0 }));
  setInterval(async () => {
    const pick = await get("/api/pick", { after: number }).catch(() => null);
    if (!pick?.key) return;
    number = pick.number;
    if (pick.key === single.key && mode === "single") return;
    const { place } = await get("/api/place", { view: state.list.view, key: pick.key }).catch(() => ({ place: null }));
    if (place === null) return say("The candidate that was picked elsewhere does not pass the filters.");
    state.place = place;
    await setMode("single");
  }, 500);
}

begin().catch((error) => trouble(error.status ? error.message : `The page could not start: ${error.message}`));
