// Registry commands where nothing can be written: a clear error, status 2, and farm.yaml as it was, to the letter, with nothing left beside it.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const command = join(fileURLToPath(new URL('../..', import.meta.url)), 'bin', 'farm');
const scratch = mkdtempSync(join(tmpdir(), 'farm-refused-'));
const directory = join(scratch, 'lab');
afterAll(() => rmSync(scratch, { recursive: true }));
beforeAll(() => {
  chmodSync(scratch, 0o755);
  execFileSync(command, ['init', directory, '--interface', 'eth1', '--address', '10.11.0.1/24']);
  execFileSync(command, ['-C', directory, 'add-node', '52:54:00:00:00:01', '52:54:00:00:00:02']);
  mkdirSync(join(directory, 'state/private/n1'), { recursive: true });
});

const orders: readonly (readonly string[])[] = [
  ['add-node', '52:54:00:00:00:03'],
  ['node', 'set', 'n1', 'profile=default'],
  ['node', 'rename', 'n1', 'm1'],
  ['node', 'remove', 'n2'],
  ['private', 'wipe', 'n1', '--yes'],
  ['render', '--out', join(directory, 'out')],
  ['init', join(directory, 'second'), '--interface', 'eth2', '--address', '10.12.0.1/24'],
];

/** All names below the farm and the text of farm.yaml. */
function shape(): readonly string[] {
  return [
    ...readdirSync(directory, { recursive: true, encoding: 'utf8' })
      .filter((name) => !name.includes('ssh-host-keys'))
      .sort(),
    readFileSync(join(directory, 'farm.yaml'), 'utf8'),
  ];
}

/** `words` of farm where `setup` has been done in a mount namespace of its own, through `as`. */
function refused(setup: string, as: readonly string[], words: readonly string[]): string {
  const before = shape();
  const given = ['-m', 'sh', '-c', `mount --make-rprivate / && ${setup} && exec "$@"`, 'sh', ...as, command, '-C', directory, ...words];
  const { stderr, stdout, status } = spawnSync('unshare', given, { encoding: 'utf8', timeout: 30_000 });
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  expect(shape()).toEqual(before);
  expect(stderr).not.toMatch(/^ +at /m);
  expect(stderr.length).toBeLessThan(400);
  return stderr.trim();
}

describe.each(orders.map((words) => [words.join(' ').replaceAll(directory, 'LAB'), words] as const))('farm %s', (_text, words) => {
  it('is refused in a read-only farm directory', () => {
    expect(refused(`mount --bind ${directory} ${directory} && mount -o remount,bind,ro ${directory}`, [], words)).toMatch(/^farm: .*read-only/is);
  });

  it('is refused to a user whom the farm is not', () => {
    expect(refused('true', ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'], words)).toMatch(
      /^farm: .*(permission|not allowed|may not|EACCES)/is,
    );
  });
});

const hundred = ['add-node', ...Array.from({ length: 100 }, (_, index) => `52:54:00:00:01:${index.toString(16).padStart(2, '0')}`)];

it.each([
  ['full', 0, hundred],
  // Room for the lock and for half of the text.
  ['nearly full', 8192, hundred],
  ['full', 0, ['node', 'set', 'all', 'kernel_args=[quiet]']],
] as const)('a %s disk (%i bytes left) leaves farm.yaml as it was, and nothing beside it', (_how, left, words) => {
  const script = `mount --make-rprivate / && mount -t tmpfs -o size=256k none /mnt && cp -a "$1"/. /mnt && shift
ls -A /mnt > /dev/shm/$$.before; cp /mnt/farm.yaml /dev/shm/$$.yaml
cat /dev/zero > /mnt/fill 2> /dev/null; truncate -s -${left} /mnt/fill
"$@"
echo "status $?"
rm /mnt/fill; ls -A /mnt | cmp - /dev/shm/$$.before && cmp /mnt/farm.yaml /dev/shm/$$.yaml && echo same
rm /dev/shm/$$.*`;
  const { stdout, stderr } = spawnSync('unshare', ['-m', 'sh', '-c', script, 'sh', directory, command, '-C', '/mnt', ...words], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  expect(stdout).toBe('status 2\nsame\n');
  expect(stderr).toMatch(/^farm: .*no space left on device[\s\S]*the disk is full: df -h\n$/i);
});
