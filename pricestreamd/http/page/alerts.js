// The alerts that are set: where each stands, why it did or did not fire, and a form for new ones. Text only.

import { getJson, sendJson } from "./ask.js";
import * as format from "./format.js";
import { element } from "./side.js";

const MAX_SHOWN = 200;
const MAX_PLACES = 3;
const STATES = { firing: "fired, still true", cooling: "cooling down", waiting: "cannot fire now" };

const list = document.getElementById("rules");
const form = document.getElementById("add-alert");
const failed = document.getElementById("add-error");
// By alert id: the sentences that are open below it.
const open = new Map();
let loading = null;

const addressOf = (alert) => `/api/v1/alerts/${encodeURIComponent(alert.alert_id)}`;

// Asked again while an answer is on its way, it asks once more afterwards.
export function loadAlerts() {
  loading = loading ? loading.then(fetchAlerts, fetchAlerts) : fetchAlerts();
  const mine = loading;
  return mine.finally(() => {
    if (loading === mine) loading = null;
  });
}

async function fetchAlerts() {
  show((await getJson("/api/v1/alerts")).alerts);
}

function show(alerts) {
  const ids = new Set(alerts.map((alert) => alert.alert_id));
  for (const id of open.keys()) if (!ids.has(id)) open.delete(id);
  const focus = [document.activeElement?.closest("li")?.dataset.id, document.activeElement?.className];
  list.replaceChildren(...alerts.slice(0, MAX_SHOWN).map(build));
  if (alerts.length > MAX_SHOWN) list.append(element("li", "quiet", `and ${format.count(alerts.length - MAX_SHOWN)} more`));
  if (focus[0]) [...list.children].find((item) => item.dataset.id === focus[0])?.getElementsByClassName(focus[1])[0]?.focus();
}

function build(alert) {
  const item = element("li");
  item.dataset.id = alert.alert_id;
  const what = element("button", "what");
  what.type = "button";
  what.setAttribute("aria-expanded", String(open.has(alert.alert_id)));
  what.title = "Why did it fire, or why not?";
  what.append(element("b", "", alert.name ?? alert.symbols.join(", ")), element("span", "", conditionsOf(alert)));
  what.addEventListener("click", () => explain(alert).catch(() => {}));
  item.append(what, element("p", "places", placesOf(alert)));
  item.append(action("rearm", "Re-arm", () => change("POST", `${addressOf(alert)}/rearm`)));
  if (alert.source === "api") item.append(action("remove", "Remove", () => change("DELETE", addressOf(alert))));
  else item.append(element("small", "quiet", "in the configuration"));
  const sentences = open.get(alert.alert_id);
  if (sentences) {
    const told = element("ul", "told");
    told.append(...sentences.map((sentence) => element("li", "", sentence)));
    item.append(told);
  }
  return item;
}

function action(className, text, work) {
  const made = element("button", className, text);
  made.type = "button";
  made.addEventListener("click", () => {
    made.disabled = true;
    work().finally(() => { made.disabled = false; });
  });
  return made;
}

const conditionsOf = (alert) => `${alert.name ? `${alert.symbols.join(", ")}: ` : ""}${alert.text ?? ""}`;

function placesOf(alert) {
  const places = Object.entries(alert.places ?? {});
  if (!places.length) return "no feed has it";
  const shown = places.slice(0, MAX_PLACES).map(([symbol, place]) => {
    const far = place.distance_percent ? `, ${format.percent(place.distance_percent)} % away` : "";
    const fired = place.firings ? `, fired × ${place.firings}` : "";
    return `${places.length > 1 ? `${symbol} ` : ""}${STATES[place.state] ?? place.state}${place.state === "done" ? "" : far}${fired}`;
  });
  if (places.length > MAX_PLACES) shown.push(`and ${places.length - MAX_PLACES} more`);
  return shown.join("; ");
}

async function explain(alert) {
  if (open.delete(alert.alert_id)) return loadAlerts();
  try {
    const { explanations, more } = await getJson(`${addressOf(alert)}/explain`);
    const sentences = explanations.flatMap((one) => one.sentences);
    if (more) sentences.push(`And ${more} more symbols.`);
    open.set(alert.alert_id, sentences.length ? sentences : ["No feed has a symbol of this alert, so it cannot fire."]);
  } catch (error) {
    open.set(alert.alert_id, [error.message]);
  }
  return loadAlerts();
}

// Whatever is refused is told below the form, in the daemon's own words.
async function change(method, path, body) {
  failed.textContent = "";
  try {
    const answer = await sendJson(method, path, body);
    if (answer?.warnings) failed.textContent = answer.warnings.join(" ");
    await loadAlerts();
    return true;
  } catch (error) {
    failed.textContent = error.message;
    return false;
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { symbol, condition, value, once, add } = form.elements;
  const body = { symbol: symbol.value.trim(), [condition.value]: Number(value.value) };
  if (once.checked) body.once = true;
  add.disabled = true;
  if (await change("POST", "/api/v1/alerts", body)) value.value = "";
  add.disabled = false;
});

// What the form offers while one types.
export function offerSymbols(symbols) {
  const offered = document.getElementById("known-symbols");
  if (offered.childElementCount === symbols.length) return;
  offered.replaceChildren(...symbols.slice(0, 1000).map((symbol) => {
    const option = element("option");
    option.value = symbol;
    return option;
  }));
}
