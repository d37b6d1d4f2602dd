// Every way from the power button to the root, for real: each firmware, each ROM and each loader that docs/booting.md names, in one virtual farm.
import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseDocument } from 'yaml';
import { ipv4, mac } from '../../src/base/addresses.ts';
import type { NodeStatus } from '../../src/farm/status.ts';
import { followFile } from '../../src/lab/follow.ts';
import type { Lab } from '../../src/lab/lab.ts';
import type { MachineOptions } from '../../src/lab/plan.ts';
import { farm, labOf, makeFarm, onConsole, until } from '../support/farm-under-test.ts';

/** Two emulated machines share two cores with the server; UEFI's own network boot alone may take half a minute. */
const bootSeconds = 240;

interface Way {
  readonly machine: Omit<MachineOptions, 'name' | 'mac'>;
  readonly node?: { readonly loader?: string; readonly profile?: string };
  /** What it says of itself in its DHCP messages, in order, repetitions left out. */
  readonly asks: readonly string[];
  /** What it is given whole until its kernel runs, in order. */
  readonly gets: readonly string[];
}

const http = (...files: readonly string[]) => files.map((file) => `http ${file}`);
const tftp = (...files: readonly string[]) => files.map((file) => `tftp ${file}`);
const kernel = ['IMAGE/kernel', 'IMAGE/initramfs'];

const ways: Readonly<Record<string, Way>> = {
  virtio: {
    machine: { firmware: 'bios', card: 'virtio-net-pci' },
    asks: ['bios/ipxe', 'bios/none'],
    gets: http('/boot/virtio.ipxe', ...kernel),
  },
  uefi: {
    machine: { firmware: 'uefi' },
    asks: ['efi-x64/rom', 'bios/none'],
    gets: [...tftp('LOADERS/snponly.efi', '/autoexec.ipxe'), ...http('/boot/uefi.ipxe', ...kernel)],
  },
  'uefi-http': {
    machine: { firmware: 'uefi-http' },
    asks: ['efi-x64/rom/http', 'bios/none'],
    gets: http('LOADERS/snponly.efi', 'LOADERS/autoexec.ipxe', '/boot/uefi-http.ipxe', ...kernel),
  },
  pxelinux: {
    machine: { firmware: 'bios' },
    node: { loader: 'pxelinux' },
    asks: ['bios/ipxe', 'bios/none'],
    gets: tftp('LOADERS/pxelinux.0', 'LOADERS/ldlinux.c32', 'LOADERS/pxelinux.cfg/01-52-54-00-bb-00-04', ...kernel),
  },
  grub: {
    machine: { firmware: 'uefi' },
    node: { loader: 'grub' },
    asks: ['efi-x64/rom', 'bios/none'],
    gets: [...tftp('LOADERS/grubx64.efi', '/grub/grub.cfg'), ...http(...kernel)],
  },
  shim: {
    machine: { firmware: 'uefi' },
    node: { loader: 'shim' },
    asks: ['efi-x64/rom', 'bios/none'],
    gets: [...tftp('LOADERS/shimx64.efi', 'LOADERS/grubx64.efi', '/grub/grub.cfg'), ...http(...kernel)],
  },
  ram: {
    machine: { firmware: 'bios' },
    node: { profile: 'ram' },
    asks: ['bios/ipxe', 'bios/none'],
    gets: http('/boot/ram.ipxe', ...kernel, 'IMAGE/root.squashfs', '/boot/ram/overlay.tar'),
  },
};

const names = Object.keys(ways);
const macOf = (name: string) => mac(`52:54:00:bb:00:${(names.indexOf(name) + 1).toString(16).padStart(2, '0')}`);
const addressOf = (name: string) => ipv4(`10.11.0.${names.indexOf(name) + 11}`);

let directory: string;
let lab: Lab;
let version: string;

interface LogLine {
  readonly event: string;
  readonly [key: string]: unknown;
}

