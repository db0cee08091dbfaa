"use strict";
// Draw points and thumbnails on a canvas; nothing is loaded from elsewhere.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (name) => document.getElementById(name);
  const canvas = byId("map"), large = byId("large"), atlas = byId("atlas"), menu = byId("column");
  const RAMP = ["#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725"];
  const KINDS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a929b"];
  const n = data.ids.length, CELL = 44;
  let view = { x: 0.5, y: 0.5, zoom: 1 }, chosen = -1, width = 1, height = 1, column = null, order = [], planned = false;

  const mix = (a, b, t) => {
    const part = (text, k) => parseInt(text.slice(1 + 2 * k, 3 + 2 * k), 16);
    return `rgb(${[0, 1, 2].map((k) => Math.round(part(a, k) * (1 - t) + part(b, k) * t)).join(",")})`;
  };
  const ramp = (t) => {
    const at = Math.min(Math.max(t, 0), 1) * (RAMP.length - 1), low = Math.min(Math.floor(at), RAMP.length - 2);
    return mix(RAMP[low], RAMP[low + 1], at - low);
  };
  const colour = (row) => {
    const value = column ? column.values[row] : null;
    if (value === null || (column.names && value < 0)) return "#8a929b";
    return column.names ? KINDS[value % KINDS.length] : ramp((value - column.low) / (column.high - column.low || 1));
  };
  const write = (one, row) => {
    const value = one.values[row];
    if (one.names) return value < 0 ? "unknown" : one.names[value];
    return value === null ? "unknown" : String(Number(value.toPrecision(3)));
  };
  const unit = () => 0.92 * Math.min(width, height) * view.zoom;
  const place = (row) => [
    width / 2 + (data.x[row] - view.x) * unit(),
    height / 2 + (data.y[row] - view.y) * unit(),
  ];
  const source = (row) => [(row % data.across) * data.side, Math.floor(row / data.across) * data.side];

  function draw() {
    planned = false;
    const ratio = window.devicePixelRatio || 1, context = canvas.getContext("2d");
    width = canvas.clientWidth; height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const text = byId("find").value.trim().toLowerCase(), taken = new Set(), framed = [];
    for (let row = 0; row < n; row++) {
      const [x, y] = place(row);
      if (x < -CELL || y < -CELL || x > width + CELL || y > height + CELL) continue;
      const fits = !text || data.ids[row].toLowerCase().includes(text);
      context.globalAlpha = fits ? 0.9 : 0.12;
      // One thumbnail in each cell of a grid that moves with the map: they stay while one pans.
      const cell = `${Math.floor((data.x[row] * unit()) / CELL)},${Math.floor((data.y[row] * unit()) / CELL)}`;
      if (byId("pictures").checked && fits && !taken.has(cell)) { taken.add(cell); framed.push([row, x, y]); continue; }
      context.fillStyle = colour(row);
      context.beginPath(); context.arc(x, y, 3, 0, 7); context.fill();
    }
    context.globalAlpha = 1;
    const side = CELL - 8;
    for (const [row, x, y] of framed) {
      context.drawImage(atlas, ...source(row), data.side, data.side, x - side / 2, y - side / 2, side, side);
      context.strokeStyle = colour(row); context.lineWidth = 2;
      context.strokeRect(x - side / 2, y - side / 2, side, side);
    }
    if (chosen >= 0) {
      const [x, y] = place(chosen), wide = CELL + 14;
      context.drawImage(atlas, ...source(chosen), data.side, data.side, x - wide / 2, y - wide / 2, wide, wide);
      context.strokeStyle = "#ffffff"; context.lineWidth = 6; context.strokeRect(x - wide / 2, y - wide / 2, wide, wide);
      context.strokeStyle = "#d55e00"; context.lineWidth = 3; context.strokeRect(x - wide / 2, y - wide / 2, wide, wide);
    }
  }
  const redraw = () => { if (!planned) { planned = true; requestAnimationFrame(draw); } };

  function choose(row) {
    if (row === chosen) return;
    chosen = row;
    const one = byId("one"), context = large.getContext("2d");
    context.clearRect(0, 0, large.width, large.height);
    if (row < 0) { one.textContent = "Point at an image."; redraw(); return; }
    context.drawImage(atlas, ...source(row), data.side, data.side, 0, 0, large.width, large.height);
    const list = document.createElement("dl"), name = document.createElement("b");
    name.textContent = data.ids[row];
    for (const each of data.columns) {
      const term = document.createElement("dt"), value = document.createElement("dd");
      term.textContent = each.name; value.textContent = write(each, row);
      list.append(term, value);
    }
    one.replaceChildren(name, list);
    redraw();
  }

  function paint() {
    column = data.columns[Number(menu.value)] || null;
    const legend = byId("legend"), title = document.createElement("b");
    legend.replaceChildren();
    order = [...data.ids.keys()];
    if (column) {
      title.textContent = column.name;
      legend.append(title);
      const known = column.values.filter((one) => one !== null);
      column.low = known.reduce((a, b) => Math.min(a, b), Infinity);
      column.high = known.reduce((a, b) => Math.max(a, b), -Infinity);
      order.sort((a, b) => (column.values[b] ?? -Infinity) - (column.values[a] ?? -Infinity) || a - b);
      if (column.names) {
        column.names.forEach((text, k) => {
          const line = document.createElement("div"), mark = document.createElement("i");
          line.className = "kind"; mark.style.background = KINDS[k % KINDS.length];
          line.append(mark, text); legend.append(line);
        });
      } else {
        const bar = document.createElement("div"), ends = document.createElement("div");
        bar.className = "ramp"; bar.style.background = `linear-gradient(90deg, ${RAMP.join(",")})`;
        ends.className = "ends";
        for (const end of [column.low, column.high]) {
          const text = document.createElement("span"); text.textContent = String(Number(end.toPrecision(3))); ends.append(text);
        }
        legend.append(bar, ends);
      }
    }
    redraw();
  }

  function zoom(factor, x = width / 2, y = height / 2) {
    const before = unit(), wanted = Math.min(Math.max(view.zoom * factor, 0.5), 60);
    const atX = view.x + (x - width / 2) / before, atY = view.y + (y - height / 2) / before;
    view.zoom = wanted;
    view.x = atX - (x - width / 2) / unit(); view.y = atY - (y - height / 2) / unit();
    redraw();
  }
  function fit() {
    const middle = (values) => values.reduce((a, b) => Math.max(a, b), 0) / 2;
    view = { x: middle(data.x), y: middle(data.y), zoom: 1 };
    redraw();
  }
  function nearest(x, y) {
    let best = -1, least = 30 ** 2;
    for (let row = 0; row < n; row++) {
      const [a, b] = place(row), distance = (a - x) ** 2 + (b - y) ** 2;
      if (distance < least) { least = distance; best = row; }
    }
    return best;
  }
  function step(by) {
    const at = order.indexOf(chosen), row = order[at < 0 ? 0 : (at + by + n) % n];
    choose(row);
    const [x, y] = place(row);
    if (x < 40 || y < 40 || x > width - 40 || y > height - 40) { view.x = data.x[row]; view.y = data.y[row]; }
    redraw();
  }

  let held = null;
  canvas.addEventListener("pointerdown", (event) => {
    held = { x: event.offsetX, y: event.offsetY }; canvas.setPointerCapture(event.pointerId); canvas.style.cursor = "grabbing";
  });
  canvas.addEventListener("pointerup", () => { held = null; canvas.style.cursor = ""; });
  canvas.addEventListener("pointermove", (event) => {
    if (!held) { const row = nearest(event.offsetX, event.offsetY); if (row >= 0) choose(row); return; }
    view.x -= (event.offsetX - held.x) / unit(); view.y -= (event.offsetY - held.y) / unit();
    held = { x: event.offsetX, y: event.offsetY };
    redraw();
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault(); zoom(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const far = 60 / unit(), keys = {
      ArrowLeft: () => { view.x -= far; redraw(); }, ArrowRight: () => { view.x += far; redraw(); },
      ArrowUp: () => { view.y -= far; redraw(); }, ArrowDown: () => { view.y += far; redraw(); },
      "+": () => zoom(1.3), "=": () => zoom(1.3), "-": () => zoom(1 / 1.3), 0: fit, n: () => step(1), p: () => step(-1),
    };
    if (keys[event.key] && !event.ctrlKey && !event.metaKey) { event.preventDefault(); keys[event.key](); }
  });
  byId("fit").addEventListener("click", fit);
  byId("find").addEventListener("input", redraw);
  byId("pictures").addEventListener("change", redraw);
  menu.addEventListener("change", paint);
  data.columns.forEach((one, k) => menu.add(new Option(one.name, String(k))));
  new ResizeObserver(redraw).observe(canvas);
  atlas.decode().catch(() => undefined).then(() => { paint(); fit(); document.body.dataset.ready = "yes"; });
})();
