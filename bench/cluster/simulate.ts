// The measurements of docs/cluster.md: one row for each size of the cluster and loss of the network, all from fixed seeds.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { meanAge, oldestAge } from '../../src/cluster/ages.ts';
import { mean, Simulation } from '../../test/support/cluster-simulation.ts';
import { plot } from './plot.ts';

/** Entries in a datagram without claims: our own and fifteen others. */
const window = 16;
/** Each round a node hears two datagrams, an answer to its own and one that another sends it: the formulas count steps of one. */
const stepsPerRound = 2;
const killed = 5;
const patienceSeconds = 60;

interface Row {
  readonly nodes: number;
  readonly loss: number;
  readonly age: number;
  readonly oldest: number;
  readonly formula: number;
  readonly formulaOldest: number;
  readonly bytes: number;
  readonly datagrams: number;
  /** Seconds from the death of a node to the first and the last of the others that take it for dead. */
  readonly first: number;
  readonly last: number;
  /** Suspicions and deaths of nodes that live, for each node and hour. */
  readonly suspected: number;
  readonly buried: number;
}

function measure(nodes: number, loss: number): Row {
  const simulation = new Simulation({ nodes, seed: 1, loss });
  // Three mean ages, and the first datagrams with them, are over by then.
  const warm = Math.ceil(30 + 1.5 * meanAge(nodes, Math.min(window, nodes - 2)));
  simulation.run(warm * 1000);
  simulation.bytesPerSecond(1);
  const watched = 60;
  const ages: number[] = [];
  const oldest: number[] = [];
  const watchers = Array.from({ length: Math.min(nodes, 20) }, (_, i) => i + 1);
  for (let second = 0; second < watched; second += 10) {
    simulation.run(10_000);
    for (const id of watchers) {
      const found = simulation.ages([id]);
      ages.push(mean(found));
      oldest.push(found.reduce((most, one) => Math.max(most, one), 0));
    }
  }
  const { bytes, datagrams } = simulation.bytesPerSecond(watched * 1000);
  const since = simulation.now;
  const victims = Array.from({ length: Math.min(killed, Math.floor(nodes / 5)) }, (_, i) => nodes - i);
  for (const id of victims) simulation.kill(id);
  simulation.run(patienceSeconds * 1000);
  const delays = victims.map((id) =>
    simulation.events.filter((event) => event.id === id && event.to === 'dead' && event.at >= since).map(({ at }) => (at - since) / 1000),
  );
  const survivors = nodes - victims.length;
  for (const [i, found] of delays.entries()) {
    if (new Set(found).size === 0 || found.length < survivors) throw new Error(`${found.length} of ${survivors} have noticed that ${victims[i]} is dead`);
  }
  const hours = (simulation.now / 3_600_000) * nodes;
  // Everybody who hears of it has an event of its own: a rumour is one for each node.
  const wrong = (to: 'suspect' | 'dead') => simulation.events.filter((event) => event.to === to && !victims.includes(event.id)).length / nodes / hours;
  return {
    ...{ nodes, loss, age: mean(ages), oldest: mean(oldest), bytes, datagrams },
    formula: meanAge(nodes, Math.min(window, nodes - 1.5)) / stepsPerRound,
    formulaOldest: oldestAge(nodes, Math.min(window, nodes - 1)) / stepsPerRound,
    first: mean(delays.map((found) => Math.min(...found))),
    last: Math.max(...delays.map((found) => found.reduce((most, one) => Math.max(most, one), 0))),
    suspected: wrong('suspect'),
    buried: wrong('dead'),
  };
}

/** Measures, and writes the figures, the table and the plot into `docs`. Figures of other sizes that stand there stay. */
export function main(docs: string, args: string[]): void {
  const options = {
    nodes: { type: 'string', default: '10,30,100,300,1000,2000' },
    loss: { type: 'string', default: '0,0.05' },
    print: { type: 'boolean', default: false },
  } as const;
  const { values } = parseArgs({ args, options });
  const figures = join(docs, 'cluster-figures.json');
  let rows: Row[] = values.print || !existsSync(figures) ? [] : JSON.parse(readFileSync(figures, 'utf8'));
  for (const nodes of numbers(values.nodes)) {
    for (const loss of numbers(values.loss)) {
      const begun = performance.now();
      rows = [...rows.filter((row) => row.nodes !== nodes || row.loss !== loss), measure(nodes, loss)].sort((a, b) => a.nodes - b.nodes || a.loss - b.loss);
      process.stderr.write(`${nodes} nodes, loss ${loss}: ${Math.round((performance.now() - begun) / 1000)} s\n`);
      if (!values.print) publish(docs, figures, rows);
    }
  }
  if (!values.print) publish(docs, figures, rows);
  console.log(table(rows));
}

function numbers(list: string): number[] {
  return list.split(',').flatMap((word) => (word === '' ? [] : [Number(word)]));
}

function publish(docs: string, figures: string, rows: readonly Row[]): void {
  writeFileSync(figures, `[\n${rows.map((row) => `  ${JSON.stringify(row)}`).join(',\n')}\n]\n`);
  const page = join(docs, 'cluster.md');
  const [before = '', , after = ''] = readFileSync(page, 'utf8').split(/(<!-- bench:cluster -->\n(?:.|\n)*<!-- end -->)/);
  writeFileSync(page, `${before}<!-- bench:cluster -->\n\n${table(rows)}\n<!-- end -->${after}`);
  writeFileSync(join(docs, 'cluster-age.svg'), plot(rows.filter(({ loss }) => loss === 0)));
}

function table(rows: readonly Row[]): string {
  const lines = rows.map((row) =>
    [
      row.nodes,
      `${row.loss * 100} %`,
      row.age.toFixed(1),
      row.formula.toFixed(1),
      row.oldest.toFixed(0),
      row.formulaOldest.toFixed(0),
      Math.round(row.bytes),
      row.datagrams.toFixed(2),
      row.first.toFixed(1),
      row.last.toFixed(1),
      row.suspected.toFixed(2),
      row.buried.toFixed(3),
    ].join(' | '),
  );
  const head =
    'nodes | loss | mean age, s | formula | oldest, s | formula | bytes/s per node | datagrams/s | first knows, s | last knows, s | suspected/h | buried/h';
  return [`| ${head} |`, `|${'---:|'.repeat(12)}`, ...lines.map((line) => `| ${line} |`), ''].join('\n');
}
