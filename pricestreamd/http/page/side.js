// The header's figures and feeds, and the lists at the side. New entries are written once a frame, newest first.

import * as format from "./format.js";

const MAX_ENTRIES = 100;
const STATE_WORDS = { backoff: "reconnecting", parked: "refused, parked" };

export const element = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

export function set(id, text) {
  const target = document.getElementById(id);
  if (target.textContent !== text) target.textContent = text;
}

export function showFeeds(feeds) {
  const list = document.getElementById("feeds");
  list.replaceChildren(
    ...Object.entries(feeds).map(([name, feed]) => {
      const item = element("li");
      item.dataset.state = feed.state;
      const lags = feed.connections.map((connection) => connection.lag_seconds).filter((lag) => lag !== null);
      const lag = lags.length ? Math.max(...lags) : null;
      const errors = feed.connections.map((connection) => connection.last_error).filter(Boolean);
      item.append(element("b", "", name), element("span", "state", STATE_WORDS[feed.state] ?? feed.state));
      if (lag !== null && feed.state === "live") {
        item.append(element("small", "", lag < 1 ? `${Math.round(lag * 1000)} ms` : `${lag.toFixed(1)} s`));
      }
      item.title = [feed.provider, ...errors].join("\n");
      return item;
    }),
  );
}

class Log {
  constructor(id) {
    this.list = document.getElementById(id);
    this.waiting = [];
    this.frame = 0;
    this.newest = null;
  }

  add(entry) {
    // The same again within the newest entry is counted, not repeated.
    const newest = this.waiting.at(-1) ?? this.newest;
    if (newest && newest.kind === entry.kind && newest.text === entry.text && newest.label === entry.label) {
      newest.times += 1;
      newest.at = entry.at;
    } else {
      this.waiting.push({ ...entry, times: 1, element: null });
      if (this.waiting.length > MAX_ENTRIES) this.waiting.shift();
    }
    this.frame ||= requestAnimationFrame(() => this.write());
  }

  write() {
    this.frame = 0;
    if (this.newest) this.fill(this.newest);
    for (const entry of this.waiting) {
      this.list.prepend(this.build(entry));
      this.newest = entry;
    }
    this.waiting = [];
    this.trim();
  }

  // Entries of the past, each at its place by its time.
  addPast(entries) {
    this.write();
    for (const entry of entries) {
      const after = [...this.list.children].find((item) => Number(item.dataset.at) <= entry.at);
      this.list.insertBefore(this.build({ ...entry, times: 1 }), after ?? null);
    }
    this.trim();
  }

  build(entry) {
    entry.element = element("li");
    entry.element.dataset.kind = entry.kind;
    const when = element("div", "when");
    entry.when = element("time");
    entry.count = element("span", "times");
    when.append(element("span", "kind", entry.label), entry.when, entry.count);
    entry.element.append(when, element("p", "", entry.text));
    this.fill(entry);
    return entry.element;
  }

  trim() {
    while (this.list.children.length > MAX_ENTRIES) this.list.lastElementChild.remove();
  }

  fill(entry) {
    entry.element.dataset.at = entry.at;
    entry.when.textContent = format.moment(entry.at);
    entry.count.textContent = entry.times > 1 ? `× ${entry.times}` : "";
  }
}

const alerts = new Log("alerts");
const errors = new Log("errors");

// By their ids, those that are shown: the live stream and the past may both tell of one.
const shownFirings = new Set();

function isNew(firing) {
  if (shownFirings.has(firing)) return false;
  shownFirings.add(firing);
  if (shownFirings.size > 10 * MAX_ENTRIES) shownFirings.delete(shownFirings.values().next().value);
  return true;
}

function alertEntry(event) {
  const extra = [event.late && "late", event.after_gap && "after a gap"].filter(Boolean).join(", ");
  const text = extra ? `${event.alert_text} (${extra})` : event.alert_text;
  return { kind: "alert", label: event.alert_name || event.symbol, text, at: event.timestamp };
}

export function showAlert(event) {
  if (isNew(event.firing_id)) alerts.add(alertEntry(event));
}

export function showPastAlerts(firings) {
  const told = firings.map((firing) => firing.event).filter((event) => event.alert_text && isNew(event.firing_id));
  alerts.addPast(told.map(alertEntry));
}

export function showError(event) {
  errors.add({
    kind: event.severity,
    label: event.severity,
    text: event.feed ? `${event.feed}: ${event.message}` : event.message,
    at: event.timestamp,
  });
}

const FEED_TEXTS = {
  "feed.connected": () => "connected",
  "feed.disconnected": (event) => `disconnected${event.reason ? `: ${event.reason}` : ""}`,
  "feed.reconnecting": (event) =>
    `attempt ${event.attempt ?? 1}${event.delay_seconds === null ? "" : ` in ${format.duration(event.delay_seconds)}`}`,
  "price.stale": (event) => `${event.symbol ?? "all its symbols"} silent for ${format.duration(event.silent_seconds)}`,
  "price.resumed": (event) => `${event.symbol ?? "its symbols"} back after ${format.duration(event.silent_seconds)}`,
};

export function showFeedEvent(event) {
  const text = FEED_TEXTS[event.event]?.(event);
  if (text) errors.add({ kind: "info", label: event.feed, text, at: event.timestamp });
}
