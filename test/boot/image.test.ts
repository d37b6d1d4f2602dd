// Builds the default image for real, twice, and boots its kernel and initramfs in QEMU. Packages come through mmdebstrap and apt only.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type BuildProgress, buildImage } from '../../src/image/build.ts';
import type { BuiltImage } from '../../src/image/built.ts';
import { parseMtree } from '../../src/image/mtree.ts';
import { labKernelArgs } from '../../src/lab/lab.ts';
import { imageBase } from '../../src/tree/image.ts';

const top = fileURLToPath(new URL('../../', import.meta.url));
const programs = ['mmdebstrap', 'xz', 'zstd', 'qemu-system-x86_64'];
const missing = programs.filter((program) => spawnSync(program, ['--version']).error !== undefined);
const root = process.geteuid?.() === 0;
if (process.env['CI'] !== undefined && (missing.length > 0 || !root)) throw new Error(`the image tests need root and ${programs.join(', ')}`);
const skipped = missing.length > 0 || !root;

let directory: string;
let imagesDirectory: string;
let image: BuiltImage;
const progress: BuildProgress[] = [];

function startBuild(signal: AbortSignal, onProgress: (progress: BuildProgress) => void): Promise<BuiltImage> {
  return buildImage({ imagesDirectory, recipe: 'debian-13', onProgress, signal });
}

beforeAll(async () => {
  if (skipped) return;
  directory = mkdtempSync(join(tmpdir(), 'farm-image-'));
  imagesDirectory = join(directory, 'images');
  image = await startBuild(new AbortController().signal, (step) => progress.push(step));
});
afterAll(() => {
  if (!skipped) rmSync(directory, { recursive: true, force: true });
});

