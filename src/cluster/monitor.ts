// mosmon's screen: a bar for each node, from what is known of the nodes and how it is wanted to the lines of a terminal. openMosix mosmon(1).
import { isThere, type NodeCondition, utilizability } from './status-bits.ts';

export interface MonitorNode {
  readonly id: number;
  readonly status: NodeCondition;
  /** 100 = one standard processor. */
  readonly load: number;
  readonly speed: number;
  readonly cpus: number;
  /** Bytes. */
  readonly memory: { readonly total: number; readonly free: number; readonly usable: number };
  readonly pressure: { readonly memory: number };
}

export type Metric = 'load' | 'log' | 'speed' | 'memory' | 'raw' | 'util';
export type Layout = 'wide' | 'vertical' | 'tight' | 'auto';

export interface MonitorView {
  readonly metric: Metric;
  readonly layout: Layout;
  readonly dead: boolean;
  readonly totals: boolean;
  readonly help: boolean;
  /** The first node shown is the first whose id is this or larger. */
  readonly from: number;
}

export const firstView: MonitorView = { metric: 'load', layout: 'auto', dead: false, totals: false, help: false, from: 0 };

export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

const axisColumns = 9;
const mebibyte = 2 ** 20;
/** Below this nothing can be told apart. */
const smallest: ScreenSize = { columns: 20, rows: 8 };

const titles: Readonly<Record<Metric, string>> = {
  load: 'LOAD',
  log: 'LOAD (log)',
  speed: 'SPEED, CPUs',
  memory: 'MEMORY MB',
  raw: 'RAW MEM MB',
  util: 'UTIL %',
};

export const helpLines: readonly string[] = [
  ' mosmon: the nodes of the cluster',
  '',
  ' l  load: 1 is all of one standard processor   L  the same, logarithmic',
  ' s  speed (10000 is the standard), with the number of processors',
  ' m  memory a guest may take: used #, free +     r  memory as Linux counts it',
  ' u  utilizability: percent of time not spent waiting for memory',
  '',
  ' w  wide       v  numbers upright       V  upright and tight       a  what fits',
  ' d  dead nodes too                        t  totals',
  ' + NODE RETURN  start at that node        arrows, page up and down  scroll',
  ' h H  this text                           q  quit',
];

/** The lines of the screen: `rows` of them, none longer than `columns`, printable ASCII only. Total for every size. */
export function screen(nodes: readonly MonitorNode[], view: MonitorView, size: ScreenSize): readonly string[] {
  const { columns, rows } = size;
  const lines =
    columns < smallest.columns || rows < smallest.rows ? [`needs ${smallest.columns}x${smallest.rows}`] : view.help ? helpLines : chart(nodes, view, size);
  return Array.from({ length: rows }, (_, row) => (lines[row] ?? '').slice(0, columns).trimEnd());
}

interface Column {
  readonly id: number;
  readonly cells: string;
  readonly value: number;
  readonly node: MonitorNode;
}

function chart(nodes: readonly MonitorNode[], view: MonitorView, { columns, rows }: ScreenSize): readonly string[] {
  const shown = visible(nodes, view);
  const slot = slotColumns(shown, view.layout, columns - axisColumns);
  const digits = slot.upright ? Math.max(1, ...shown.map(({ id }) => String(id).length)) : 1;
  const footer = view.totals ? [totals(nodes)] : [];
  const height = rows - 2 - digits - footer.length;
  const fitting = shown.slice(0, Math.max(1, Math.floor((columns - axisColumns) / slot.columns)));
  const top = ceiling(fitting, view.metric);
  const bars = fitting.map((node) => bar(node, view.metric, top, height));
  const lines = [titles[view.metric]];
  for (let row = 0; row < height; row += 1) {
    const cells = bars.map(({ cells }) => (cells[height - 1 - row] ?? ' ').padEnd(slot.columns)).join('');
    lines.push(`${axisLabel(row, height, top, view.metric)}|${cells}`);
  }
  lines.push(...numbers(bars, slot, digits), ...footer);
  return lines;
}

