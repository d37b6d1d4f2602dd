// Every command of farm, as src/cli has them.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { top } from '../reference/logged.ts';

/** What every function `xCommand(): Command` of src/cli makes. */
export async function commands(): Promise<readonly Command[]> {
  const found: Command[] = [];
  for (const file of readdirSync(join(top, 'src/cli'))) {
    if (file === 'main.ts') continue; // it runs the program
    const module: Readonly<Record<string, unknown>> = await import(join(top, 'src/cli', file));
    for (const [name, make] of Object.entries(module)) {
      if (!name.endsWith('Command') || typeof make !== 'function') continue;
      found.push(...[make()].flat().filter((made) => made instanceof Command));
    }
  }
  return found;
}
