// The virtual farm with real namespaces and real QEMU machines: what it starts, what one sees of it, and that nothing of it stays.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ipv4, mac } from '../../src/base/addresses.ts';
import { sentence } from '../../src/base/errors.ts';
import { attachConsole } from '../../src/lab/console.ts';
import { waitForText } from '../../src/lab/follow.ts';
import type { LabOptions } from '../../src/lab/lab.ts';
import { findLab, startLab } from '../../src/lab/lab.ts';
import { lineSplitter } from '../../src/lab/lines.ts';
import { requireNamespaces } from '../../src/lab/namespaces.ts';

const lacking = await requireNamespaces(['e1000', 'virtio-net-pci']).then(
  () => undefined,
  (error: unknown) => sentence(error),
);
const { CI } = process.env;
if (lacking !== undefined && CI !== undefined) throw new Error(`the lab's tests cannot run: ${lacking}`);

/** Stands for `farm serve`: listens where DHCP clients send, says that it is ready, and reports what it hears. */
const server = `
import { createSocket } from 'node:dgram';
const socket = createSocket('udp4');
socket.on('message', (bytes) => console.log(JSON.stringify({ event: 'heard', op: bytes[0], mac: bytes.subarray(28, 34).toString('hex'), hex: bytes.subarray(240).toString('hex') })));
socket.bind(67, () => console.log(JSON.stringify({ event: 'serve.ready', pid: process.pid })));
process.on('SIGTERM', () => { console.log(JSON.stringify({ event: 'closed' })); process.exit(0); });
`;

let top: string;
let count = 0;
let directory: string;
let running: Awaited<ReturnType<typeof startLab>>[] = [];

/** The processes of this host whose command line has `text`. */
function processesWith(text: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .flatMap((name) => {
      try {
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ');
        return command.includes(text) ? [`${name} ${command}`] : [];
      } catch {
        return []; // ended while we looked
      }
    });
}

function options(more: Partial<LabOptions> = {}): LabOptions {
  return {
    directory,
    farmDirectory: top,
    network: { interface: 'eth1', address: { address: ipv4('10.11.0.1'), prefix: 24 } },
    machines: [{ name: 'n1', mac: mac('52:54:00:11:00:01'), memoryMiB: 128, firmware: 'bios' }],
    serve: { command: process.execPath, args: [join(top, 'serve.mjs')] },
    supervisor: join(top, 'supervisor.mjs'),
    ...more,
  };
}

async function up(more: Partial<LabOptions> = {}) {
  const lab = await startLab(options(more));
  running.push(lab);
  return lab;
}

const seconds = (count: number) => AbortSignal.timeout(count * 1000);

/** A program of its own that starts a lab and then stays, so that a test can end it. Gives it and the first line it prints. */
async function starter(program: string, args: readonly string[]) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', lineSplitter(resolve));
    child.on('close', () => reject(new Error(`the starter ended: ${errors}`)));
  });
  return { child, line };
}

