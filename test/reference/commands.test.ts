// docs/reference/commands.md against the program: each command has a section, which has its arguments, its options and an exit status.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { commands } from '../support/commands.ts';
import { top } from './logged.ts';

interface Wanted {
  /** `farm lab up` */
  readonly path: string;
  readonly words: readonly string[];
}

function wanted(command: Command, above: string): readonly Wanted[] {
  const path = `${above} ${command.name()}`;
  const parts = command.commands.flatMap((part) => wanted(part, path));
  const options = command.options.flatMap(({ long, short }) => [long, short].filter((flag) => flag !== undefined && flag !== null));
  const values = command.registeredArguments.map((argument) => argument.name());
  return [{ path, words: [...options, ...values] }, ...parts];
}

/** The text below each heading, up to the next. */
function sections(): ReadonlyMap<string, string> {
  const text = readFileSync(join(top, 'docs/reference/commands.md'), 'utf8');
  return new Map(text.split(/^##+ /m).map((section) => [section.split('\n', 1)[0] ?? '', section]));
}

describe('docs/reference/commands.md', async () => {
  const all = (await commands()).flatMap((command) => wanted(command, 'farm'));
  const described = sections();

  it('has a section for every command, and for no other', () => {
    const headings = [...described.keys()].filter((heading) => heading.startsWith('farm '));
    expect(headings.sort()).toEqual(all.map(({ path }) => path).sort());
    expect(all.length).toBeGreaterThan(10);
  });

  it('tells every option and argument in its section', () => {
    const untold = all.flatMap(({ path, words }) =>
      words.filter((word) => !new RegExp(`(^|[^\\w-])${word}($|[^\\w-])`, 'm').test(described.get(path) ?? '')).map((word) => `${path}: ${word}`),
    );
    expect(untold).toEqual([]);
  });

  it('tells the options of farm itself', () => {
    const flags = [...readFileSync(join(top, 'src/cli/main.ts'), 'utf8').matchAll(/'(-\w), (--[\w-]+)/g)].flatMap(([, short = '', long = '']) => [short, long]);
    expect(flags.length).toBeGreaterThan(0);
    const general = described.get('Finding the farm') ?? '';
    expect(flags.filter((flag) => !general.includes(flag))).toEqual([]);
  });
});
