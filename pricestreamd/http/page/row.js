// One row of the table: how it is built, and how what is known of a symbol becomes text. Text only: whatever a symbol
// or a reason holds, it is never read as HTML.

import { now } from "./ask.js";
import * as format from "./format.js";

const COLUMNS = ["symbol", "price", "change", "percent", "volume", "trend", "age", "feed"];
const CELL = Object.fromEntries(COLUMNS.map((name, index) => [name, index]));

const STATES = { pending: "waiting", rejected: "refused", unplaced: "refused" };
const WORDS = { quiet: "stale", waiting: "waiting", live: "live" };

// What is known of a symbol before anything was told of it, and its place in the document.
export function newRow(symbol, order) {
  return {
    symbol, key: symbol.toUpperCase(), order, feed: "", state: "pending", why: "", stale: false,
    price: null, change: null, percent: null, volume: null, at: null, decimals: 2,
    live: false, points: [], pointAt: 0, drawnAt: 0, history: false,
    visible: false, flash: 0, way: "", shown: "", cells: [], texts: [], element: null,
  };
}

export const canvasOf = (row) => row.cells[CELL.trend].firstChild;
export const stateOf = (row) => (row.stale ? "quiet" : STATES[row.state] ?? (row.price === null ? "waiting" : "live"));
export const wordOf = (row, state = stateOf(row)) => (state === "refused" ? row.state : WORDS[state]);

export function build(row) {
  const element = document.createElement("tr");
  element.row = row;
  // Laid out as grids, rows and cells must be told to be what they are.
  element.setAttribute("role", "row");
  row.cells = COLUMNS.map((name) => {
    const cell = document.createElement(name === "symbol" ? "th" : "td");
    cell.className = name;
    cell.setAttribute("role", name === "symbol" ? "rowheader" : "cell");
    element.append(cell);
    if (name === "symbol") {
      cell.append(row.symbol, document.createElement("small"));
      cell.title = row.symbol;
    } else if (name === "trend") {
      const canvas = document.createElement("canvas");
      canvas.setAttribute("aria-hidden", "true");
      cell.append(canvas);
    } else if (name === "price") {
      const figure = document.createElement("span");
      figure.append("");
      cell.append(figure);
      return figure;
    } else {
      cell.append("");
    }
    return cell;
  });
  row.element = element;
  return element;
}

function say(row, column, text) {
  if (row.texts[column] === text) return;
  row.texts[column] = text;
  row.cells[column].firstChild.nodeValue = text;
}

export function write(row) {
  const state = stateOf(row);
  const word = wordOf(row, state);
  say(row, CELL.price, format.price(row.price, row.decimals));
  say(row, CELL.change, format.change(row.change, row.decimals));
  say(row, CELL.percent, format.percent(row.percent));
  say(row, CELL.volume, format.volume(row.volume));
  say(row, CELL.age, row.at === null ? "–" : format.age(Math.max(0, now() - row.at)));
  say(row, CELL.feed, row.feed && state !== "refused" ? `${row.feed} ${word}` : word);
  const way = row.change > 0 ? "up" : row.change < 0 ? "down" : "";
  if (row.way !== way) {
    row.way = way;
    row.element.dataset.way = way;
  }
  if (row.shown !== state) {
    row.shown = state;
    row.element.dataset.state = state;
    row.cells[CELL.symbol].lastChild.textContent = state === "live" ? "" : word;
    row.cells[CELL.feed].title = row.why;
  }
  if (row.flash) {
    // Two names for one animation: changing from one to the other begins it anew.
    const figure = row.cells[CELL.price];
    const turn = figure.dataset.flash?.endsWith("0") ? 1 : 0;
    figure.dataset.flash = `${row.flash > 0 ? "up" : "down"}${turn}`;
    row.flash = 0;
  }
}
