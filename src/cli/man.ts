// farm man: the manual pages of all commands, for a package or this machine's man(1).
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { manPages } from './man-page.ts';
import { version } from './package.ts';

export function manCommand(): Command {
  return new Command('man')
    .description('write a manual page for every command')
    .requiredOption('--out <dir>', 'where to, such as /usr/local/share/man/man1')
    .action(({ out }: { out: string }, command: Command) => {
      const pages = manPages(rootOf(command), version());
      mkdirSync(out, { recursive: true });
      for (const { file, text } of pages) writeFileSync(join(out, file), text);
      console.log(`${pages.length} pages in ${out}; read one with: man -l ${join(out, 'farm.1')}`);
    });
}

function rootOf(command: Command): Command {
  return command.parent === null ? command : rootOf(command.parent);
}
