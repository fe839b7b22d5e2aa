// Asking the daemon: JSON answers with the bearer token, and the token itself (from #token=..., this tab, or the person).

const KEY = "pricestreamd.token";
const dialog = document.getElementById("ask");
const form = document.getElementById("ask-form");
const field = document.getElementById("token");
const later = document.getElementById("ask-later");
const refused = document.getElementById("ask-error");

let token = "";
let asking = null;

export class Refused extends Error {}

// A token in the address is taken out of it at once, so that it stays in no history and no copied link.
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given !== null) {
    token = given;
    history.replaceState(null, "", location.pathname + location.search);
    remember();
    return;
  }
  try {
    token = sessionStorage.getItem(KEY) ?? "";
  } catch {
    token = "";
  }
}

function remember() {
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // Without storage the token lives as long as the page.
  }
}

export function headers() {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

// Shows the dialog once, however many requests were refused; resolves to true when a token was given. Where there is
// something to look at without one, the question may be put off.
export function askForToken(mayWait = false) {
  asking ??= new Promise((resolve) => {
    const answer = (given) => {
      dialog.close();
      asking = null;
      resolve(given);
    };
    refused.textContent = token ? "That token was not accepted." : "";
    field.value = "";
    later.hidden = !mayWait;
    later.onclick = () => answer(false);
    dialog.showModal();
    form.onsubmit = (event) => {
      event.preventDefault();
      token = field.value.trim();
      remember();
      answer(true);
    };
    dialog.oncancel = (event) => {
      event.preventDefault();
      // Escape leaves nothing to look at: the question stays.
      if (mayWait) answer(false);
    };
  });
  return asking;
}

// The daemon's clock, in epoch seconds: this machine's may be wrong, and ages would be with it.
let clockOffset = 0;
export const now = () => Date.now() / 1000 + clockOffset;

function compareClocks(date) {
  const offset = Date.parse(date) / 1000 - Date.now() / 1000;
  // The header has whole seconds: less than two are no difference.
  clockOffset = Math.abs(offset) < 2 || Number.isNaN(offset) ? 0 : offset;
}

export async function getJson(path) {
  const response = await fetch(path, { headers: headers(), cache: "no-store" });
  if (response.status === 401) throw new Refused();
  compareClocks(response.headers.get("Date"));
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

// Changes something; the answer, or null where there is none. Asks for the token as long as it is not accepted.
export async function sendJson(method, path, body) {
  for (;;) {
    const options = { method, headers: headers(), cache: "no-store" };
    if (body !== undefined) {
      options.headers["Content-Type"] = "application/json";
      options.body = JSON.stringify(body);
    }
    const response = await fetch(path, options);
    const text = await response.text();
    if (response.ok) return text ? JSON.parse(text) : null;
    if (response.status === 401) {
      if (await askForToken(true)) continue;
      throw new Error("To change something, the token is needed.");
    }
    throw new Error(detailOf(text) ?? `The daemon answered ${response.status}.`);
  }
}

function detailOf(text) {
  try {
    return JSON.parse(text).detail;
  } catch {
    return undefined;
  }
}