function visible(nodes: readonly MonitorNode[], { dead, from }: MonitorView): readonly MonitorNode[] {
  return nodes.filter(({ id, status }) => id >= from && (dead || isThere(status)));
}

interface Slot {
  readonly columns: number;
  readonly upright: boolean;
}

/** How wide a node is: as wide as all nodes allow, if that is what is wanted. */
function slotColumns(shown: readonly MonitorNode[], layout: Layout, room: number): Slot {
  const longest = Math.max(1, ...shown.map(({ id }) => String(id).length));
  const slots: Readonly<Record<Exclude<Layout, 'auto'>, Slot>> = {
    wide: { columns: longest + 2, upright: false },
    vertical: { columns: 2, upright: true },
    tight: { columns: 1, upright: true },
  };
  if (layout !== 'auto') return slots[layout];
  const order = [slots.wide, slots.vertical];
  return order.find((slot) => slot.columns * shown.length <= room) ?? slots.tight;
}

function shownValue(node: MonitorNode, metric: Metric): number {
  const { memory } = node;
  if (metric === 'speed') return node.speed;
  if (metric === 'memory' || metric === 'raw') return memory.total / mebibyte;
  if (metric === 'util') return utilizability(node);
  return node.load / 100;
}

/** Values that people read at a glance, times a power of ten; close enough to each other that the tallest bar takes most of the screen. */
const roundSteps: readonly number[] = [1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8];

/** The value at the upper end of the axis. */
function ceiling(nodes: readonly MonitorNode[], metric: Metric): number {
  if (metric === 'util') return 100;
  const most = Math.max(
    metric === 'load' || metric === 'log' ? 1 : 10,
    ...nodes.filter(({ status }) => isThere(status)).map((node) => shownValue(node, metric)),
  );
  const power = 10 ** Math.floor(Math.log10(most));
  return (roundSteps.find((step) => step * power >= most) ?? 10) * power;
}

/** How much of the axis `value` takes, 0..1. */
function share(value: number, top: number, metric: Metric): number {
  const part = metric === 'log' ? Math.log10(1 + 9 * (value / top)) : value / top;
  return Math.min(1, Math.max(0, part));
}

/** From the bottom up. A dead node says so upright. */
function bar(node: MonitorNode, metric: Metric, top: number, height: number): Column {
  const value = shownValue(node, metric);
  const common = { id: node.id, value, node };
  if (!isThere(node.status)) return { ...common, cells: [...(node.status === 'left' ? 'LEFT' : 'DEAD')].reverse().join('') };
  const filled = Math.round(share(value, top, metric) * height);
  if (metric === 'memory' || metric === 'raw') {
    const free = Math.round(share((metric === 'raw' ? node.memory.free : node.memory.usable) / mebibyte, top, metric) * height);
    return { ...common, cells: '#'.repeat(Math.max(0, filled - free)) + '+'.repeat(Math.min(free, filled)) };
  }
  const cells = filled === 0 && value > 0 ? '.' : '#'.repeat(filled);
  if (metric !== 'speed' || node.cpus === 1) return { ...common, cells };
  return { ...common, cells: cells.slice(0, Math.max(0, height - 1)) + (node.cpus > 9 ? '*' : String(node.cpus)) };
}

function axisLabel(row: number, height: number, top: number, metric: Metric): string {
  const value = row === 0 ? top : row === Math.round(height / 2) && height > 4 ? top * atShare(1 / 2, metric) : undefined;
  if (value === undefined) return ' '.repeat(axisColumns - 1);
  const text = metric === 'load' || metric === 'log' ? value.toFixed(2) : String(Math.round(value));
  return `${text.padStart(axisColumns - 2)} `;
}

