// A price's recent way as a line on a small canvas. Colours come from the style sheet, so that dark and light both fit.

const scale = Math.min(2, window.devicePixelRatio || 1);
let colours = readColours();

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const named = (name) => style.getPropertyValue(name).trim();
  return { up: named("--up"), down: named("--down"), flat: named("--quiet") };
}

export function onThemeChange(redraw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    colours = readColours();
    redraw();
  });
}

export function draw(canvas, points) {
  const wide = Math.round(canvas.clientWidth * scale);
  const high = Math.round(canvas.clientHeight * scale);
  if (!wide || !high) return;
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
  }
  const paint = canvas.getContext("2d");
  paint.clearRect(0, 0, wide, high);
  const count = points.length;
  if (count < 2) return;
  let low = Infinity;
  let top = -Infinity;
  for (const point of points) {
    if (point < low) low = point;
    if (point > top) top = point;
  }
  const margin = 2.5 * scale;
  const step = (wide - 2 * margin) / (count - 1);
  const span = top - low;
  const y = (point) => (span ? margin + ((top - point) / span) * (high - 2 * margin) : high / 2);
  const last = points[count - 1];
  const colour = last > points[0] ? colours.up : last < points[0] ? colours.down : colours.flat;
  paint.beginPath();
  for (let index = 0; index < count; index += 1) {
    if (index) paint.lineTo(margin + index * step, y(points[index]));
    else paint.moveTo(margin, y(points[0]));
  }
  paint.strokeStyle = colour;
  paint.lineWidth = 1.35 * scale;
  paint.lineJoin = "round";
  paint.stroke();
  paint.lineTo(wide - margin, high);
  paint.lineTo(margin, high);
  paint.globalAlpha = 0.1;
  paint.fillStyle = colour;
  paint.fill();
  paint.globalAlpha = 1;
  paint.beginPath();
  paint.arc(wide - margin, y(last), 1.9 * scale, 0, 7);
  paint.fill();
}
