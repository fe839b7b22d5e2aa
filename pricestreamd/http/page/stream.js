// The live stream: Server-Sent Events over fetch, because EventSource cannot carry a bearer token. Connects again for ever.

import { askForToken, headers } from "./ask.js";

// The daemon sends a comment every 15 s: silence for this long means that the connection is dead.
const SILENT_MS = 40_000;
const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 10_000;

// `onEvent(object)`, `onOpen()`, `onDown(secondsUntilNextTry)`.
export function openStream(path, { onEvent, onOpen, onDown }) {
  let delay = FIRST_DELAY_MS;

  async function connect() {
    const abort = new AbortController();
    let watchdog = setTimeout(() => abort.abort(), SILENT_MS);
    try {
      const response = await fetch(path, { headers: headers(), cache: "no-store", signal: abort.signal });
      if (response.status === 401) {
        clearTimeout(watchdog);
        await askForToken();
        return 0;
      }
      if (!response.ok) throw new Error(String(response.status));
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      const parse = frameParser(onEvent);
      delay = FIRST_DELAY_MS;
      onOpen();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        clearTimeout(watchdog);
        watchdog = setTimeout(() => abort.abort(), SILENT_MS);
        parse(value);
      }
    } catch {
      // Refused, reset, aborted: all the same, it is tried again.
    } finally {
      clearTimeout(watchdog);
    }
    const wait = delay * (0.8 + 0.4 * Math.random());
    delay = Math.min(delay * 2, MAX_DELAY_MS);
    return wait;
  }

  (async () => {
    for (;;) {
      const wait = await connect();
      if (wait) {
        onDown(wait / 1000);
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  })();
}

// Takes the text in pieces of any size; calls `onEvent` with the data of each whole frame.
export function frameParser(onEvent) {
  let rest = "";
  return (piece) => {
    const text = rest + piece;
    let start = 0;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n", start)) {
      const data = text.indexOf("data: ", start);
      if (data >= 0 && data < end) onEvent(JSON.parse(text.slice(data + 6, end)));
      start = end + 2;
    }
    rest = text.slice(start);
  };
}