/** The inverse of `share`, as a part of the top. */
function atShare(part: number, metric: Metric): number {
  return metric === 'log' ? (10 ** part - 1) / 9 : part;
}

function numbers(bars: readonly Column[], slot: Slot, digits: number): readonly string[] {
  const axis = `${' '.repeat(axisColumns - 2)}0+${'-'.repeat(Math.max(1, bars.length * slot.columns))}`;
  const lead = 'Node # '.padStart(axisColumns);
  if (!slot.upright) return [axis, lead + bars.map(({ id }) => String(id).padEnd(slot.columns)).join('')];
  return [
    axis,
    ...Array.from({ length: digits }, (_, digit) => {
      const cells = bars.map(({ id }) => (String(id).padStart(digits)[digit] ?? ' ').padEnd(slot.columns)).join('');
      return (digit === 0 ? lead : ' '.repeat(axisColumns)) + cells;
    }),
  ];
}

function totals(nodes: readonly MonitorNode[]): string {
  const up = nodes.filter(({ status }) => isThere(status));
  const sum = (number: (node: MonitorNode) => number) => up.reduce((total, node) => total + number(node), 0);
  const load = (sum((node) => node.load) / 100).toFixed(2);
  const free = Math.round(sum(({ memory }) => memory.usable) / mebibyte);
  const all = Math.round(sum(({ memory }) => memory.total) / mebibyte);
  return ` ${up.length} of ${nodes.length} nodes up, ${sum(({ cpus }) => cpus)} processors, load ${load}, ${free} of ${all} MB free`;
}

/** What a key does: another view, or `quit`; undefined for a key that means nothing. `typed` is what followed `+`, as long as it is being typed. */
export type Pressed = { readonly view: MonitorView; readonly typed?: string } | 'quit' | undefined;

const metricKeys: Readonly<Record<string, Metric>> = { l: 'load', L: 'log', s: 'speed', m: 'memory', r: 'raw', u: 'util' };
const layoutKeys: Readonly<Record<string, Layout>> = { w: 'wide', v: 'vertical', V: 'tight', a: 'auto' };
const steps: Readonly<Record<string, number>> = { '\u001b[C': 1, '\u001b[B': 1, '\u001b[D': -1, '\u001b[A': -1, '\u001b[6~': 20, '\u001b[5~': -20 };

/** `nodes` are for scrolling, which goes node by node, not id by id. */
export function press(view: MonitorView, typed: string | undefined, key: string, nodes: readonly MonitorNode[]): Pressed {
  if (typed !== undefined) return typing(view, typed, key);
  const metric = metricKeys[key];
  if (metric !== undefined) return { view: { ...view, metric } };
  const layout = layoutKeys[key];
  if (layout !== undefined) return { view: { ...view, layout } };
  const by = steps[key];
  if (by !== undefined) return { view: { ...view, from: scrolled(view, by, nodes) } };
  if (key === 'd') return { view: { ...view, dead: !view.dead } };
  if (key === 't') return { view: { ...view, totals: !view.totals } };
  if (key === 'h' || key === 'H') return { view: { ...view, help: !view.help } };
  if (key === '+') return { view, typed: '' };
  return key === 'q' || key === '\u0003' ? 'quit' : undefined;
}

function typing(view: MonitorView, typed: string, key: string): Pressed {
  if (/^\d$/.test(key) && typed.length < 5) return { view, typed: typed + key };
  if (key === '\u007f' || key === '\b') return { view, typed: typed.slice(0, -1) };
  if (key === '\r' || key === '\n') return { view: { ...view, from: Number(typed) } };
  return { view };
}

function scrolled(view: MonitorView, by: number, nodes: readonly MonitorNode[]): number {
  const all = visible(nodes, { ...view, from: 0 });
  const first = all.findIndex(({ id }) => id >= view.from);
  const at = Math.min(all.length - 1, Math.max(0, (first === -1 ? all.length : first) + by));
  return all[at]?.id ?? 0;
}
