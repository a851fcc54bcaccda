/** Line charts as SVG, side by side, readable on light and on dark pages. */

const PANEL = { width: 320, height: 260, left: 56, right: 26, top: 44, bottom: 44 };
const COLOURS = ['#2a78c8', '#d2691e', '#3a9a5b'];
const STYLE = `
  text { font: 11px system-ui, sans-serif; fill: #333 }
  .title { font-size: 14px; font-weight: 600 }
  .axis { stroke: #888; fill: none }
  .grid { stroke: #8884; fill: none }
  @media (prefers-color-scheme: dark) { text { fill: #ddd } .axis { stroke: #999 } }`;

/** `panels`: `{ x: { label, logarithmic }, y: { label }, lines: [{ name, points: [[x, y]] }] }`; y begins at zero. */
export function drawing(title, panels) {
  const width = panels.length * PANEL.width;
  const height = PANEL.height + 24;
  const inner = panels.map(
    (panel, at) => `<g transform="translate(${at * PANEL.width} 24)">${drawPanel(panel)}</g>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${escaped(title)}</title>
<style>${STYLE}
</style>
<text class="title" x="8" y="18">${escaped(title)}</text>
${inner.join('\n')}
</svg>
`;
}

function drawPanel({ x, y, lines }) {
  const all = lines.flatMap((line) => line.points);
  const scaleX = x.logarithmic ? logarithmic(all) : linear(Math.max(...all.map(([at]) => at)));
  const scaleY = linear(Math.max(...all.map(([, at]) => at)));
  const right = PANEL.width - PANEL.right;
  const bottom = PANEL.height - PANEL.bottom;
  const placeX = (value) => round(PANEL.left + scaleX.part(value) * (right - PANEL.left));
  const placeY = (value) => round(bottom - scaleY.part(value) * (bottom - PANEL.top));
  const parts = scaleY.ticks.flatMap((tick) => [
    `<path class="grid" d="M${PANEL.left} ${placeY(tick)}H${right}"/>`,
    `<text x="${PANEL.left - 6}" y="${placeY(tick) + 4}" text-anchor="end">${figure(tick)}</text>`,
  ]);
  for (const tick of scaleX.ticks)
    parts.push(
      `<path class="axis" d="M${placeX(tick)} ${bottom}v4"/>`,
      `<text x="${placeX(tick)}" y="${bottom + 17}" text-anchor="middle">${figure(tick)}</text>`,
    );
  parts.push(
    `<path class="axis" d="M${PANEL.left} ${PANEL.top}V${bottom}H${right}"/>`,
    `<text x="${(PANEL.left + right) / 2}" y="${PANEL.height - 8}" text-anchor="middle">${escaped(x.label)}</text>`,
    `<text x="8" y="14">${escaped(y.label)}</text>`,
  );
  lines.forEach(({ name, points }, index) => {
    const colour = COLOURS[index % COLOURS.length];
    const placed = points.map(([atX, atY]) => `${placeX(atX)} ${placeY(atY)}`);
    parts.push(`<path fill="none" stroke="${colour}" stroke-width="2" d="M${placed.join('L')}"/>`);
    for (const place of placed)
      parts.push(`<circle r="3" fill="${colour}" transform="translate(${place})"/>`);
    if (lines.length > 1) parts.push(...legend(name, colour, index, lines));
  });
  return parts.join('\n');
}

/** In one row between the label and the chart. */
function legend(name, colour, index, lines) {
  const before = lines.slice(0, index).reduce((sum, line) => sum + line.name.length * 6 + 24, 0);
  const x = PANEL.left + before;
  return [
    `<circle cx="${x}" cy="28" r="4" fill="${colour}"/>`,
    `<text x="${x + 8}" y="32">${escaped(name)}</text>`,
  ];
}

/** From zero to the first round figure at or above the highest. */
function linear(highest) {
  const raw = (highest || 1) / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((value) => value >= raw);
  const count = Math.max(1, Math.ceil(highest / step - 1e-9));
  return {
    ticks: Array.from({ length: count + 1 }, (_, at) => at * step),
    part: (value) => value / (count * step),
  };
}

/** Powers of ten around all points. */
function logarithmic(points) {
  const values = points.map(([at]) => Math.log10(at));
  const low = Math.floor(Math.min(...values));
  const high = Math.max(low + 1, Math.ceil(Math.max(...values)));
  return {
    ticks: Array.from({ length: high - low + 1 }, (_, at) => 10 ** (low + at)),
    part: (value) => (Math.log10(value) - low) / (high - low),
  };
}

const round = (value) => Math.round(value * 10) / 10;
const figure = (value) => Number(value.toPrecision(6)).toLocaleString('en');
const escaped = (text) => text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);