beforeAll(async () => {
  top = mkdtempSync(join(tmpdir(), 'lt-'));
  chmodSync(top, 0o755);
  writeFileSync(join(top, 'serve.mjs'), server);
  const startFile = join(top, 'start.entry.ts');
  const lab = fileURLToPath(new URL('../../src/lab/lab.ts', import.meta.url));
  writeFileSync(
    startFile,
    `import { startLab } from ${JSON.stringify(lab)};
     const lab = await startLab(JSON.parse(process.argv[2]));
     console.log(JSON.stringify({ pid: lab.pid, id: String(await lab.exec('id', ['-u'])).trim(), links: String(await lab.exec('ip', ['-brief', 'link'])) }));
     if (!JSON.parse(process.argv[2]).keep) await lab.ended();`,
  );
  const common = { bundle: true, platform: 'node', format: 'esm', target: 'node20', logLevel: 'error' } as const;
  const banner = { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" }; // pino is CommonJS
  await build({
    ...common,
    banner,
    entryPoints: [fileURLToPath(new URL('../../src/lab/supervisor.ts', import.meta.url))],
    outfile: join(top, 'supervisor.mjs'),
  });
  await build({ ...common, banner, entryPoints: [startFile], outfile: join(top, 'start.mjs') });
});

afterEach(async () => {
  await Promise.all(running.map((lab) => lab.down()));
  running = [];
  expect(processesWith(directory)).toEqual([]);
});

afterAll(() => rmSync(top, { recursive: true, force: true }));

function freshDirectory(): void {
  count += 1;
  directory = join(top, `lab${count}`);
}

describe.skipIf(lacking !== undefined)(`a virtual farm${lacking === undefined ? '' : ` (skipped: ${lacking})`}`, () => {
  test('the boot ROM of each machine asks for an address on the bridge, and prints on the console log', async () => {
    freshDirectory();
    const machines = [
      { name: 'n1', mac: mac('52:54:00:11:00:01'), memoryMiB: 128, firmware: 'bios' },
      { name: 'n2', mac: mac('52:54:00:11:00:02'), memoryMiB: 128, cpus: 2, card: 'virtio-net-pci', firmware: 'bios' },
    ] as const;
    const lab = await up({ machines });
    for (const [index, { name }] of machines.entries()) {
      const heard = await waitForText(lab.serveLog, new RegExp(`"op":1,"mac":"52540011000${index + 1}","hex":"(\\w+)"`), seconds(60));
      expect(heard?.[1]).toMatch(/^350101/); // option 53, DHCPDISCOVER
      expect(heard?.[1]).toContain(Buffer.from('PXEClient:Arch:00000').toString('hex'));
      expect(heard?.[1]).toMatch(new RegExp(`611100000000000000(0040|4000)800052540011000${index + 1}`)); // option 97, the machine's UUID
      const text = (await waitForText(lab.consoleLog(name), /Configuring \(net0 \S+\)/, seconds(60)))?.input ?? '';
      expect(text).toContain('SeaBIOS');
      expect(text).toContain('iPXE');
      expect(text).toContain(`(net0 52:54:00:11:00:0${index + 1})`);
    }
  });

  test('inside, the bridge has the name and the address of the farm’s interface; outside there is none', async () => {
    freshDirectory();
    const lab = await up();
    const inside = String(await lab.exec('ip', ['-brief', '-4', 'address', 'show', 'dev', 'eth1']));
    expect(inside).toMatch(/^eth1\s+UP\s+10\.11\.0\.1\/24/);
    expect(String(await lab.exec('ip', ['-brief', 'link', 'show', 'master', 'eth1']))).toMatch(/^labtap0/);
    expect(readFileSync('/proc/net/dev', 'utf8')).not.toContain('labtap');
    expect(String(await lab.exec('pwd', [], { cwd: top })).trim()).toBe(top);
    await expect(lab.exec('sh', ['-c', 'exit 3'])).rejects.toMatchObject({ code: 'program.failed' });
  });

  test('machines are switched off, on and reset, and one that is off cannot be reset', async () => {
    freshDirectory();
    const lab = await up();
    const state = async () => (await lab.status()).machines.map((machine) => machine.state);
    expect(await state()).toEqual(['running']);
    await lab.power('n1', 'off');
    expect(await state()).toEqual(['stopped']);
    await expect(lab.power('n1', 'reset')).rejects.toMatchObject({ code: 'lab.machine-off' });
    await expect(lab.power('n7', 'on')).rejects.toMatchObject({ code: 'lab.machine-unknown', hint: 'it has n1' });
    await lab.power('n1', 'on');
    await lab.power('n1', 'on');
    expect(await state()).toEqual(['running']);
    await waitForText(lab.consoleLog('n1'), /Booting from ROM/, seconds(30));
    await lab.power('n1', 'shutdown'); // an ACPI button, which a boot ROM does not look at
    await lab.power('n1', 'reset');
    const again = await waitForText(lab.consoleLog('n1'), /Booting from ROM[\s\S]*SeaBIOS/, seconds(30));
    expect(again?.[0]).toBeDefined();
    expect(again?.[0]).not.toContain('Retrying'); // it started anew because it was reset
    expect(await waitForText(lab.log, /machine\.reset/, seconds(10))).toBeDefined();
  });

  test('a machine whose QEMU is killed is reported as stopped, with the reason, and the lab goes on', async () => {
    freshDirectory();
    const lab = await up();
    await lab.exec('sh', ['-c', 'kill -9 $(pidof qemu-system-x86_64)']);
    await waitForText(lab.log, /machine\.stopped/, seconds(10));
    expect((await lab.status()).machines).toMatchObject([{ state: 'stopped', ended: 'SIGKILL' }]);
    await lab.power('n1', 'on');
    expect((await lab.status()).machines).toMatchObject([{ state: 'running' }]);
  });

  test('the server can be killed and started again while the machines run', async () => {
    freshDirectory();
    const lab = await up();
    expect((await lab.killServe('SIGKILL')).serve).toMatchObject({ state: 'ended', ended: 'SIGKILL' });
    expect((await lab.restartServe()).serve).toMatchObject({ state: 'ready' });
    expect((await lab.restartServe()).machines).toMatchObject([{ state: 'running' }]);
    expect(readFileSync(lab.serveLog, 'utf8').match(/serve\.ready/g)).toHaveLength(3);
    expect(readFileSync(lab.serveLog, 'utf8').match(/closed/g)).toHaveLength(1);
  });

  test('one types on a machine’s console and leaves it, and the machine goes on', async () => {
    freshDirectory();
    const lab = await up();
    await waitForText(lab.consoleLog('n1'), /Press Ctrl-B for the iPXE command line/, seconds(60));
    const [stdin, stdout] = [new PassThrough(), new PassThrough()];
    const session = attachConsole(lab, 'n1', stdin, stdout);
    stdin.write('\x02');
    expect(await waitForText(lab.consoleLog('n1'), /iPXE>/, seconds(60))).toBeDefined();
    stdin.write('show net0/mac\r');
    expect(await waitForText(lab.consoleLog('n1'), /net0\/mac:hex\S* = 52:54:00:11:00:01/, seconds(60))).toBeDefined();
    stdin.end();
    expect(await session).toBe('left');
    expect(String(stdout.read())).toContain('net0/mac');
    const [again, output] = [new PassThrough(), new PassThrough()];
    const second = attachConsole(lab, 'n1', again, output);
    await once(output, 'readable');
    expect(String(output.read())).toContain('iPXE>'); // what was on the screen before
    await lab.power('n1', 'off');
    expect(await second).toBe('ended');
    await expect(attachConsole(lab, 'n1', new PassThrough(), output)).rejects.toMatchObject({ code: 'lab.console' });
  });

  test('another process finds the lab by its directory, and a second lab there is refused', async () => {
    freshDirectory();
    const lab = await up();
    const found = findLab(directory);
    expect(found?.pid).toBe(lab.pid);
    expect(found?.machines).toEqual(['n1']);
    expect(await found?.status()).toMatchObject({ phase: 'up', interface: 'eth1', address: '10.11.0.1/24', serve: { state: 'ready' } });
    await expect(startLab(options())).rejects.toMatchObject({ code: 'lab.running' });
    await found?.down();
    await lab.ended();
    expect(findLab(directory)).toBeUndefined();
    expect(existsSync(join(directory, 'sockets'))).toBe(false);
    await expect(lab.status()).rejects.toMatchObject({ code: 'lab.gone' });
    await found?.down(); // twice is no error
  });

  test('a directory too deep for a unix socket works all the same', async () => {
    freshDirectory();
    directory = join(directory, 'd'.repeat(100));
    mkdirSync(directory, { recursive: true });
    const lab = await up();
    expect((await lab.status()).phase).toBe('up');
    const short = (await lab.status()).machines[0]!.serial;
    expect(short.length).toBeLessThan(108);
    expect(findLab(directory)?.pid).toBe(lab.pid);
    await lab.down();
    expect(existsSync(short.replace('/n1.serial', ''))).toBe(false);
  });

  test.each(['supervisor', 'unshare', 'pid 1'])('everything ends when %s is killed', async (which) => {
    freshDirectory();
    const lab = await up();
    const orphan = lab.spawn('sleep', ['1000'], 'ignore');
    const own = processesWith('lab.json').filter((line) => line.includes(directory));
    const victim = own.find((line) => line.split(' ')[1] === { supervisor: process.execPath, unshare: 'unshare', 'pid 1': 'sh' }[which]);
    process.kill(Number(victim?.split(' ')[0]), 'SIGKILL');
    await Promise.all([lab.ended(), once(orphan, 'exit')]);
    expect(processesWith(directory)).toEqual([]);
    expect(findLab(directory)).toBeUndefined();
    expect(existsSync(join(directory, 'sockets'))).toBe(false);
  });

  test.each(['SIGKILL', 'SIGINT'] as const)('the lab ends with the process that started it (%s)', async (signal) => {
    freshDirectory();
    const { child } = await starter(process.execPath, [join(top, 'start.mjs'), JSON.stringify(options())]);
    const lab = findLab(directory)!;
    running.push(lab);
    child.kill(signal);
    await lab.ended();
    expect(processesWith(directory)).toEqual([]);
  });

  test('a kept lab goes on when the process that started it has ended', async () => {
    freshDirectory();
    const { child } = await starter(process.execPath, [join(top, 'start.mjs'), JSON.stringify(options({ keep: true }))]);
    await once(child, 'close');
    const lab = findLab(directory)!;
    running.push(lab);
    expect(await lab.status()).toMatchObject({ phase: 'up', machines: [{ state: 'running' }] });
    await lab.power('n1', 'reset');
    await lab.down();
    expect(readFileSync(lab.log, 'utf8')).toMatch(/lab\.ended/);
  });

  test('a supervisor that hangs is ended too', { timeout: 60_000 }, async () => {
    freshDirectory();
    const lab = await up();
    const supervisor = processesWith('lab.json').find((line) => line.includes(directory) && line.split(' ')[1] === process.execPath);
    process.kill(Number(supervisor?.split(' ')[0]), 'SIGSTOP');
    await lab.down();
    await expect.poll(() => processesWith(directory), { timeout: 5000 }).toEqual([]); // the kernel ends them, soon
  });

  test('orphans of programs run inside are collected', async () => {
    freshDirectory();
    const lab = await up();
    await lab.exec('sh', ['-c', '(sleep 0.01 & echo $! > "$0")', join(top, 'orphan')]);
    const pid = readFileSync(join(top, 'orphan'), 'utf8').trim();
    await lab.exec('sh', ['-c', `while test -e /proc/${pid}; do :; done`], { signal: seconds(20) });
  });

  test('a server that ends before it is ready is quoted, and nothing stays', async () => {
    freshDirectory();
    const serve = { command: process.execPath, args: ['-e', 'console.error("port 67 is taken"); process.exit(2)'] };
    await expect(startLab(options({ serve }))).rejects.toMatchObject({ code: 'lab.serve', message: expect.stringContaining('port 67 is taken') });
    await expect(startLab(options({ serve: { command: '/nonexistent', args: [] } }))).rejects.toMatchObject({ code: 'lab.serve' });
    expect(processesWith(directory)).toEqual([]);
    expect(findLab(directory)).toBeUndefined();
  });

  test('starting can be broken off', async () => {
    freshDirectory();
    const serve = { command: process.execPath, args: ['-e', 'console.log("reading the image"); setInterval(() => {}, 1000)'] };
    const abort = new AbortController();
    const started = startLab(options({ serve, signal: abort.signal }));
    started.catch(() => {});
    await waitUntilExists(join(directory, 'serve.log'));
    await waitForText(join(directory, 'serve.log'), /reading/, seconds(20));
    abort.abort();
    await expect(started).rejects.toMatchObject({ code: 'lab.aborted' });
    expect(processesWith(directory)).toEqual([]);
  });

  test.skipIf(process.geteuid?.() !== 0)('a user who is not root, where /dev/net/tun may be opened, has the same lab', async () => {
    freshDirectory();
    mkdirSync(directory);
    chmodSync(directory, 0o777);
    const device = join(top, 'tun');
    // A tun device of our own that everybody may open, over the real one in a mount namespace: the host's stays as it is.
    const script = 'mknod "$0" c 10 200 && chmod 666 "$0" && mount --bind "$0" /dev/net/tun && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"';
    const args = ['--mount', 'sh', '-c', script, device, process.execPath, join(top, 'start.mjs'), JSON.stringify(options())];
    const { child, line } = await starter('unshare', args);
    const told: { pid: number; id: string; links: string } = JSON.parse(line);
    expect(told.id).toBe('0'); // root in its own user namespace
    expect(told.links).toMatch(/eth1/);
    expect(readFileSync(`/proc/${told.pid}/status`, 'utf8')).toMatch(/^Uid:\s+65534/m);
    const lab = findLab(directory)!;
    running.push(lab);
    expect(await waitForText(lab.serveLog, /"op":1,"mac":"525400110001"/, seconds(60))).toBeDefined();
    expect(String(await lab.exec('ip', ['-brief', 'link', 'show', 'dev', 'eth1']))).toContain('eth1'); // root comes in from outside
    child.kill('SIGKILL');
    await lab.ended();
  });

  test.skipIf(process.geteuid?.() !== 0)('a user who may not open /dev/net/tun is told what to do', async () => {
    freshDirectory();
    mkdirSync(directory);
    chmodSync(directory, 0o777);
    const device = join(top, 'closed');
    const script = 'mknod "$0" c 10 200 && chmod 600 "$0" && mount --bind "$0" /dev/net/tun && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"';
    const args = ['--mount', 'sh', '-c', script, device, process.execPath, join(top, 'start.mjs'), JSON.stringify(options())];
    await expect(starter('unshare', args)).rejects.toThrow(/chmod 666 \/dev\/net\/tun/);
  });
});

/** Settles when `path` is there, as told by its directory's changes. */
async function waitUntilExists(path: string): Promise<void> {
  const { watch } = await import('node:fs');
  const parent = join(path, '..');
  mkdirSync(parent, { recursive: true });
  const watcher = watch(parent);
  while (!existsSync(path)) await once(watcher, 'change');
  watcher.close();
}
