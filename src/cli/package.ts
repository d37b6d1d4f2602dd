// Where the program's own files are: templates, recipes and the agent lie beside dist/.
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { delimiter, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mosrunNames } from '../agent/jobs/mosrun-options.ts';
import { FarmError } from '../base/errors.ts';
import type { OverlayFile } from '../tree/graft.ts';

/** The package's top directory, from dist/cli/ and from src/cli/ alike. */
const top = fileURLToPath(new URL('../..', import.meta.url));

export const builtinOverlay: string = join(top, 'templates', 'root');
export const commandPath: string = join(top, 'bin', 'farm');

/** What to type for this program from here: `farm` where it is installed, else its path. */
export function commandName(): string {
  const installed = (process.env['PATH'] ?? '').split(delimiter).some((directory) => {
    const candidate = join(directory, 'farm');
    return existsSync(candidate) && realpathSync(candidate) === realpathSync(commandPath);
  });
  return installed ? 'farm' : relative(process.cwd(), commandPath);
}

/** The iPXE script's template. */
export function scriptTemplate(): { readonly text: string; readonly origin: string } {
  const origin = join(top, 'templates', 'boot', 'node.ipxe.hbs');
  return { origin, text: readFileSync(origin, 'utf8') };
}

/** The names of the tools in farm-tools.mjs, which looks at what it was called by. */
const toolNames: readonly string[] = ['setpe', 'showmap', 'mosctl', 'mosmon', 'mps', 'mtop', 'migrate', 'why'];

/** Files that every node gets and no template directory holds. */
export function programFiles(): readonly OverlayFile[] {
  const common = { mode: 0o755, uid: 0, gid: 0 };
  const links = (program: string, names: readonly string[]) =>
    names.map((name): OverlayFile => {
      const target = `../lib/farm/${program}`;
      return { ...common, path: `usr/bin/${name}`, body: { kind: 'symlink', target }, size: target.length, origin: program };
    });
  const names = [...links('farm-tools.mjs', toolNames), ...links('mosrun', mosrunNames)];
  return [...['farm-agent.mjs', 'farm-tools.mjs', 'mosrun'].map((name) => ({ ...common, ...bundled(name) })), ...names];
}

function bundled(name: string): Pick<OverlayFile, 'path' | 'body' | 'size' | 'origin'> {
  const from = join(top, 'dist', 'agent', name);
  if (!existsSync(from)) throw new FarmError('agent.missing', `the node agent's ${from} is not built`, 'run: npm run build');
  return { path: `usr/lib/farm/${name}`, body: { kind: 'file', path: Buffer.from(from) }, size: statSync(from).size, origin: from };
}

export function version(): string {
  const { version: text }: { version: string } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8'));
  return text;
}
