// What commands that change farm.yaml have in common: --dry-run and the difference it shows.
import { createTwoFilesPatch } from 'diff';
import { configFile } from '../farm/config.ts';
import type { EditedConfig } from '../farm/edit.ts';

export const dryRunOption = ['--dry-run', 'show what farm.yaml would become, and change nothing'] as const;

/** A unified diff; nothing if nothing changes. */
export function printDifference({ before, after }: EditedConfig): void {
  if (before === after) return;
  const patch = createTwoFilesPatch(configFile, configFile, before, after, 'now', 'then', { context: 1 });
  process.stdout.write(patch.slice(patch.indexOf('---')));
}
