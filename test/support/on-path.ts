// A program of the test's own in front of the system's on PATH. It keeps each call's arguments as a line of JSON.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Stand {
  /** For children that are given an environment of their own. */
  readonly path: string;
  readonly directory: string;
  readonly calls: () => readonly (readonly string[])[];
  readonly remove: () => void;
}

/** `body` is JavaScript with `args`, `process`, and `env`; it is run for each call. PATH is changed until `remove`. */
export function standIn(name: string, body: string): Stand {
  const directory = mkdtempSync(join(tmpdir(), `farm-${name}-`));
  const log = join(directory, 'calls');
  writeFileSync(log, '');
  const program = `#!${process.execPath}
const args = process.argv.slice(2);
const { env } = process;
require('node:fs').appendFileSync(${JSON.stringify(log)}, JSON.stringify(args) + '\\n');
${body}
`;
  writeFileSync(join(directory, name), program, { mode: 0o755 });
  const before = process.env['PATH'] ?? '';
  const path = `${directory}:${before}`;
  process.env['PATH'] = path;
  return {
    path,
    directory,
    calls: () =>
      readFileSync(log, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line): readonly string[] => JSON.parse(line)),
    remove: () => {
      process.env['PATH'] = before;
      rmSync(directory, { recursive: true });
    },
  };
}
