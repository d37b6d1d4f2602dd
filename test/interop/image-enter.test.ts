// farm image shell and exec with the real mounts, and what a full disk, a read-only one, a wrong owner and a kill do to images: nothing.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseMtree } from '../../src/image/mtree.ts';
import { verifyVersion } from '../../src/image/verify.ts';
import { makeImage } from '../support/made-image.ts';
import { makeTinyRoot } from '../support/tiny-root.ts';

const command = fileURLToPath(new URL('../../bin/farm', import.meta.url));
const nobody = 65534;

let top: string;
let farm: string;
let images: string;
let first: string;

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(args: readonly string[], options: { readonly input?: string; readonly as?: number } = {}): Outcome {
  const as = options.as === undefined ? {} : { uid: options.as, gid: options.as };
  const { status, stdout, stderr } = spawnSync(process.execPath, [command, '-C', farm, ...args], { encoding: 'utf8', input: options.input ?? '', ...as });
  return { status, stdout, stderr };
}

function current(): string {
  return readlinkSync(join(images, 'tiny/current'));
}

function paths(version: string): readonly string[] {
  return parseMtree(readFileSync(join(images, 'tiny', version, 'root.mtree'))).map(({ path }) => path);
}

/** What is in the image's directory besides versions and their links. */
function left(): readonly string[] {
  return readdirSync(join(images, 'tiny')).filter((name) => name.startsWith('.'));
}

