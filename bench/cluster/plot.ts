// The age of information against the size of the cluster, measured and by formula, as an SVG with logarithmic axes.
interface Point {
  readonly nodes: number;
  readonly age: number;
  readonly oldest: number;
  readonly formula: number;
  readonly formulaOldest: number;
}

const [width, height, left, bottom, top, right] = [640, 400, 60, 50, 20, 150];
const [nodesMin, nodesMax, ageMin, ageMax] = [8, 2500, 0.5, 1000];

export function plot(points: readonly Point[]): string {
  const x = (nodes: number) => left + ((width - left - right) * Math.log(nodes / nodesMin)) / Math.log(nodesMax / nodesMin);
  const y = (age: number) => height - bottom - ((height - top - bottom) * Math.log(age / ageMin)) / Math.log(ageMax / ageMin);
  const at = (nodes: number, age: number) => `${x(nodes).toFixed(1)},${y(age).toFixed(1)}`;
  const line = (value: (point: Point) => number, style: string) =>
    `<polyline fill="none" ${style} points="${points.map((point) => at(point.nodes, value(point))).join(' ')}"/>`;
  const dots = (value: (point: Point) => number, colour: string) =>
    points.map((point) => `<circle cx="${x(point.nodes).toFixed(1)}" cy="${y(value(point)).toFixed(1)}" r="3.5" fill="${colour}"/>`).join('');
  const label = (text: string, px: number, py: number, anchor = 'start') =>
    `<text x="${px.toFixed(1)}" y="${py.toFixed(1)}" text-anchor="${anchor}">${text}</text>`;
  const grid = [
    ...[10, 30, 100, 300, 1000, 2000].flatMap((nodes) => [
      `<line x1="${x(nodes).toFixed(1)}" x2="${x(nodes).toFixed(1)}" y1="${top}" y2="${height - bottom}"/>`,
      label(String(nodes), x(nodes), height - bottom + 18, 'middle'),
    ]),
    ...[1, 10, 100, 1000].flatMap((age) => [
      `<line x1="${left}" x2="${width - right}" y1="${y(age).toFixed(1)}" y2="${y(age).toFixed(1)}"/>`,
      label(String(age), left - 8, y(age) + 4, 'end'),
    ]),
  ];
  const last = points.at(-1);
  const names =
    last === undefined
      ? []
      : [
          label('oldest: measured (dots)', width - right + 6, y(last.oldest) - 4),
          label('and formula', width - right + 6, y(last.oldest) + 10),
          label('mean: measured (dots)', width - right + 6, y(last.age) - 4),
          label('and formula', width - right + 6, y(last.age) + 10),
        ];
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12" stroke-width="1">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    `<g stroke="#ddd" fill="#333">${grid.join('\n').replaceAll('<text', '<text stroke="none"')}</g>`,
    line((point) => point.formula, 'stroke="#1f6fb2" stroke-width="2"'),
    line((point) => point.formulaOldest, 'stroke="#b23a1f" stroke-width="2"'),
    dots((point) => point.age, '#1f6fb2'),
    dots((point) => point.oldest, '#b23a1f'),
    label('nodes', (left + width - right) / 2, height - 12, 'middle'),
    label('age, s', 12, top + 4),
    ...names,
    '</svg>',
  ].join('\n')}\n`;
}
