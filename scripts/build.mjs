// Compiles src/ to dist/ and bundles the node agent into one file. Run by `npm run build` and, through `prepare`, by `npm install`.
import { execFileSync } from 'node:child_process';
import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

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
