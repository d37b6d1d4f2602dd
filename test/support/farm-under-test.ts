// A farm for the boot tests: made, built and asked by the command a user has, its machines driven through their consoles.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { fetchStatus } from '../../src/cli/status.ts';
import { loadFarm } from '../../src/farm/config.ts';
import type { NodeStatus } from '../../src/farm/status.ts';
import { waitForText } from '../../src/lab/follow.ts';
import { type Lab, type LabOptions, labKernelArgs, startLab } from '../../src/lab/lab.ts';

const top = fileURLToPath(new URL('../..', import.meta.url));
export const command: string = join(top, 'bin', 'farm');
const supervisor: string = join(top, 'dist', 'lab', 'supervisor.js');

/** Images are built once and shared by the test files and later runs; the content decides the version. */
const sharedImages = join(top, '.farm', 'images');

export function farm(directory: string, ...args: readonly string[]): string {
  return execFileSync(process.execPath, [command, '-C', directory, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

/** A fresh farm in `.farm/<name>` with the Debian 13 image, or that of another recipe, root logged in on the consoles. */
export function makeFarm(name: string, image = 'debian-13'): string {
  const directory = join(top, '.farm', name);
  rmSync(directory, { recursive: true, force: true });
  execFileSync(process.execPath, [
    command,
    'init',
    directory,
    '--name',
    name,
    '--interface',
    'farm0',
    '--address',
    '10.11.0.1/24',
    '--range',
    '10.11.0.11-10.11.0.99',
  ]);
  rmSync(join(directory, 'images'), { recursive: true });
  mkdirSync(sharedImages, { recursive: true });
  symlinkSync(sharedImages, join(directory, 'images'));
  if (!existsSync(join(sharedImages, image, 'current'))) farm(directory, 'image', 'build', image);
  const config = join(directory, 'farm.yaml');
  const text = readFileSync(config, 'utf8').replace('    image: debian-13', `    image: ${image}`);
  writeFileSync(config, text.replace('    # console_login: true', '    console_login: true'));
  // Instead of bash, which draws over what it prints: a shell without prompt, echo and line editing, and without the kernel's messages amid its lines.
  const root = join(directory, 'overlays', 'root', 'root');
  mkdirSync(root, { recursive: true });
  writeFileSync(join(root, '.bash_profile'), "stty -echo\ndmesg -n 1\nexport PS1=''\nexec sh\n");
  return directory;
}

/** On a busy host udev needs longer than systemd's 90 s to find the serial port, and then nobody is at the console. */
const kernelArgs = `${labKernelArgs} systemd.default_device_timeout_sec=600`;

/** A lab of the farm's own network with `farm serve` in it, and a machine for each node of it; `machines` to have others. */
export async function labOf(
  directory: string,
  { memoryMiB = 512, machines, powerOn }: { readonly memoryMiB?: number; readonly machines?: LabOptions['machines']; readonly powerOn?: boolean } = {},
): Promise<Lab> {
  const { nodes, networks } = loadFarm(directory);
  const [network] = networks;
  if (network === undefined) throw new Error(`no network in ${directory}`);
  return await startLab({
    directory: join(directory, '.lab'),
    farmDirectory: directory,
    network: { interface: network.link.interface, address: { address: network.server, prefix: network.subnet.prefix } },
    machines: machines ?? nodes.flatMap(({ name, mac }) => (mac === undefined ? [] : [{ name, mac, memoryMiB, firmware: 'bios' as const }])),
    serve: { command: process.execPath, args: [command, '-C', directory, 'serve', '--log-format', 'json', '--kernel-args', kernelArgs] },
    supervisor,
    ...(powerOn === undefined ? {} : { powerOn }),
  });
}

/** Asks `farm status` until `test` holds for every named node. Bounded by `signal`, whose reason then tells where the nodes were. */
export async function until(directory: string, names: readonly string[], test: (node: NodeStatus) => boolean, seconds: number): Promise<readonly NodeStatus[]> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const nodes = (await fetchStatus(directory)).nodes.filter(({ name }) => names.includes(name));
    if (nodes.length === names.length && nodes.every(test)) return nodes;
    if (Date.now() > end) throw new Error(`after ${seconds} s: ${JSON.stringify(nodes.map(({ name, stage, detail }) => ({ name, stage, detail })))}`);
    await delay(500);
  }
}

let marks = 0;

/** Runs a line in the root shell of a machine's console and gives what it printed. Throws if it does not end in time. */
export async function onConsole(lab: Lab, machine: string, line: string, seconds = 90): Promise<string> {
  const mark = `mark${++marks}x${process.pid}`;
  const log = lab.consoleLog(machine);
  const socket = connect(lab.consoleSocket(machine));
  socket.on('error', () => {}); // the wait below says what is missing
  socket.resume(); // QEMU writes a byte that its client was too slow for into the log twice: it is read, and when the line has begun there is no client
  const failed = (): Error => new Error(`${machine} did not finish within ${seconds} s: ${line}\n${readFileSync(log, 'utf8').slice(-2000)}`);
  const end = AbortSignal.timeout(seconds * 1000);
  try {
    // A login that is still under way drops what is typed ahead: knock until the shell answers. The shell joins the halves of a mark, so
    // that an echo of what is typed is not taken for the answer.
    const knock = setInterval(() => socket.write(`echo '${mark}'-'ready'\r`), 1000);
    const ready = await waitForText(log, new RegExp(`${mark}-ready`), end).finally(() => clearInterval(knock));
    if (ready === undefined) throw failed();
    socket.write(`echo '${mark}'-'begin'; { ${line}\n }; echo '${mark}'-'end' $?\r`);
    if ((await waitForText(log, new RegExp(`${mark}-begin\\r?\\n`), end)) === undefined) throw failed();
    socket.destroy();
    const found = await waitForText(log, new RegExp(`${mark}-begin\\r?\\n([\\s\\S]*?)${mark}-end (\\d+)`), end);
    if (found === undefined) throw failed();
    // The kernel's messages come to the same console.
    const text = (found[1] ?? '')
      .replaceAll('\r', '')
      .replace(/^\[ *\d+\.\d+\] .*\n/gm, '')
      .replaceAll(`${mark}-ready\n`, '')
      .trim();
    if (found[2] !== '0') throw new Error(`${machine}: status ${found[2]} of ${line}\n${text}`);
    return text;
  } finally {
    socket.destroy();
  }
}
