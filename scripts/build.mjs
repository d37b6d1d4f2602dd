// Compiles src/ to dist/ and bundles the node agent into one file. Run by `npm run build` and, through `prepare`, by `npm install`.
import { execFileSync } from 'node:child_process';
import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { noticesOf } from './production-packages.mjs';

const top = fileURLToPath(new URL('..', import.meta.url));
rmSync(join(top, 'dist'), { recursive: true, force: true });
execFileSync(process.execPath, [join(top, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'], { cwd: top, stdio: 'inherit' });

const { build } = await import('esbuild');
// Nodes of Debian 12 and Ubuntu 24.04 have Node 18.
const common = { bundle: true, platform: 'node', format: 'esm', target: 'node18', logLevel: 'warning' };
await build({ ...common, entryPoints: [join(top, 'src/agent/main.ts')], outfile: join(top, 'dist/agent/farm-agent.mjs') });
// Run under several names, so it has to say itself what runs it. Small, because it is read anew for every mosctl.
const shebang = { js: '#!/usr/bin/node' };
await build({ ...common, minify: true, banner: shebang, entryPoints: [join(top, 'src/agent/tools/main.ts')], outfile: join(top, 'dist/agent/farm-tools.mjs') });
copyFileSync(join(top, 'src/agent/tools/mosrun'), join(top, 'dist/agent/mosrun'));

// The command and the programs that it starts, over what tsc made of them: Node takes a quarter of a second to find and read 500 files, for every Tab.
// All of it stays one folder below dist/, as it is below src/: the package's own files are found from there.
const cli = await build({
  ...common,
  target: 'node20',
  entryPoints: ['cli/main', 'farm/nfs-process', 'lab/supervisor'].map((name) => join(top, `src/${name}.ts`)),
  outbase: join(top, 'src'),
  outdir: join(top, 'dist'),
  chunkNames: 'parts/[name]-[hash]',
  splitting: true,
  // Packages of CommonJS ask for Node's own modules by it.
  banner: { js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);" },
  metafile: true,
});
const copied = Object.values(cli.metafile.outputs).flatMap(({ inputs }) => Object.keys(inputs).filter((file) => inputs[file].bytesInOutput > 0));
writeFileSync(join(top, 'dist/licences.txt'), noticesOf(copied));
if (process.argv.includes('--metafile')) writeFileSync(join(top, 'dist/meta.json'), JSON.stringify(cli.metafile));
