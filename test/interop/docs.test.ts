// Every command in README and docs/*.md is run, one page after the other as a reader would, and prints what the page shows. What cannot be run here is
// listed with the reason and the place where it is.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Documented, documentedCommands, isShown } from '../support/documented.ts';
import { makeImage } from '../support/made-image.ts';

const top = fileURLToPath(new URL('../..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'farm-docs-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const elsewhere: readonly (readonly [RegExp, string])[] = [
  [/^npm (run demo|test)/, 'boots machines: test/boot/lab.test.ts'],
  [/^npm install/, 'changes this machine: the package is tried by hand'],
  [/^farm image build/, 'takes minutes: test/boot/image.test.ts; what goes on from it has a made one'],
  [/^farm image import/, 'needs a root: test/interop/image-import.test.ts'],
  [/^farm image (diff|rollback)/, 'needs two versions: test/cli/image.test.ts'],
  [/^farm image (shell|exec)/, 'needs a whole root: test/interop/image-enter.test.ts'],
  [/^npm run package:deb/, 'needs the source tree: test/interop/package-deb.test.ts'],
  [/^farm serve/, 'needs the card eth1: test/interop/serve.test.ts, http-nginx.test.ts'],
  [/^farm doctor/, 'finds no card eth1: test/interop/doctor.test.ts'],
  [/^farm add-node --discover/, 'waits for machines: test/farm/register.test.ts and by hand'],
  [/^farm status --watch/, 'runs until stopped: test/interop/status-watch.test.ts'],
  [/^farm (ssh|power|log|ctl)\b/, 'needs nodes or a journal: test/cli/ssh.test.ts, test/interop/power.test.ts, test/cli/log.test.ts'],
  [/^farm init \/srv\//, 'writes into /srv: as the other pages do in a directory of their own'],
  [/^farm unit >/, 'writes into /etc: test/interop/unit.test.ts'],
  [/^farm nginx --out/, 'writes into /etc: test/interop/http-nginx.test.ts'],
  [/^farm dhcp why 52:54:00:99/, 'of a farm with other networks: test/farm/explain-dhcp.test.ts'],
  [/^farm private (diff|wipe) n1/, 'needs what a node has written: test/interop/private-sync.test.ts'],
  [/^kill -KILL/, 'stops a server: test/interop/leases.test.ts'],
  [/^(systemctl|nginx|useradd|chown|apt-get|ip|journalctl)\b/, 'not ours'],
];

/** Pages that begin with a farm of this kind, instead of making one. */
const prepared = ['operating.md', 'booting.md', 'balancing.md', 'cluster.md', 'architecture.md', 'benchmarks.md'];
const pages = ['README.md', ...readdirSync(join(top, 'docs')).filter((name) => name.endsWith('.md'))];
const path = (page: string): string => join(top, page === 'README.md' ? '' : 'docs', page);
const env = { ...process.env, PATH: `${join(scratch, '.bin')}:${process.env['PATH']}`, COLUMNS: '200' };

beforeAll(() => {
  mkdirSync(join(scratch, '.bin'));
  symlinkSync(join(top, 'bin/farm'), join(scratch, '.bin/farm'));
});

async function preparedFarm(directory: string): Promise<void> {
  execFileSync('farm', ['init', directory, '--name', 'lab', '--interface', 'eth1', '--address', '10.11.0.1/24'], { env, stdio: 'ignore' });
  const macs = Array.from({ length: 8 }, (_, index) => `52:54:00:12:34:0${index + 1}`);
  execFileSync('farm', ['-C', directory, 'add-node', ...macs, '--tag', 'gpu'], { env, stdio: 'ignore' });
  await makeDebian(directory);
}

/** undefined: it was done by hand here, or is elsewhere. */
function run(cwd: string, { command, output }: Documented): { readonly printed: string; readonly status: number | null } | undefined {
  const [, file] = /^cat (\S+)$/.exec(command) ?? [];
  if (file !== undefined && output !== undefined) {
    writeFileSync(join(cwd, file), `${output}\n`);
    return undefined;
  }
  const { stdout, stderr, status } = spawnSync('sh', ['-c', command], { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 30_000 });
  return { printed: `${stderr}${stdout}`, status };
}

describe.each(pages)('%s', (page) => {
  const commands = documentedCommands(readFileSync(path(page), 'utf8'));

  it(`has ${commands.length} commands, and what can be run here works`, async () => {
    const directory = join(scratch, page);
    mkdirSync(directory);
    if (prepared.includes(page)) await preparedFarm(directory);
    expect(await wrongOf(page, directory, commands)).toEqual([]);
  });
});

async function wrongOf(page: string, directory: string, commands: readonly Documented[]): Promise<readonly string[]> {
  let cwd = directory;
  const wrong: string[] = [];
  for (const documented of commands) {
    const { command, line, output } = documented;
    const [, below] = /^cd (\S+)$/.exec(command) ?? [];
    if (below !== undefined) cwd = resolve(cwd, below);
    else if (/^farm image build *$/.test(command) && !prepared.includes(page)) await makeDebian(cwd);
    if (below !== undefined || elsewhere.some(([pattern]) => pattern.test(command))) continue;
    const ran = run(cwd, documented);
    const isRight = ran === undefined || (ran.status === 0 && (output === undefined || prepared.includes(page) || isShown(output, ran.printed)));
    if (!isRight) wrong.push(`${page}:${line}: ${command}\n${ran.printed}(status ${ran.status})`);
  }
  return wrong;
}

async function makeDebian(directory: string): Promise<void> {
  await makeImage(join(directory, 'images'), { name: 'debian-13', files: { 'etc/hostname': 'x' } });
}

it('nothing is listed as elsewhere that stands nowhere', () => {
  const all = pages.flatMap((page) => documentedCommands(readFileSync(path(page), 'utf8')).map(({ command }) => command));
  expect(all.length).toBeGreaterThan(50);
  const unused = elsewhere.filter(([pattern]) => !all.some((command) => pattern.test(command)));
  expect(unused.map(([pattern]) => String(pattern))).toEqual([]);
});