function expectWhole(): void {
  for (const version of readdirSync(join(images, 'tiny')).filter((name) => /^[0-9a-f]{12}$/.test(name))) {
    const directory = join(images, 'tiny', version);
    expect(verifyVersion(directory, version, JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8')), () => {})).toEqual([]);
  }
  expect(readFileSync('/proc/mounts', 'latin1')).not.toContain(`${images}/tiny`);
}

beforeAll(async () => {
  top = mkdtempSync(join(tmpdir(), 'farm-enter-'));
  chmodSync(top, 0o755);
  farm = join(top, 'farm');
  // A disk of its own, small enough to be filled.
  mkdirSync(farm);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=96m,mode=0755', 'tmpfs', farm]);
  execFileSync(process.execPath, [command, 'init', farm, '--name', 'tiny', '--interface', 'lo', '--address', '10.11.0.1/24']);
  images = join(farm, 'images');
  await makeImage(images, { name: 'donor', files: {} });
  makeTinyRoot(join(top, 'root'));
  expect(run(['image', 'import', 'tiny', join(top, 'root')])).toMatchObject({ status: 0 });
  first = current();
});
afterAll(() => {
  spawnSync('mount', ['-o', 'remount,rw', farm]);
  execFileSync('umount', [farm]);
  rmSync(top, { recursive: true });
});
beforeEach(() => {
  if (current() !== first) run(['image', 'use', `tiny/${first}`]);
});

describe('a command in an image', () => {
  it('makes a new version of what it changes, with all that it left alone as it was', () => {
    const { status, stdout, stderr } = run([
      'image',
      'exec',
      'tiny',
      '--',
      'sh',
      '-c',
      'echo hello; echo new >/etc/new; rm /etc/os-release; echo x >/tmp/t; echo x >/var/lib/apt/lists/deb_main_Packages',
    ]);
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'hello\n' });
    const version = current();
    expect(version).not.toBe(first);
    expect(stderr).toContain(`image tiny ${version}, made of ${first}, is current\n`);
    expect(readlinkSync(join(images, 'tiny/previous'))).toBe(first);
    const diff = JSON.parse(run(['image', 'diff', `tiny/${first}`, 'tiny', '--json']).stdout);
    expect(diff.files).toEqual([
      { path: 'etc/new', change: 'added', what: [] },
      { path: 'etc/os-release', change: 'removed', what: [] },
    ]);
    expect(paths(version)).toEqual(paths(first).flatMap((path) => (path === 'etc/os-release' ? [] : path === 'etc/one' ? ['etc/new', path] : [path])));
    const [before, after] = [first, version].map((each) => parseMtree(readFileSync(join(images, 'tiny', each, 'root.mtree'))));
    expect(after?.find(({ path }) => path === 'bin/busybox')).toEqual(before?.find(({ path }) => path === 'bin/busybox'));
    expect(after?.find(({ path }) => path === 'bin/busybox')?.mode).toBe(0o4755);
    const manifest = JSON.parse(readFileSync(join(images, 'tiny/current/manifest.json'), 'utf8'));
    expect(manifest).toMatchObject({ from: first, kernel: { release: '6.1.0-1' } });
    expect(left()).toEqual([]);
    expectWhole();
  });

  it('gives the same version when it does the same again, and no new one when it changes nothing', () => {
    const same = ['image', 'exec', 'tiny', '--', 'sh', '-c', 'echo same >/etc/same; chmod 0600 /etc/same'];
    run(same);
    const version = current();
    run(['image', 'use', `tiny/${first}`]);
    expect(run(same).stderr).toContain(version);
    run(['image', 'use', `tiny/${first}`]);
    expect(run(['image', 'exec', 'tiny', '--', 'cat', '/etc/one']).stderr).toBe('image tiny: nothing was changed\n');
    expect(run(['image', 'exec', 'tiny', '--', 'touch', '/etc/os-release']).stderr).toContain('image tiny: nothing was changed\n');
    expect(current()).toBe(first);
  });

  it('gives a new initramfs when it changes modules', () => {
    const before = readFileSync(join(images, 'tiny', first, 'initramfs'));
    expect(run(['image', 'exec', 'tiny', '--', 'sh', '-c', 'echo another >/lib/modules/6.1.0-1/kernel/fs/nfs.ko'])).toMatchObject({ status: 0 });
    expect(readFileSync(join(images, 'tiny/current/initramfs')).equals(before)).toBe(false);
    expectWhole();
  });

  it('passes its status on, and keeps nothing if it failed or was not to', () => {
    const failed = run(['image', 'exec', 'tiny', '--', 'sh', '-c', 'echo x >/etc/x; exit 7']);
    expect(failed).toEqual({ status: 7, stdout: '', stderr: 'image tiny: it ended with 7, so nothing is kept of what it changed\n' });
    expect(run(['image', 'exec', 'tiny', '--', 'no-such-program'])).toMatchObject({ status: 127 });
    expect(run(['image', 'exec', 'tiny', '--', 'sh', '-c', 'kill -9 $$']).status).toBe(137);
    expect(run(['image', 'exec', '--discard', 'tiny', '--', 'touch', '/etc/x'])).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(current()).toBe(first);
    expect(left()).toEqual([]);
  });

  it('sees the image and nothing of the server but its network and name servers, which it does not keep', () => {
    const script =
      'hostname; id -u; ls /; cat /etc/resolv.conf; ls /proc | grep -c "^[0-9]"; ls /dev; echo "$HOME $FARM_IMAGE"; /usr/sbin/policy-rc.d; echo $?';
    const { stdout } = run(['image', 'exec', 'tiny', '--discard', '--', 'sh', '-c', script.replace('grep', 'busybox grep')]);
    const lines = stdout.split('\n');
    expect(lines.slice(0, 2)).toEqual(['tiny', '0']);
    expect(stdout).toContain(readFileSync('/etc/resolv.conf', 'utf8').trim());
    expect(lines).toEqual(expect.arrayContaining(['null', 'pts', 'urandom', '/root tiny', '101']));
    expect(lines).not.toContain('vda');
    const processes = lines.slice(lines.indexOf(readFileSync('/etc/resolv.conf', 'utf8').trim().split('\n').at(-1) ?? '') + 1)[0];
    expect(Number(processes)).toBeLessThan(6);
    run(['image', 'exec', 'tiny', '--', 'sh', '-c', 'echo x >/etc/x; echo x >/usr/sbin/x']);
    expect(paths(current())).not.toContain('etc/resolv.conf');
    expect(paths(current())).not.toContain('usr/sbin/policy-rc.d');
  });

  it('can be given to a shell on its standard input', () => {
    const { status, stdout } = run(['image', 'shell', 'tiny'], { input: 'echo from the shell\necho s >/etc/shell\n' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'from the shell\n' });
    expect(paths(current())).toContain('etc/shell');
  });

  it('is asked of root', () => {
    const { status, stderr } = run(['image', 'exec', 'tiny', '--', 'true'], { as: nobody });
    expect({ status, stderr }).toEqual({ status: 2, stderr: 'farm: only root can mount an image and run commands in it\n  run it with sudo\n' });
  });
});

describe('while somebody is in an image', () => {
  async function sleeper() {
    const child = spawn(process.execPath, [command, '-C', farm, 'image', 'exec', 'tiny', '--', 'sh', '-c', 'echo x >/etc/x; echo in; sleep 1000'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    await once(child.stdout, 'data');
    return { child, ended: once(child, 'exit'), stderr: () => stderr };
  }

  it('nobody else changes it', async () => {
    const { child, ended } = await sleeper();
    expect(run(['image', 'exec', 'tiny', '--', 'true']).stderr).toContain(`process ${child.pid} is building or changing this image`);
    child.kill('SIGTERM');
    await ended;
  });

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s ends it, and nothing is left', async (signal) => {
    const { child, ended, stderr } = await sleeper();
    child.kill(signal);
    expect(await ended).toEqual([2, null]);
    expect(stderr()).toContain('interrupted; nothing has changed');
    expect(left()).toEqual([]);
    expect(current()).toBe(first);
    expectWhole();
  });

  it('SIGKILL leaves what gc removes, and nothing mounted', async () => {
    const { child, ended } = await sleeper();
    const silent = once(child.stdout, 'close');
    child.kill('SIGKILL');
    await ended;
    await silent; // the command inside had it too
    expect(left()).toHaveLength(1);
    expect(current()).toBe(first);
    const { stdout, status } = run(['image', 'gc', '--keep', '9']);
    expect({ status, line: stdout.includes('tiny: removed what an interrupted build left') }).toEqual({ status: 0, line: true });
    expect(left()).toEqual([]);
    expectWhole();
  });
});

