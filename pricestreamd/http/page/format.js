// Numbers and times as people read them. No state but the formatters, which are costly to make.

const formatters = new Map();

function fixed(decimals, sign) {
  const key = sign ? -1 - decimals : decimals;
  let made = formatters.get(key);
  if (!made) {
    made = new Intl.NumberFormat(undefined, {
      minimumFractionDigits: decimals,
      maximumFractionDigits: decimals,
      signDisplay: sign ? "exceptZero" : "auto",
    });
    formatters.set(key, made);
  }
  return made;
}

const compact = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 2 });
const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 4 });

// How many decimals a price was written with, within what makes sense for its size.
export function decimalsOf(price) {
  const text = String(price);
  const exponent = text.indexOf("e-");
  const written = exponent >= 0 ? 8 : text.length - (text.indexOf(".") < 0 ? text.length : text.indexOf(".") + 1);
  const limit = price >= 1000 ? 2 : price >= 1 ? 5 : 8;
  return Math.max(2, Math.min(limit, written));
}

export const price = (value, decimals) => (value === null ? "–" : fixed(decimals, false).format(value));
export const change = (value, decimals) => (value === null ? "–" : fixed(decimals, true).format(value));
// A move too small for two decimals is still a move.
export const percent = (value) => (value === null ? "–" : fixed(value && Math.abs(value) < 0.01 ? 3 : 2, true).format(value));
export const volume = (value) => (value === null ? "–" : value >= 1e6 ? compact.format(value) : whole.format(value));
export const rate = (value) => (value >= 10000 ? compact.format(value) : value >= 100 ? whole.format(Math.round(value)) : value.toFixed(1));
export const count = (value) => whole.format(value);

export function duration(seconds) {
  if (seconds < 1) return "now";
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

export const age = (seconds) => (seconds >= 3600 ? duration(seconds).split(" ").slice(0, 2).join(" ") : duration(seconds));

export const clock = (epochSeconds) =>
  new Date(epochSeconds * 1000).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

// With the day, where that is another one than today.
export function moment(epochSeconds) {
  const at = new Date(epochSeconds * 1000);
  if (at.toDateString() === new Date().toDateString()) return clock(epochSeconds);
  return `${at.toLocaleDateString(undefined, { day: "numeric", month: "short" })} ${clock(epochSeconds)}`;
}
