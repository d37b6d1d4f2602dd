// The measurements of docs/balancing.md, all from fixed seeds: 40 jobs on few nodes, and jobs that come at random to many.
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Arrival, ideal, type Outcome, randomArrivals, simulate } from '../../test/support/balance-simulation.ts';

const meanWork = 120_000;
const arriveFor = 600_000;
const mebibyte = 2 ** 20;

function makespans(): string {
  const lines = [1, 2, 3].map((nodes) => {
    const arrivals: readonly Arrival[] = Array.from({ length: 40 }, () => ({ at: 0, home: 1, work: meanWork, memory: 64 * mebibyte }));
    const best = ideal(nodes, arrivals).makespan;
    const [stay, move, placed] = (['none', 'migrate', 'place'] as const).map((policy) => simulate({ nodes, seed: 1, arrivals, policy }));
    if (stay === undefined || move === undefined || placed === undefined) throw new Error('three policies');
    const seconds = (millis: number) => Math.round(millis / 1000);
    return [nodes, seconds(best), seconds(stay.makespan), seconds(move.makespan), over(move.makespan, best), move.migrations, seconds(placed.makespan)];
  });
  return table(['nodes', 'ideal, s', 'no balancing, s', 'balanced, s', 'over the ideal', 'moves', '`mosrun -b`, s'], lines);
}

interface Scene {
  readonly nodes: number;
  readonly load: number;
  /** Every second node has twice the speed. */
  readonly mixed: boolean;
}

function arriving({ nodes, load, mixed }: Scene): readonly (string | number)[] {
  const begun = performance.now();
  const arrivals = randomArrivals(nodes, load, arriveFor, meanWork, 7);
  const speedOf = (node: number) => (mixed && node % 2 === 0 ? 20_000 : 10_000);
  const best = mean(ideal(nodes, arrivals, speedOf).responses);
  const turns = arrivals.map((arrival, i) => ({ ...arrival, home: (i % nodes) + 1 }));
  const run = (policy: 'none' | 'migrate' | 'place', jobs = arrivals) => simulate({ nodes, seed: 1, arrivals: jobs, policy, speedOf });
  const [random, roundRobin, move, placed] = [run('none'), run('none', turns), run('migrate'), run('place')];
  const compared = ({ responses }: Outcome) => over(mean(responses), best);
  const perJob = ({ migrations }: Outcome) => (migrations / arrivals.length).toFixed(2);
  process.stderr.write(`${nodes} nodes, load ${load}${mixed ? ', mixed' : ''}: ${Math.round((performance.now() - begun) / 1000)} s\n`);
  const scene = [mixed ? `${nodes}, two speeds` : nodes, load, arrivals.length, (best / 1000).toFixed(1)];
  return [...scene, compared(random), compared(roundRobin), compared(move), perJob(move), move.pingPongs, compared(placed), perJob(placed), placed.pingPongs];
}

const head = [
  'nodes',
  'load',
  'jobs',
  'ideal, s',
  'static, random',
  'static, in turn',
  'balanced',
  'moves a job',
  'ping-pongs',
  '`mosrun -b`',
  'moves a job',
  'ping-pongs',
];

const scenes: readonly Scene[] = [
  ...[10, 30, 100, 300, 1000, 2000].map((nodes) => ({ nodes, load: 0.7, mixed: false })),
  ...[10, 100].map((nodes) => ({ nodes, load: 0.95, mixed: false })),
  ...[10, 100].map((nodes) => ({ nodes, load: 0.7, mixed: true })),
];

/** Measures all and writes it into `page`, or, of the sizes in --nodes, prints. */
export function main(page: string, args: string[]): void {
  const { values } = parseArgs({ args, options: { nodes: { type: 'string' } } });
  if (values.nodes !== undefined) {
    const wanted = values.nodes.split(',').map(Number);
    console.log(`${makespans()}\n${table(head, scenes.filter(({ nodes }) => wanted.includes(nodes)).map(arriving))}`);
    return;
  }
  const tables = `${makespans()}\n${table(head, scenes.map(arriving))}`;
  const [before, , after] = readFileSync(page, 'utf8').split(/(<!-- bench:balance -->\n(?:.|\n)*<!-- end -->)/);
  if (before === undefined || after === undefined) throw new Error(`${page} has no <!-- bench:balance --> ... <!-- end -->`);
  writeFileSync(page, `${before}<!-- bench:balance -->\n\n${tables}\n<!-- end -->${after}`);
}

function table(titles: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  return [line(titles), `|${'---:|'.repeat(titles.length)}`, ...rows.map(line), ''].join('\n');
}

function over(value: number, best: number): string {
  const tenths = Math.round(1000 * (value / best - 1));
  return `${tenths < 0 ? '' : '+'}${(tenths / 10).toFixed(1)} %`;
}

function mean(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0) / values.length;
}
