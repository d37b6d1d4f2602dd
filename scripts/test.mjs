// npm test: lint, types, layers, then unit, interop and boot tests. `npm test -- unit` runs only one project; CI runs all and skips nothing.
import { bootPackages, interopPackages, ready, run } from './ready.mjs';

const projects = process.argv.slice(2).filter((word) => !word.startsWith('-'));
const wanted = projects.length === 0 ? ['unit', 'interop', 'boot'] : projects;
ready([...(wanted.includes('boot') ? bootPackages : []), ...(wanted.includes('interop') ? interopPackages : [])]);

run('npx', ['biome', 'check', '--error-on-warnings']);
run('npx', ['tsc', '--noEmit']);
run('npx', ['knip']);
run('npx', ['vitest', 'run', ...wanted.flatMap((name) => ['--project', name])]);
