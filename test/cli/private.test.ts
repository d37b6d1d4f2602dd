// farm private takes node sets, and by name what is left of nodes that the farm has no more.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, it } from 'vitest';
import { privateCommand } from '../../src/cli/private.ts';
import { privateTrees } from '../../src/farm/private-trees.ts';
import { runCommand } from '../support/run-command.ts';

const directory = mkdtempSync(join(tmpdir(), 'farm-private-'));
afterAll(() => rmSync(directory, { recursive: true }));
beforeEach(() => {
  rmSync(join(directory, 'state'), { recursive: true, force: true });
  for (const name of ['n1', 'n2', 'n3', 'gone']) mkdirSync(join(directory, 'state/private', name), { recursive: true });
  writeFileSync(
    join(directory, 'farm.yaml'),
    `name: lab
networks: { main: { interface: eth1, address: 10.11.0.1/24 } }
nodes:
${[1, 2, 3].map((id) => `  n${id}: { id: ${id}, mac: "52:54:00:00:00:0${id}", ip: 10.11.0.1${id}${id === 1 ? '' : ', tags: [big]'} }\n`).join('')}`,
  );
});

const farm = (...words: string[]) => runCommand(privateCommand(), directory, ['private', ...words]);
const listed = async (...words: string[]): Promise<string> =>
  JSON.parse((await farm('list', '--json', ...words)).stdout)
    .map(({ node }: { readonly node: string }) => node)
    .join(' ');

it.each([
  [[], 'gone n1 n2 n3'],
  [['n[1-2]'], 'n1 n2'],
  [['@big', 'gone'], 'n2 n3 gone'],
  [['all', '-x', 'n2'], 'n1 n3'],
  [['-x', '@big'], 'gone n1'],
  [['-x', 'gone'], 'n1 n2 n3'],
])('list %j: %s', async (words, names) => {
  expect(await listed(...words)).toBe(names);
});

it('list knows no other names', async () => {
  expect(await farm('list', 'gnoe')).toMatchObject({ status: 2, stderr: expect.stringContaining('this farm has no node gnoe') });
});

it('wipe forgets a set, and what is left of a node', async () => {
  expect((await farm('wipe', '@big', 'gone', '-x', 'n3', '--yes')).stdout).toBe('n2 begins anew at its next boot\ngone begins anew at its next boot\n');
  expect(privateTrees(directory)).toEqual(['n1', 'n3']);
  expect(await farm('wipe', 'n1', '-x', 'all', '--yes')).toMatchObject({ status: 2, stderr: expect.stringContaining('no node is left') });
});