function logLines(): readonly LogLine[] {
  return readFileSync(lab.serveLog, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
}

/** What the machine said of itself, each change once. */
function asked(name: string): readonly unknown[] {
  const clients = logLines()
    .filter(({ event, mac: from }) => event === 'dhcp.ack' && from === macOf(name))
    .map(({ client }) => client);
  return clients.filter((client, index) => client !== clients[index - 1]);
}

/** What it was sent to the end: `http /boot/n1.ipxe`, with short words for what is long. */
function given(name: string): readonly string[] {
  const image = `/images/debian-13/${version}`;
  return logLines()
    .filter(
      ({ event, client, status, method }) =>
        client === addressOf(name) && (event === 'tftp.done' || (event === 'http.done' && status === 200 && method === 'GET')),
    )
    .map(({ event, file, path }) => `${event.slice(0, 4)} /${String(file ?? path).replace(/^\/+/, '')}`)
    .filter((line) => !line.includes('/stage'))
    .map((line) => line.replace(`${image}/loaders`, 'LOADERS').replace(image, 'IMAGE'))
    .filter((line, index, all) => line !== all[index - 1]); // UEFI asks for a file's size first
}

/** Switches machines on and waits until each is so far. */
async function powerOn(machines: readonly string[], test: (node: NodeStatus) => boolean): Promise<readonly NodeStatus[]> {
  for (const name of machines) await lab.power(name, 'on');
  return far(machines, test);
}

async function far(machines: readonly string[], test: (node: NodeStatus) => boolean, seconds = bootSeconds): Promise<readonly NodeStatus[]> {
  return until(directory, machines, test, seconds).catch((error: unknown) => {
    throw new Error(`${error}\n${machines.map((name) => `${name}: ${given(name)}\n${readFileSync(lab.consoleLog(name), 'utf8').slice(-1500)}`).join('\n')}`);
  });
}

/** The system on the mounted root runs: what comes after is the same for all. */
const hasRoot = ({ reached }: NodeStatus): boolean => reached?.root !== undefined;

/** Settles when the console, from byte `from` on, has printed this. */
async function printed(name: string, pattern: RegExp, from = 0, seconds = bootSeconds): Promise<void> {
  const chunks: Buffer[] = [];
  const found = await followFile(
    lab.consoleLog(name),
    (chunk) => {
      chunks.push(chunk);
      return pattern.test(Buffer.concat(chunks).subarray(from).toString('latin1'));
    },
    AbortSignal.timeout(seconds * 1000),
  );
  if (!found) throw new Error(`${name} never printed ${pattern}\n${readFileSync(lab.consoleLog(name), 'utf8').slice(-2000)}`);
}

const printedSoFar = (name: string): number => readFileSync(lab.consoleLog(name)).length;

beforeAll(async () => {
  directory = makeFarm('ways-test');
  ownImages();
  const config = join(directory, 'farm.yaml');
  const text = parseDocument(readFileSync(config, 'utf8'));
  text.setIn(['profiles', 'ram'], { root: 'ram', console_login: true });
  text.setIn(['nodes'], Object.fromEntries(names.map((name, index) => [name, { id: index + 1, mac: macOf(name), ip: addressOf(name), ...ways[name]?.node }])));
  writeFileSync(config, String(text));
  lab = await labOf(directory, { machines: Object.entries(ways).map(([name, { machine }]) => ({ name, mac: macOf(name), ...machine })), powerOn: false });
});

/** The shared images as links, so that a file can be replaced here and nowhere else. */
function ownImages(): void {
  const images = join(directory, 'images');
  execFileSync('cp', ['-al', `${images}/.`, `${images}.own`]);
  rmSync(images);
  renameSync(`${images}.own`, images);
  version = execFileSync('readlink', [join(images, 'debian-13', 'current')], { encoding: 'utf8' }).trim();
}

afterAll(async () => {
  await lab?.down();
});

describe('a machine boots', () => {
  it.each([
    ['virtio', 'uefi'],
    ['uefi-http', 'pxelinux'],
    ['grub', 'shim'],
  ])('by the ways %s and %s, each by what docs/booting.md says', async (...pair) => {
    const nodes = await powerOn(pair, hasRoot);
    for (const name of pair) await lab.power(name, 'off');
    expect(nodes.map(({ detail }) => detail)).toEqual(pair.map(() => expect.stringContaining(`debian-13/${version}`)));
    expect(pair.map((name) => [name, asked(name), given(name)])).toEqual(pair.map((name) => [name, ways[name]?.asks, ways[name]?.gets]));
  });
});

describe('a root in memory', () => {
  const isUp = ({ stage }: NodeStatus): boolean => stage === 'up';

  it('that is damaged is refused: the console and farm status say why, and the boot goes on when it is mended', async () => {
    const packed = join(directory, 'images', 'debian-13', version, 'root.squashfs');
    const whole = `${packed}.whole`;
    renameSync(packed, whole);
    const bytes = readFileSync(whole);
    const middle = bytes.length >> 1;
    bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
    writeFileSync(packed, bytes);
    const [node] = await powerOn(['ram'], ({ stage }) => stage === 'failed');
    expect(node?.detail).toMatch(/cannot\+boot:\+refused:\+the\+checksum\+of|cannot boot: refused: the checksum of/);
    expect(farm(directory, 'status')).toMatch(/^ram\s.*failed.*checksum/m);
    await printed('ram', /farm: cannot boot: refused: the checksum of .*root\.squashfs is wrong/);
    renameSync(whole, packed);
    await far(['ram'], isUp);
    expect(await onConsole(lab, 'ram', 'hostname; findmnt -nro FSTYPE /')).toBe('ram\noverlay');
  });

  it('needs the server no more, and its node reports to the one that comes back', async () => {
    await lab.killServe('SIGKILL');
    const before = Date.now();
    // Programs that nothing has read yet, and a write.
    expect(
      await onConsole(
        lab,
        'ram',
        'cat /usr/bin/* > /root/all && test -s /root/all && ls -d /usr/share/zoneinfo/Europe | wc -l && grep -c overlay /proc/mounts',
      ),
    ).toBe('1\n1');
    await lab.restartServe();
    await far(['ram'], (node) => isUp(node) && (node.lastSeen ?? 0) > before, 120);
    await lab.power('ram', 'off');
    expect(asked('ram')).toEqual(ways['ram']?.asks);
  });
});

describe('an action for one boot', () => {
  it('outlives a server that is killed, is done once, and not again after the next', async () => {
    farm(directory, 'boot', 'virtio', 'shell', '--once');
    await lab.killServe('SIGKILL');
    await lab.restartServe();
    const start = printedSoFar('virtio');
    await lab.power('virtio', 'on');
    await printed('virtio', /this boot is to stop for a shell/, start);
    expect(await initramfsShell('virtio', 'echo $((6 * 7)) on $(hostname)')).toContain('42 on virtio');
    await lab.killServe('SIGKILL');
    await lab.restartServe();
    await resetTo('virtio', hasRoot);
    expect(JSON.parse(farm(directory, 'boot', '--json'))).toContainEqual({ node: 'virtio', action: 'default' });
  });

  it('local goes to the disk once, although there is none', async () => {
    farm(directory, 'boot', 'virtio', 'local', '--once');
    await lab.power('virtio', 'off');
    const start = printedSoFar('virtio');
    await lab.power('virtio', 'on');
    await printed('virtio', /virtio boots from its own disk[\s\S]*Boot failed: could not read the boot disk/, start);
    await resetTo('virtio', hasRoot);
    await lab.power('virtio', 'off');
  });
});

async function resetTo(name: string, test: (node: NodeStatus) => boolean): Promise<void> {
  const before = Date.now();
  await lab.power(name, 'reset');
  await far([name], (node) => test(node) && (node.bootedAt ?? 0) > before);
}

/** Presses Enter until the initramfs has given a shell, and runs a line in it. */
async function initramfsShell(name: string, line: string): Promise<string> {
  const start = printedSoFar(name);
  const socket = connect(lab.consoleSocket(name));
  socket.resume();
  const knock = setInterval(() => socket.write(`\r${line}\r`), 1000);
  try {
    await printed(name, /\d+ on virtio/, start, 60);
    return readFileSync(lab.consoleLog(name), 'latin1').slice(start);
  } finally {
    clearInterval(knock);
    socket.destroy();
  }
}
