// npm run bench:cluster: the rules of the cluster on a virtual clock, 10 to 2,000 nodes, next to the closed formulas. Writes the table and the plot
// into docs/cluster.md and docs/cluster-age.svg. [--nodes 10,100] [--print]; minutes, most of them for 2,000 nodes.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const folder = mkdtempSync(join(tmpdir(), 'farm-cluster-bench-'));
try {
  const outfile = join(folder, 'simulate.mjs');
  const entry = fileURLToPath(new URL('simulate.ts', import.meta.url));
  await build({ entryPoints: [entry], outfile, bundle: true, platform: 'node', format: 'esm', target: 'node20', logLevel: 'error' });
  const { main } = await import(pathToFileURL(outfile).href);
  main(fileURLToPath(new URL('../../docs/', import.meta.url)), process.argv.slice(2));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
