// Which rows are shown, and in which order: the filter, and the column whose head was clicked.

import { wordOf } from "./row.js";

const heads = document.getElementById("heads");

const VALUES = {
  symbol: (row) => row.key,
  price: (row) => row.price,
  change: (row) => row.change,
  percent: (row) => row.percent,
  volume: (row) => row.volume,
  age: (row) => (row.at === null ? null : -row.at),
  feed: (row) => `${row.feed} ${wordOf(row)}`,
};
// Where the first click shows the smallest first; numbers begin with the largest.
const ASCENDING = new Set(["symbol", "feed", "age"]);

let filter = "";
let sort = null;

// Whether the order may change with every tick.
export const isLively = () => sort !== null && sort.key !== "symbol";
export const isFiltered = () => filter !== "";

export function setFilter(text) {
  filter = text.trim().toUpperCase();
}

export function arranged(rows) {
  let wanted = [...rows];
  if (filter) wanted = wanted.filter((row) => row.key.includes(filter) || row.feed.toUpperCase().includes(filter));
  return wanted.sort(sort ? compare : (one, other) => one.order - other.order);
}

function compare(one, other) {
  const a = VALUES[sort.key](one);
  const b = VALUES[sort.key](other);
  if (a === b) return one.order - other.order;
  // Rows without a value stay at the end in both directions.
  if (a === null) return 1;
  if (b === null) return -1;
  return (a < b ? -1 : 1) * sort.direction;
}

export function onSort(changed) {
  heads.addEventListener("click", (event) => {
    const head = event.target.closest("button")?.closest("th[data-key]");
    if (!head) return;
    const key = head.dataset.key;
    const first = ASCENDING.has(key) ? 1 : -1;
    // First click, the other way round, and back to the order of the configuration.
    if (sort?.key !== key) sort = { key, direction: first };
    else sort = sort.direction === first ? { key, direction: -first } : null;
    for (const other of heads.children) {
      if (other === head && sort) other.setAttribute("aria-sort", sort.direction > 0 ? "ascending" : "descending");
      else other.removeAttribute("aria-sort");
    }
    changed();
  });
}
