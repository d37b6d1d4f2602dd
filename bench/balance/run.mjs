// npm run bench:balance: the rules of balancing on a virtual clock, 1 to 2,000 nodes, next to static placement and to a scheduler that knows all. Writes the
// tables of docs/balancing.md; minutes, most of them for 2,000 nodes. [--nodes 10,100]: only these, and only printed.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const folder = mkdtempSync(join(tmpdir(), 'farm-balance-bench-'));
try {
  const outfile = join(folder, 'measure.mjs');
  const entry = fileURLToPath(new URL('measure.ts', import.meta.url));
  await build({ entryPoints: [entry], outfile, bundle: true, platform: 'node', format: 'esm', target: 'node20', logLevel: 'error' });
  const { main } = await import(pathToFileURL(outfile).href);
  main(fileURLToPath(new URL('../../docs/balancing.md', import.meta.url)), process.argv.slice(2));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
