// What --help says of every command, to the letter: a change of it is seen in a diff. `npm run golden` writes it anew.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { expect, it } from 'vitest';
import { commands } from '../support/commands.ts';
import { top } from './logged.ts';

/** Whatever the terminal. */
const columns = 120;

function helpOf(command: Command, path: string): readonly string[] {
  command.configureOutput({ getOutHelpWidth: () => columns, getOutHasColors: () => false });
  return [`=== ${path} --help\n${command.helpInformation()}`, ...command.commands.flatMap((part) => helpOf(part, `${path} ${part.name()}`))];
}

it('--help of every command says what the golden file does', async () => {
  const program = new Command('farm');
  for (const command of await commands()) program.addCommand(command);
  const help = program.commands.map((command) => helpOf(command, `farm ${command.name()}`).join('\n')).sort();
  const golden = join(top, 'test/golden/help.txt');
  if (process.env['UPDATE_GOLDEN'] !== undefined) writeFileSync(golden, help.join('\n'));
  expect(help.join('\n')).toBe(readFileSync(golden, 'utf8'));
  expect(help.length).toBeGreaterThan(20);
});