describe.skipIf(skipped)(`a built image (root and ${programs.join(', ')} are needed)`, () => {
  test('has everything that a node boots, under a name made of its contents', () => {
    expect(image.version).toMatch(/^[0-9a-f]{12}$/);
    expect(readdirSync(image.directory).sort()).toEqual([
      'initramfs',
      'kernel',
      'kernel.nbi',
      'loaders',
      'manifest.json',
      'root',
      'root.mtree',
      'root.squashfs',
    ]);
    expect(readdirSync(join(image.directory, 'loaders')).sort()).toEqual([
      'LICENSES',
      'grubx64.efi',
      'ipxe.efi',
      'ipxe.pxe',
      'ldlinux.c32',
      'memtest',
      'memtest.efi',
      'memtest.nbi',
      'mmx64.efi',
      'pxelinux.0',
      'shimx64.efi',
      'snponly.efi',
      'undionly.kpxe',
    ]);
    expect(readlinkSync(join(imagesDirectory, 'debian-13/current'))).toBe(image.version);
    expect(JSON.parse(readFileSync(join(image.directory, 'manifest.json'), 'utf8'))).toEqual(image.manifest);
    expect(Object.keys(image.manifest.packages)).toEqual(expect.arrayContaining(['systemd-sysv', 'udev', 'nodejs', 'kmod', 'iproute2']));
    expect(image.manifest.packages).not.toHaveProperty('initramfs-tools');
    expect(image.manifest.lostAttributes).not.toContainEqual(expect.stringMatching(/bin\//));
    expect(progress.map(({ step }) => step)).toEqual(progress.map(({ step }) => step).sort());
  });

  test('describes in its manifest what lies in its root, and more', () => {
    const entries = parseMtree(readFileSync(join(image.directory, 'root.mtree')));
    const byPath = new Map(entries.map((entry) => [entry.path, entry]));
    expect(imageBase('test/0', join(image.directory, 'root'), entries).objectCount).toBeGreaterThan(5000);
    for (const entry of entries) {
      if (entry.kind === 'file') expect(statSync(Buffer.from(`${image.directory}/root/${entry.path}`, 'latin1')).size, entry.path).toBe(entry.size);
    }
    expect(byPath.get('dev/console')).toMatchObject({ kind: 'character', device: { major: 5, minor: 1 } });
    expect(byPath.get('usr/bin/su')).toMatchObject({ mode: 0o4755, uid: 0 });
    expect(statSync(join(image.directory, 'root/usr/bin/su')).mode & 0o7777).toBe(0o755);
    for (const path of ['etc/hostname', 'etc/resolv.conf', '.farm-build', 'boot/vmlinuz']) expect(byPath.has(path), path).toBe(false);
    expect(entries.filter(({ mtime }) => mtime.seconds > image.manifest.epoch)).toEqual([]);
  });

  test('can be entered with chroot and runs there', () => {
    const { stdout } = spawnSync('chroot', [join(image.directory, 'root'), '/usr/bin/node', '--version']);
    expect(stdout.toString()).toMatch(/^v2\d\./);
  });

  test.each(['extracting', 'installing remaining', 'creating tarball'])(
    'survives a build that is interrupted at "%s", of which nothing is left, mounts included',
    async (when) => {
      const abort = new AbortController();
      let aborted = 0;
      const interrupted = startBuild(abort.signal, ({ detail }) => {
        if (detail?.startsWith(when) !== true) return;
        aborted = Date.now();
        abort.abort(new Error('interrupted'));
      });
      await expect(interrupted).rejects.toThrow('interrupted');
      expect(Date.now() - aborted).toBeLessThan(20_000);
      expect(readdirSync(join(imagesDirectory, 'debian-13')).sort()).toEqual([image.version, 'current'].sort());
      expect(readFileSync('/proc/mounts', 'latin1')).not.toContain(imagesDirectory);
    },
  );

  test("is not rebuilt over a leftover on which something is mounted, for that may be the server's own /dev", async () => {
    const mounted = join(imagesDirectory, 'debian-13/.build-4194305-1/a chroot/dev');
    mkdirSync(mounted, { recursive: true });
    run('mount', '-t', 'tmpfs', 'tmpfs', mounted);
    try {
      await expect(startBuild(new AbortController().signal, () => {})).rejects.toThrow(expect.objectContaining({ code: 'image.mounted' }));
      expect(existsSync(mounted)).toBe(true);
    } finally {
      run('umount', mounted);
      rmSync(join(imagesDirectory, 'debian-13/.build-4194305-1'), { recursive: true });
    }
  });

  test('survives a build that is killed; the next one clears up and comes to the same bytes', async () => {
    const killed = await startKilledBuild();
    expect(readlinkSync(join(imagesDirectory, 'debian-13/current'))).toBe(image.version);
    expect(existsSync(killed)).toBe(true);
    const again = await startBuild(new AbortController().signal, () => {});
    expect(again.manifest).toEqual(image.manifest);
    expect(readdirSync(join(imagesDirectory, 'debian-13')).sort()).toEqual([image.version, 'current'].sort());
  });
});

function run(program: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(program, args);
  if (status !== 0) throw new Error(`${program}: ${stderr}`);
}

/** A build in a process of its own, killed by SIGKILL while it unpacks the root. Returns the directory that it leaves. */
async function startKilledBuild(): Promise<string> {
  const packed = mkdtempSync(join(directory, 'package-'));
  for (const name of ['images', 'node_modules', 'package.json']) symlinkSync(join(top, name), join(packed, name));
  const program = join(packed, 'dist/image/build.mjs');
  await build({ entryPoints: [join(top, 'src/image/build.ts')], outfile: program, bundle: true, platform: 'node', format: 'esm', packages: 'external' });
  const script = `import { buildImage } from ${JSON.stringify(program)};
    await buildImage({ imagesDirectory: ${JSON.stringify(imagesDirectory)}, recipe: 'debian-13', signal: new AbortController().signal, onProgress: ({ step }) => console.log(step) });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const chunk of child.stdout) if (chunk.toString().includes('2')) break;
  child.kill('SIGKILL');
  await once(child, 'exit').catch(() => {});
  const left = readdirSync(join(imagesDirectory, 'debian-13')).find((name) => name.startsWith('.build-'));
  return join(imagesDirectory, 'debian-13', left ?? 'nothing is left of the killed build');
}

/** A machine with 512 MB, QEMU's own DHCP server (10.0.2.2), and a serial console to wait for lines on. */
class Machine {
  private readonly child: ChildProcess;
  private text = '';
  private readonly waiting = new Set<() => void>();

  constructor(append: string, cards: readonly string[]) {
    const args = ['-accel', 'tcg', '-cpu', 'max', '-m', '512', '-nographic', '-no-reboot', '-nodefaults', '-serial', 'stdio'];
    const kernel = [
      '-kernel',
      join(image.directory, 'kernel'),
      '-initrd',
      join(image.directory, 'initramfs'),
      '-append',
      `console=tty0 ${labKernelArgs} ${append}`,
    ];
    const devices = cards.flatMap((card, position) => ['-netdev', `user,id=n${position}`, '-device', `${card},netdev=n${position}`]);
    this.child = spawn('qemu-system-x86_64', [...args, ...kernel, ...devices], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.child.stdout?.on('data', (chunk: Buffer) => {
      this.text += chunk.toString('latin1');
      for (const check of this.waiting) check();
    });
  }

  /** Waits for text on the console and takes it and what stands before it away. */
  async until(pattern: RegExp, seconds = 90): Promise<string> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        const match = pattern.exec(this.text);
        if (match === null) return;
        this.text = this.text.slice(match.index + match[0].length);
        this.waiting.delete(check);
        clearTimeout(timer);
        resolve(match[0]);
      };
      const timer = setTimeout(() => {
        this.waiting.delete(check);
        reject(new Error(`${pattern} did not come in ${seconds} s; the console ends with: ${this.text.slice(-600)}`));
      }, seconds * 1000);
      this.waiting.add(check);
      check();
    });
  }

  type(line: string): void {
    this.child.stdin?.write(`${line}\n`);
  }

  async off(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill();
    await once(this.child, 'exit');
  }
}

describe.skipIf(skipped)('the initramfs', () => {
  let machine: Machine | undefined;
  afterEach(() => machine?.off());

  test.each(['virtio-net-pci', 'e1000', 'e1000e', 'rtl8139', 'pcnet', 'vmxnet3'])('finds a %s card and gets an address', async (card) => {
    machine = new Machine('farm.root=10.0.2.2:/none quiet', [card]);
    await machine.until(/farm: eth0 has 10\.0\.2\.15\/24 from 10\.0\.2\.2, router 10\.0\.2\.2/);
    await machine.until(/farm: mounting 10\.0\.2\.2:\/none/);
  });

  test('reports its stage to the server, and says why it cannot mount and what it does next', async () => {
    const urls: string[] = [];
    const server = createServer((request, response) => {
      urls.push(request.url ?? '');
      response.end();
      server.emit('stage');
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    machine = new Machine(`farm.server=10.0.2.2:${port} farm.root=10.0.2.2:/none,port=1 quiet`, ['virtio-net-pci,mac=52:54:00:00:00:07']);
    await machine.until(/cannot boot: .*Connection refused/);
    await machine.until(/trying again in 2 s; press Enter for a shell/);
    await machine.until(/trying again in 4 s; press Enter for a shell/);
    while (urls.length < 2) await once(server, 'stage');
    await new Promise((resolve) => server.close(resolve));
    expect(urls[0]).toBe('/stage?stage=initramfs&mac=52:54:00:00:00:07&detail=address+10.0.2.15+on+eth0');
    expect(urls[1]).toMatch(/^\/stage\?stage=failed&mac=52:54:00:00:00:07&detail=.*Connection\+refused$/);
  });

  test('uses the card that booted, whichever comes first', async () => {
    const cards = ['e1000,mac=52:54:00:00:00:01', 'e1000,mac=52:54:00:00:00:02'];
    machine = new Machine('BOOTIF=01-52-54-00-00-00-02 farm.root=10.0.2.2:/none quiet', cards);
    await machine.until(/asking for an address on eth\d \(52:54:00:00:00:02\)/);
    await machine.until(/farm: eth\d has 10\.0\.2\.15/);
  });

  test('tries every card when the one that booted is not there, and says so', async () => {
    machine = new Machine('BOOTIF=01-52-54-00-00-00-99 farm.root=10.0.2.2:/none quiet', ['virtio-net-pci']);
    await machine.until(/waiting for a network card with address 52:54:00:00:00:99/);
    await machine.until(/no card with a link has the address 52:54:00:00:00:99 of BOOTIF; every card is tried now/);
    await machine.until(/farm: eth0 has 10\.0\.2\.15/);
  });

  test('waits for a card for ever without one, and tells so', async () => {
    machine = new Machine('farm.root=10.0.2.2:/none quiet', []);
    await machine.until(/waiting for a network card/);
    await machine.until(/no network card has a link; cards: /);
    await machine.until(/trying again in 2 s/);
    await machine.until(/waiting for a network card/);
  });

  test('gives a shell on the console that asks for it, and goes on when it is left', async () => {
    machine = new Machine('farm.shell quiet', ['virtio-net-pci']);
    await machine.until(/farm\.shell: press Enter/);
    machine.type('');
    await machine.until(/a shell on ttyS0/);
    machine.type('echo $((6 * 7)); exit');
    await machine.until(/\n42\r/);
    await machine.until(/the kernel command line has no farm\.root=ADDRESS:PATH/);
    await machine.until(/press Enter for a shell/);
    machine.type('');
    await machine.until(/a shell on ttyS0/);
    machine.type('cat /proc/1/comm; exit');
    await machine.until(/\ninit\r/);
    await machine.until(/no farm\.root/);
  });
});
