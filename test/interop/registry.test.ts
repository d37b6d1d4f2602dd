// The registry under two commands at once, and with many nodes: the program itself.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, expect, it } from 'vitest';
import { loadFarm } from '../../src/farm/config.ts';

const command = join(fileURLToPath(new URL('../..', import.meta.url)), 'bin', 'farm');
const directory = mkdtempSync(join(tmpdir(), 'farm-registry-'));
const config = join(directory, 'farm.yaml');
afterAll(() => rmSync(directory, { recursive: true }));
beforeEach(() =>
  writeFileSync(config, 'name: lab\nnetworks:\n  main: { interface: eth1, address: 10.11.0.1/16, range: 10.11.0.10-10.11.63.250 }\nnodes: {}\n'),
);

const macs = (first: number, count: number): string[] =>
  Array.from(
    { length: count },
    (_, index) =>
      `52:54:${((first + index) >> 8)
        .toString(16)
        .padStart(4, '0')
        .replace(/..(?=.)/, '$&:')}:00:${((first + index) & 255).toString(16).padStart(2, '0')}`,
  );

async function run(...words: readonly string[]): Promise<number | null> {
  const child = spawn(command, ['-C', directory, ...words], { stdio: ['ignore', 'ignore', 'inherit'] });
  const [status] = await once(child, 'exit');
  return status;
}

it('two add-node of 200 each at the same time lose nothing, and neither is refused', async () => {
  expect(await Promise.all([run('add-node', ...macs(0, 200)), run('add-node', ...macs(1000, 200))])).toEqual([0, 0]);
  const { nodes } = loadFarm(directory);
  expect(nodes.map(({ mac }) => mac).sort()).toEqual([...macs(0, 200), ...macs(1000, 200)].sort());
  expect(new Set(nodes.map(({ id }) => id)).size).toBe(400);
});

it('a person who saves farm.yaml in the same moment loses nothing either', async () => {
  const adding = run('add-node', ...macs(0, 50));
  const comment = '# the switch is in room 7\n';
  const text = readFileSync(config, 'utf8');
  writeFileSync(config, comment + text);
  expect(await adding).toBe(0);
  expect(readFileSync(config, 'utf8')).toContain(comment);
  expect(loadFarm(directory).nodes).toHaveLength(50);
});

it('a lock whose owner was killed is taken over', () => {
  const dead = spawn('true');
  return once(dead, 'exit').then(() => {
    writeFileSync(`${config}.lock`, String(dead.pid));
    execFileSync(command, ['-C', directory, 'add-node', ...macs(0, 1)]);
    expect(loadFarm(directory).nodes).toHaveLength(1);
  });
});
