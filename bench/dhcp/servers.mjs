// The servers that bench/dhcp compares: how each is told its nodes and its range, and how it is started in the server's namespace.
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export const server = { interface: 's0', address: '10.98.0.1' };
export const client = { interface: 'c0', address: '10.98.0.2' };
export const prefix = 15;

const address = (number) => `10.${98 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
/** Nodes have 10.98.1.0 and on, the range 10.99.0.0 and on. */
const nodeAddress = (index) => address(256 + index);
const range = [address(65_536), address(131_070)];

/** The address perfdhcp's client `index` has: it counts on from its base, 00:0c:01:02:03:04. */
const nodeMac = (index) => {
  const number = 0x01_02_03_04 + index;
  return ['00', '0c', ...[24, 16, 8, 0].map((shift) => ((number >>> shift) & 255).toString(16).padStart(2, '0'))].join(':');
};

const nodes = (count) => Array.from({ length: count }, (_, index) => ({ name: `n${index}`, mac: nodeMac(index), ip: nodeAddress(index) }));

/** Each gives its command; `ready` says by its own words that it serves. `hold` is what it does after a start that takes time. */
export const servers = {
  farm: {
    program: process.execPath,
    command: (place, count, ours) => {
      const known = nodes(count).map(({ name, mac, ip }, index) => `  ${name}: { id: ${index + 1}, mac: "${mac}", ip: ${ip} }`);
      const network = `{ interface: ${server.interface}, address: ${server.address}/${prefix}, dynamic: ${range.join('-')}, unknown: lease, lease_time: 1h }`;
      const lines = ['name: bench', 'domain: farm.test', 'networks:', `  main: ${network}`, ...(known.length === 0 ? [] : ['nodes:', ...known])];
      writeFileSync(join(place, 'farm.yaml'), `${lines.join('\n')}\n`);
      return [process.execPath, [ours, server.interface, place]];
    },
    ready: /^ready$/m,
  },
  'Kea (memfile)': {
    program: 'kea-dhcp4',
    command: (place, count) => {
      const reservations = nodes(count).map(({ name, mac, ip }) => ({ hostname: name, 'hw-address': mac, 'ip-address': ip }));
      const subnet = { id: 1, subnet: `10.98.0.0/${prefix}`, pools: [{ pool: range.join(' - ') }], reservations };
      const config = {
        'interfaces-config': { interfaces: [server.interface], 'dhcp-socket-type': 'udp' },
        'lease-database': { type: 'memfile', persist: true, name: join(place, 'leases.csv'), 'lfc-interval': 0 },
        'valid-lifetime': 3600,
        subnet4: [subnet],
        loggers: [{ name: 'kea-dhcp4', severity: 'INFO', output_options: [{ output: 'stdout' }] }],
      };
      writeFileSync(join(place, 'kea.json'), JSON.stringify({ Dhcp4: config }));
      return ['kea-dhcp4', ['-c', join(place, 'kea.json')]];
    },
    ready: /DHCP4_STARTED/,
  },
  dnsmasq: {
    program: 'dnsmasq',
    command: (place, count) => {
      writeFileSync(
        join(place, 'hosts'),
        nodes(count)
          .map(({ name, mac, ip }) => `${mac},${name},${ip}\n`)
          .join(''),
      );
      const files = [`--dhcp-leasefile=${join(place, 'leases')}`, `--dhcp-hostsfile=${join(place, 'hosts')}`, `--pid-file=${join(place, 'pid')}`];
      const what = [`--dhcp-range=${range.join(',')},255.254.0.0,1h`, '--dhcp-lease-max=100000', '--dhcp-authoritative', '--no-ping', '--log-facility=-'];
      return ['dnsmasq', ['-k', '-p', '0', '-C', '/dev/null', '--user=root', `--interface=${server.interface}`, ...what, ...files]];
    },
    ready: /DHCP, IP range/,
  },
};

export function isInstalled(program) {
  return existsSync(program) || spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
}

/** How long a server may take to read 50,000 nodes. */
const startLimit = 120_000;

/** Starts it in the namespace; its log goes to a file, as it would in service. */
export async function start(name, count, folder, space, ours) {
  const place = join(folder, `${name.replace(/\W+/g, '-')}-${count}`);
  mkdirSync(place, { recursive: true });
  const { command, ready } = servers[name];
  const [program, args] = command(place, count, ours);
  const path = join(place, 'log');
  const log = openSync(path, 'w');
  const env = { PATH: process.env.PATH, KEA_PIDFILE_DIR: place, KEA_LOCKFILE_DIR: place };
  const child = spawn('ip', ['netns', 'exec', space, program, ...args], { stdio: ['ignore', log, log], env });
  closeSync(log);
  const exit = new Promise((resolve) => child.once('exit', (code) => resolve(`ended with ${code}`)));
  let ended = false;
  void exit.then(() => {
    ended = true;
  });
  const began = performance.now();
  while (!ready.test(readFileSync(path, 'utf8'))) {
    if (ended || performance.now() - began > startLimit) throw new Error(`${name} did not start:\n${readFileSync(path, 'utf8').slice(-2000)}`);
    await sleep(100);
  }
  return {
    seconds: (performance.now() - began) / 1000,
    usage: () => usage(child.pid),
    alive: () => !ended,
    close: async () => {
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await exit;
      clearTimeout(late);
    },
  };
}

/** Of one process with its threads: seconds of processor, megabytes in memory. */
function usage(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return { processor: (Number(fields[11]) + Number(fields[12])) / 100, memory: Number(kilobytes) / 1024 };
}
