// The live table. Events change plain objects and mark rows; the document is written once a frame, and only where a
// row is on the screen and its text differs.

import { getJson } from "./ask.js";
import * as format from "./format.js";
import * as order from "./order.js";
import { build, canvasOf, newRow, write } from "./row.js";
import { draw, onThemeChange } from "./sparkline.js";

const body = document.getElementById("rows");
const empty = document.getElementById("empty");
const shown = document.getElementById("shown");

const POINTS = 120;
// Ticks that come closer together than this share one point of the sparkline.
const POINT_MS = 500;
const DRAW_MS = 250;
const DRAWN_A_FRAME = 60;
const SORT_MS = 1000;
// More rows than this are a matter for the filter; the browser stays quick.
const MAX_ROWS = 1000;
const HISTORIES_AT_ONCE = 4;

const rows = new Map();
const dirty = new Set();
const lines = new Set();
const wantHistory = [];
let historiesOnTheWay = 0;
let inOrder = false;
let orderedAt = 0;
let frame = 0;

export const size = () => rows.size;

function wake() {
  frame ||= requestAnimationFrame(writeAll);
}

function touch(row, line) {
  dirty.add(row);
  if (line) lines.add(row);
  wake();
}

function arrangeAnew() {
  inOrder = false;
  wake();
}

const onScreen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const row = entry.target.row;
    row.visible = entry.isIntersecting;
    if (row.visible) touch(row, true);
  }
}, { rootMargin: "120px" });

onThemeChange(() => {
  for (const row of rows.values()) touch(row, true);
});
order.onSort(arrangeAnew);

// --- what is told

function rowOf(symbol) {
  let row = rows.get(symbol);
  if (!row) {
    row = newRow(symbol, rows.size);
    rows.set(symbol, row);
    inOrder = false;
  }
  return row;
}

function setPrice(row, report, at) {
  row.feed = report.feed;
  row.price = report.price;
  row.change = report.change;
  row.percent = report.change_percent;
  row.volume = report.volume;
  row.at = at;
  row.decimals = Math.max(row.decimals, format.decimalsOf(report.price));
}

export function update(event) {
  const row = rowOf(event.symbol);
  const moved = row.price === null ? 0 : event.price - row.price;
  setPrice(row, event, event.received_at);
  row.live = true;
  row.stale = false;
  row.state = "subscribed";
  if (moved) row.flash = moved > 0 ? 1 : -1;
  const time = performance.now();
  if (time - row.pointAt >= POINT_MS || !row.points.length) {
    row.points.push(event.price);
    if (row.points.length > POINTS) row.points.shift();
    row.pointAt = time;
  } else {
    row.points[row.points.length - 1] = event.price;
  }
  touch(row, true);
}

// A new connection: what is shown may be old until the daemon tells it again.
export function forgetLive() {
  for (const row of rows.values()) row.live = false;
}

export function setPrices(prices) {
  for (const [symbol, report] of Object.entries(prices)) {
    const row = rowOf(symbol);
    // What the stream has told since it was opened is newer.
    if (!row.live) setPrice(row, report, report.timestamp);
    row.stale = report.stale;
    touch(row, true);
  }
}

export function setSymbols(reports) {
  const wanted = new Set();
  for (const report of reports) {
    wanted.add(report.symbol);
    const row = rowOf(report.symbol);
    row.feed = report.feed;
    row.state = report.state;
    row.why = report.reason ?? "";
    row.order = wanted.size;
    touch(row, false);
  }
  for (const [symbol, row] of rows) if (!wanted.has(symbol)) remove(symbol, row);
  arrangeAnew();
}

function remove(symbol, row) {
  rows.delete(symbol);
  dirty.delete(row);
  lines.delete(row);
  if (!row.element) return;
  onScreen.unobserve(row.element);
  row.element.remove();
}

export function setStale(symbol, feed, stale) {
  for (const row of symbol === null ? rows.values() : [rows.get(symbol)]) {
    if (!row || (symbol === null && row.feed !== feed)) continue;
    row.stale = stale;
    touch(row, false);
  }
}

export function setFilter(text) {
  order.setFilter(text);
  arrangeAnew();
}

function fetchHistory(row) {
  if (row.history || row.price === null) return;
  row.history = true;
  wantHistory.push(row);
  fetchNextHistory();
}

function fetchNextHistory() {
  if (historiesOnTheWay >= HISTORIES_AT_ONCE || !wantHistory.length) return;
  // The newest wish first: it is what is on the screen now.
  const row = wantHistory.pop();
  historiesOnTheWay += 1;
  getJson(`/api/v1/history/${encodeURIComponent(row.symbol)}?limit=${POINTS}`)
    .then(({ history }) => {
      row.points = [...history.map((entry) => entry.price), ...row.points].slice(-POINTS);
      touch(row, true);
    })
    .catch(() => { row.history = false; })
    .finally(() => {
      historiesOnTheWay -= 1;
      fetchNextHistory();
    });
}

// --- what is seen

function writeAll() {
  frame = 0;
  const time = performance.now();
  if (!inOrder || (order.isLively() && time - orderedAt > SORT_MS)) arrange(time);
  for (const row of dirty) if (row.visible) write(row);
  dirty.clear();
  let left = DRAWN_A_FRAME;
  for (const row of lines) {
    if (!row.visible) {
      lines.delete(row);
    } else if (time - row.drawnAt >= DRAW_MS && left > 0) {
      left -= 1;
      row.drawnAt = time;
      lines.delete(row);
      fetchHistory(row);
      draw(canvasOf(row), row.points);
    }
  }
  if (lines.size) wake();
}

function arrange(time) {
  inOrder = true;
  orderedAt = time;
  const matching = order.arranged(rows.values());
  const wanted = matching.slice(0, MAX_ROWS);
  let place = body.firstChild;
  for (const row of wanted) {
    if (!row.element) onScreen.observe(build(row));
    if (row.element === place) place = place.nextSibling;
    else body.insertBefore(row.element, place);
  }
  while (place) {
    const next = place.nextSibling;
    place.row.visible = false;
    place.remove();
    place = next;
  }
  empty.hidden = wanted.length > 0;
  empty.textContent = rows.size ? "No symbol matches the filter" : "Waiting for the first prices";
  const count = format.count(matching.length);
  shown.textContent = matching.length > MAX_ROWS
    ? `first ${format.count(MAX_ROWS)} of ${count}`
    : order.isFiltered() ? `${count} of ${format.count(rows.size)}` : count;
}

// Ages grow while nothing happens.
setInterval(() => {
  for (const row of rows.values()) if (row.visible) touch(row, false);
}, 1000);