describe('a build', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('that gets %s says so, and leaves nothing', async (signal) => {
    const child = spawn(process.execPath, [command, '-C', farm, 'image', 'build', 'minimal'], { stdio: ['ignore', 'pipe', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    await once(child.stdout, 'data');
    child.kill(signal);
    expect(await once(child, 'exit')).toEqual([2, null]);
    expect(stderr).toBe('farm: interrupted; nothing has changed\n');
    expect(readdirSync(join(images, 'minimal'))).toEqual([]);
    expect(readFileSync('/proc/mounts', 'latin1')).not.toContain(`${images}/minimal`);
  });
});

describe('what is in the way of a new version leaves the old ones as they are:', () => {
  const changes: readonly (readonly [string, () => readonly string[]])[] = [
    ['import', () => ['image', 'import', 'tiny', join(top, 'root')]],
    ['exec', () => ['image', 'exec', 'tiny', '--', 'touch', '/etc/new']],
    ['build', () => ['image', 'build', 'minimal']],
    ['use', () => ['image', 'use', `tiny/${first}`]],
    ['gc', () => ['image', 'gc']],
    ['copy', () => ['image', 'copy', 'tiny', 'other']],
    ['rename', () => ['image', 'rename', 'tiny', 'other']],
    ['remove', () => ['image', 'remove', 'tiny']],
  ];

  it.each(changes)('a disk that is read-only, when %s', (_name, args) => {
    execFileSync('mount', ['-o', 'remount,ro', farm]);
    const { status, stderr } = run(args());
    execFileSync('mount', ['-o', 'remount,rw', farm]);
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringMatching(/^farm: .*cannot be changed: EROFS.*\n {2}mount its file system writable/) });
    expect(left()).toEqual([]);
    expectWhole();
  });

  it.each(changes.filter(([name]) => name !== 'exec'))('an owner that is another, when %s', (_name, args) => {
    const { status, stderr } = run(args(), { as: nobody });
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringMatching(/^farm: .*(cannot be changed by this user: EACCES|EACCES: ).*\n {2}/) });
    expect(stderr).not.toContain('internal error');
    expect(left()).toEqual([]);
    expectWhole();
  });

  /** A file that leaves so much of the farm's disk free. */
  function fill(free: number): void {
    const available = Number(execFileSync('stat', ['-f', '-c', '%a', farm]).toString()) * 4096;
    writeFileSync(join(farm, 'filling'), Buffer.alloc(Math.max(0, available - free)));
  }

  it.each([
    ['import', 1_000_000, () => ['image', 'import', 'tiny', join(top, 'root')]],
    ['import, when the root is packed', 2_300_000, () => ['image', 'import', 'tiny', join(top, 'root')]],
    ['build', 1_000_000, () => ['image', 'build', 'minimal']],
    ['exec, before the command', 0, () => ['image', 'exec', 'tiny', '--', 'touch', '/etc/new']],
    ['exec, after the command', 1_000_000, () => ['image', 'exec', 'tiny', '--', 'touch', '/etc/new']],
  ] as const)('a full disk, when %s', (_name, free, args) => {
    fill(free);
    const { status, stderr } = run(args());
    rmSync(join(farm, 'filling'));
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringMatching(/farm: (there is no room for the image|ENOSPC).*\n {2}/) });
    expect(left()).toEqual([]);
    expect(current()).toBe(first);
    expectWhole();
  });

  it('a full disk, when a command writes: that is told by the command', () => {
    fill(1_000_000);
    const { status, stderr } = run(['image', 'exec', 'tiny', '--', 'dd', 'if=/dev/zero', 'of=/home/large', 'bs=1M', 'count=4']);
    rmSync(join(farm, 'filling'));
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining('No space left on device') });
    expect(left()).toEqual([]);
    expect(current()).toBe(first);
  });

  it('a file of another user below an image of one own: it is told whose', () => {
    // A farm of nobody's in which root has once changed an image.
    for (const path of [images, join(images, 'tiny')]) chownSync(path, nobody, nobody);
    const { status, stderr } = run(
      ['image', 'remove', `tiny/${readdirSync(join(images, 'tiny')).find((name) => /^[0-9a-f]{12}$/.test(name) && name !== first)}`],
      {
        as: nobody,
      },
    );
    for (const path of [images, join(images, 'tiny')]) chownSync(path, 0, 0);
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringMatching(/^farm: .*EACCES.*\n {2}it belongs to another user/) });
    expect(existsSync(join(images, 'tiny', first))).toBe(true);
    expect(left()).toEqual([]);
    expectWhole();
  });
});
