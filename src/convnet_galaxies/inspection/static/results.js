// Results of an open session, as tables.

import { fill, find, make } from "./parts.js";
import { get } from "./server.js";

function drawTable({ title, columns, rows, notes }) {
  const cells = (row) => row.map((cell, k) => make(k ? "td" : "th", { scope: k ? null : "row", textContent: cell }));
  return [
    make("div", { class: "table" },
      make("table", {},
        make("caption", { textContent: title }),
        make("thead", {}, make("tr", {}, ...columns.map((name) => make("th", { scope: "col", textContent: name })))),
        make("tbody", {}, ...rows.map((row) => make("tr", {}, ...cells(row)))))),
    ...notes.map((note) => make("p", { class: "hint", textContent: note })),
  ];
}

export async function showResults() {
  const box = find("results");
  fill(box, make("p", { textContent: "Counting …" }));
  const results = await get("/api/results");
  fill(box, ...results.lead.map((line) => make("p", { class: "lead", textContent: line })), ...results.tables.flatMap(drawTable),
    ...results.remarks.map((line) => make("p", { class: "hint", textContent: line })));
}
