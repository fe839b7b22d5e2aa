// The page's conductor: what the stream tells and what is asked now and then, handed to the table and the side.

import { loadAlerts, offerSymbols } from "./alerts.js";
import { askForToken, getJson, Refused, takeToken } from "./ask.js";
import * as format from "./format.js";
import { set, showAlert, showError, showFeedEvent, showFeeds, showPastAlerts } from "./side.js";
import { openStream } from "./stream.js";
import * as table from "./table.js";

const EVENTS = "price.update,price.alert,price.error,price.stale,price.resumed,feed.*";
const STATS_MS = 2000;
const REPORTS_MS = 10_000;
const PAST_ALERTS = 20;

const link = document.getElementById("link");
const banner = document.getElementById("banner");
const filter = document.getElementById("filter");

let connected = false;
let lastStats = null;
let reportsDue = 0;

// --- the stream

function onEvent(event) {
  switch (event.event) {
    case "price.update":
      // A suspect print is not yet a price.
      if (!event.suspect) table.update(event);
      break;
    case "price.alert":
      showAlert(event);
      reportsDue = 0;
      break;
    case "price.error":
      showError(event);
      break;
    case "price.stale":
    case "price.resumed":
      table.setStale(event.symbol, event.feed, event.event === "price.stale");
      showFeedEvent(event);
      break;
    default:
      showFeedEvent(event);
      reportsDue = 0;
  }
}

function onOpen() {
  connected = true;
  link.dataset.state = "live";
  link.textContent = "live";
  banner.hidden = true;
  document.body.classList.remove("offline");
  table.forgetLive();
  reportsDue = 0;
  load();
}

function onDown(seconds) {
  if (connected) set("banner", `No connection to the daemon since ${format.clock(Date.now() / 1000)}. What you see is from then; trying again.`);
  else if (!table.size()) set("banner", "The daemon does not answer; trying again.");
  banner.hidden = false;
  connected = false;
  lastStats = null;
  link.dataset.state = "offline";
  link.textContent = seconds >= 2 ? `disconnected, next try in ${Math.round(seconds)} s` : "disconnected";
  document.body.classList.add("offline");
}

// --- what is asked now and then

async function askAll(asked) {
  try {
    await asked();
  } catch (error) {
    if (error instanceof Refused) await askForToken();
    // Anything else: the stream's own state tells it, and the next round asks again.
  }
}

const load = () => askAll(async () => {
  const [symbols, prices] = await Promise.all([getJson("/api/v1/symbols"), getJson("/api/v1/prices")]);
  table.setSymbols(symbols.symbols);
  table.setPrices(prices);
  showPastAlerts((await getJson(`/api/v1/firings?limit=${PAST_ALERTS}`)).firings);
  await poll();
});

const poll = () => askAll(async () => {
  const stats = await getJson("/api/v1/stats");
  const at = performance.now() / 1000;
  if (lastStats && stats.updates_received >= lastStats.updates && at - lastStats.at > 0.5) {
    set("rate", format.rate((stats.updates_received - lastStats.updates) / (at - lastStats.at)));
  } else if (!lastStats) {
    set("rate", format.rate(stats.updates_per_second));
  }
  lastStats = { updates: stats.updates_received, at };
  set("symbols", format.count(stats.symbols_tracked));
  set("fired", format.count(stats.alerts_triggered));
  set("uptime", format.duration(stats.uptime));
  set("alerts-note", stats.alerts_active === 1 ? "1 set" : `${format.count(stats.alerts_active)} set`);
  if (at * 1000 >= reportsDue) {
    reportsDue = at * 1000 + REPORTS_MS;
    const [feeds, symbols] = await Promise.all([getJson("/api/v1/feeds"), getJson("/api/v1/symbols")]);
    showFeeds(feeds);
    table.setSymbols(symbols.symbols);
    offerSymbols(symbols.symbols.map((report) => report.symbol));
    await loadAlerts();
  }
});

setInterval(() => {
  if (connected && !document.hidden) poll();
}, STATS_MS);

// --- the person

filter.addEventListener("input", () => table.setFilter(filter.value));
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.ctrlKey && !event.metaKey && !/^(INPUT|TEXTAREA)$/.test(event.target.tagName)) {
    event.preventDefault();
    filter.focus();
  } else if (event.key === "Escape" && event.target === filter) {
    filter.value = "";
    table.setFilter("");
  }
});

takeToken();
openStream(`/api/v1/events?event=${EVENTS}`, { onEvent, onOpen, onDown });
