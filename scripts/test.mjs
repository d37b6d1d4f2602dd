// npm test: lint, types, dead code, then unit, interop and boot tests. `npm test -- unit` runs only one project; CI runs all and skips nothing.
import { spawnSync } from 'node:child_process';
import { bootPackages, interopPackages, ready, top } from './ready.mjs';

const projects = process.argv.slice(2).filter((word) => !word.startsWith('-'));
const wanted = projects.length === 0 ? ['unit', 'interop', 'boot'] : projects;
ready([...(wanted.includes('boot') ? bootPackages : []), ...(wanted.includes('interop') ? interopPackages : [])]);

check('biome', 'check', '--error-on-warnings');
check('tsc', '--noEmit');
check('knip');
// Unit tests on both cores of CI; the others have the machine to themselves.
if (wanted.includes('unit')) check('vitest', 'run', '--project', 'unit', '--maxWorkers', '2');
const alone = wanted.filter((name) => name !== 'unit');
if (alone.length > 0) check('vitest', 'run', ...alone.flatMap((name) => ['--project', name]));

/** Runs one of the project's own tools; ends with its status if it complains. */
function check(tool, ...args) {
  console.log(`\n> ${[tool, ...args].join(' ')}`);
  const { status, error } = spawnSync('npx', ['--no-install', tool, ...args], { cwd: top, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 2);
}
