// Overlay directories read from disk; a file in a later directory takes the place of the same path in an earlier one.
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { systemCode } from '../base/errors.ts';
import { type OverlaySource, templateSuffix } from './render.ts';

/** Larger files are not held in memory but served from where they are. */
const inlineLimit = 256 * 1024;

/** Reads `directories`, lowest first; one that does not exist counts as empty. */
export function readOverlaySources(directories: readonly string[]): readonly OverlaySource[] {
  const sources = new Map<string, OverlaySource>();
  for (const directory of directories) {
    for (const source of walk(directory, '')) {
      sources.set(landingPath(source), source);
    }
  }
  return [...sources.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** `hosts` and `hosts.hbs` are the same file for whoever replaces it. */
export function landingPath({ path }: OverlaySource): string {
  return path.endsWith(templateSuffix) ? path.slice(0, -templateSuffix.length) : path;
}

function* walk(top: string, below: string): Iterable<OverlaySource> {
  let names: string[];
  try {
    names = readdirSync(join(top, below)).sort();
  } catch (error) {
    if (below === '' && systemCode(error) === 'ENOENT') return;
    throw error;
  }
  for (const name of names) {
    const path = below === '' ? name : `${below}/${name}`;
    const origin = join(top, path);
    const stat = lstatSync(origin);
    const common = { path, origin, mode: stat.mode & 0o7777, size: 0 };
    if (stat.isDirectory()) yield* walk(top, path);
    else if (stat.isSymbolicLink()) yield { ...common, body: { kind: 'symlink', target: readlinkSync(origin) } };
    else if (path.endsWith(templateSuffix)) yield { ...common, body: { kind: 'template', text: readFileSync(origin, 'utf8') } };
    else if (stat.size > inlineLimit) yield { ...common, body: { kind: 'file', path: Buffer.from(origin) }, size: stat.size };
    else yield { ...common, body: { kind: 'bytes', bytes: readFileSync(origin) }, size: stat.size };
  }
}
