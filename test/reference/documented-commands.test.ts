// Every `farm` command in the documentation is one that the program takes: its name, its options, as many arguments as it wants.
// test/interop/docs.test.ts runs those that can be run.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { expect, it } from 'vitest';
import { commands } from '../support/commands.ts';
import { documentedCommands } from '../support/documented.ts';
import { top } from './logged.ts';

const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(top, 'docs'), { recursive: true, encoding: 'utf8' }).map((name) => join('docs', name)),
].filter((name) => name.endsWith('.md'));

/** As a shell splits it, up to a comment, a pipe or the next command. */
function words(line: string): readonly string[] {
  const found: string[] = [];
  for (const [part, double, single] of line.matchAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'|\$\([^)]*\)|[^\s"'|>;&]+|[|>;&]/g)) {
    if (/^[|>;&]$/.test(part) || part.startsWith('#')) break;
    found.push(double ?? single ?? part);
  }
  return found;
}

/** What is wrong with it; undefined: nothing. */
function fault(program: Command, [, ...given]: readonly string[]): string | undefined {
  let command = program;
  let rest = [...given];
  if (rest[0] === '-C') rest = rest.slice(2);
  for (
    let next = command.commands.find((each) => each.name() === rest[0]);
    next !== undefined;
    next = command.commands.find((each) => each.name() === rest[0])
  ) {
    command = next;
    rest = rest.slice(1);
  }
  if (command === program || (command.commands.length > 0 && rest[0]?.startsWith('-') !== true))
    return rest.length === 0 ? undefined : `there is no command ${rest[0]}`;
  try {
    const { operands, unknown } = command.parseOptions(rest);
    const far = unknown.filter((word) => word.startsWith('-') && word !== '--help' && word !== '-h' && word !== '--');
    if (far.length > 0 && !rest.includes('--')) return `it has no option ${far.join(' ')}`;
    const count = operands.length + unknown.filter((word) => !word.startsWith('-')).length;
    const least = command.registeredArguments.filter(({ required }) => required).length;
    const isMany = command.registeredArguments.some(({ variadic }) => variadic);
    if (count < least || (!isMany && count > command.registeredArguments.length)) return `it has ${count} arguments`;
  } catch (error) {
    if (error instanceof CommanderError) return error.message;
    throw error;
  }
  return undefined;
}

it('every farm command in the documentation is one that there is', async () => {
  const program = new Command('farm');
  for (const command of await commands()) program.addCommand(command);
  const silence = (command: Command): void => {
    command.exitOverride().configureOutput({ writeErr: () => undefined });
    command.commands.forEach(silence);
  };
  silence(program);
  let count = 0;
  const wrong = pages.flatMap((page) =>
    documentedCommands(readFileSync(join(top, page), 'utf8')).flatMap(({ command, line }) => {
      // A synopsis, `farm add-node [mac...] [--name NAME]`, is compared with the program by commands.test.ts.
      if (!command.startsWith('farm ') || /\[[a-z-]|<[a-z]|\.\.\./.test(command)) return [];
      count++;
      const why = fault(program, words(command));
      return why === undefined ? [] : [`${page}:${line}: ${command}: ${why}`];
    }),
  );
  expect(wrong).toEqual([]);
  expect(count).toBeGreaterThan(80);
});
