// Three small machines between which jobs move, for the boot tests of migration: n1, n2 and n3 with /home shared, and scripts of the test's in /root/test.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import type { Lab } from '../../src/lab/lab.ts';
import { farm, labOf, makeFarm, onConsole, until } from './farm-under-test.ts';

export const names = ['n1', 'n2', 'n3'] as const;
export type Name = (typeof names)[number];

const bootSeconds = 500;
const memoryMiB = 512;
export interface ThreeNodes {
  readonly lab: Lab;
  /** /home of all nodes, as the server has it. */
  readonly home: string;
  on(name: Name, line: string, seconds?: number): Promise<string>;
  /** On all three at once, in order. */
  onAll(line: string, seconds?: number): Promise<readonly string[]>;
}

/** `files`, asked once the image is built: by path below the root of every node, what stands there. */
export async function startThreeNodes(name: string, files: () => Readonly<Record<string, string | Buffer>>): Promise<ThreeNodes> {
  const directory = makeFarm(name);
  farm(directory, 'add-node', ...names.map((_, index) => `52-54-00-AA-02-0${index + 1}`));
  const config = join(directory, 'farm.yaml');
  const text = parseDocument(readFileSync(config, 'utf8'));
  text.setIn(['profiles', 'default', 'shared'], [{ path: '/home', squash: 'none' }]);
  writeFileSync(config, String(text));
  for (const [path, content] of Object.entries(files())) {
    const file = join(directory, 'overlays', 'root', path);
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, content, { mode: 0o755 });
  }
  const lab = await labOf(directory, { memoryMiB });
  const on = (machine: Name, line: string, seconds = 120): Promise<string> => onConsole(lab, machine, line, seconds);
  const onAll = (line: string, seconds?: number): Promise<readonly string[]> => Promise.all(names.map((machine) => on(machine, line, seconds)));
  await until(directory, names, ({ stage }) => stage === 'up', bootSeconds);
  await onAll('until journalctl -u farm-agent | grep -q migration.started; do sleep 1; done', 240);
  return { lab, home: join(directory, 'shared', 'home'), on, onAll };
}
