// The program of a node in one file, with what it needs of src/.
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

export const jobFile = fileURLToPath(new URL('job.pl', import.meta.url));

/** Writes it to `outfile`. */
export async function bundleNode(outfile) {
  await build({
    entryPoints: [fileURLToPath(new URL('node.ts', import.meta.url))],
    ...{ outfile, bundle: true, platform: 'node', format: 'esm', target: 'node18', logLevel: 'error' },
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  });
}
