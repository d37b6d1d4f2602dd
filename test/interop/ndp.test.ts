// Other people's router discovery against our service, on a wire between two network namespaces:  client  a0 ------ sa  server
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { mac } from '../../src/base/addresses.ts';
import { advertisement } from '../../src/ndp/advertise.ts';
import { client, clientLinkLocal, ipxeSolicitation, solicitation } from '../ndp/frames.ts';
import { command } from '../support/farm-under-test.ts';
import {
  advertise,
  endAll,
  exchange,
  folder,
  giveAddress,
  inside,
  ip,
  layWire,
  macs,
  makeSpaces,
  removeSpaces,
  removeWire,
  space,
  sysctl,
} from './ndp-wires.ts';

function missing(...programs: string[]): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root for network namespaces';
  const absent = ['ip', 'perl', 'pgrep', 'sysctl', ...programs].filter((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0);
  return absent.length === 0 ? undefined : `needs ${absent.join(', ')}`;
}

/** Skips with a reason where a program is missing, and fails there if this is CI, where nothing may be missing. */
function tryWith(programs: readonly string[], name: string, body: () => Promise<void>): void {
  const reason = missing(...programs);
  if (reason !== undefined && process.env['CI'] !== undefined) throw new Error(`${name}: ${reason}`);
  test.skipIf(reason !== undefined)(reason === undefined ? name : `${name} (${reason})`, body);
}

const isPossible = missing() === undefined;

beforeAll(async () => {
  if (isPossible) await makeSpaces();
});

beforeEach(() => {
  if (isPossible) layWire();
});

afterEach(async () => {
  await endAll();
  if (isPossible) removeWire();
});

afterAll(() => {
  if (isPossible) removeSpaces();
});

const serverLinkLocal = Buffer.from('fe8000000000000000000afffe0b0001', 'hex');
const answerToIpxe = advertisement(mac(macs.server), serverLinkLocal, client, clientLinkLocal).toString('hex');

describe('a machine in its boot loader', () => {
  tryWith(['rdisc6'], 'is told by rdisc6 that there is a router which is none', async () => {
    await advertise('sa', macs.client);
    const said = await inside(space.client, 'rdisc6', ['-1', '-v', 'a0']);
    expect(said).toMatch(/Hop limit +: +undefined/);
    expect(said).toMatch(/Stateful address conf\. +: +No/);
    expect(said).toMatch(/Stateful other conf\. +: +No/);
    expect(said).toMatch(/Router lifetime +: +0 /);
    expect(said).not.toMatch(/Prefix|MTU|DNS/);
    expect(said).toContain('from fe80::aff:fe0b:1');
    expect(said).toContain('status 0');
  });

  tryWith([], 'is answered to the very frame that iPXE sends, with one that is for it alone', async () => {
    const service = await advertise('sa', macs.client);
    expect(await exchange(ipxeSolicitation, 20)).toBe(answerToIpxe);
    expect(await service.close()).toMatchObject({ received: 1, sent: 1 });
  });

  tryWith(['rdisc6'], 'whose Linux hears the answer gets neither a router nor an address by it', async () => {
    sysctl(space.client, 'net.ipv6.conf.a0.accept_ra=2');
    await advertise('sa', macs.client);
    const before = [ip('-n', space.client, '-6', 'route').toString(), ip('-n', space.client, '-6', 'address').toString()];
    expect(await inside(space.client, 'rdisc6', ['-1', 'a0'])).toContain('status 0');
    expect([ip('-n', space.client, '-6', 'route').toString(), ip('-n', space.client, '-6', 'address').toString()]).toEqual(before);
  });
});

describe('others', () => {
  tryWith(['rdisc6'], 'a machine that is not in its loader hears nothing', async () => {
    const service = await advertise('sa', '52:54:00:fa:00:99');
    expect(await inside(space.client, 'rdisc6', ['-1', '-r', '2', '-w', '300', 'a0'])).toContain('status 2');
    expect(await service.heard('ra.ignore')).toMatchObject({ mac: macs.client, reason: 'not-loading' });
    expect(await service.close()).not.toHaveProperty('sent');
  });

  tryWith([], 'malformed and forged solicitations stop nothing and are told once a kind', async () => {
    const service = await advertise('sa', macs.client);
    const broken = [
      solicitation({ message: Buffer.from('8500000000000000' + '0100525400fa0001', 'hex') }),
      solicitation({ message: Buffer.from('8500000000000000' + '0100525400fa0001', 'hex') }),
      solicitation({ message: Buffer.from('85000000', 'hex') }),
      Buffer.from(ipxeSolicitation).fill(1, 60, 62),
      solicitation({ hopLimit: 64 }),
      ipxeSolicitation.subarray(0, 58),
    ];
    for (const frame of broken) expect(await exchange(frame, 0)).toBe('');
    expect(await exchange(ipxeSolicitation, 20)).toBe(answerToIpxe);
    const counters = await service.close();
    expect(counters).toMatchObject({ received: 7, garbage: 5, 'hop-limit': 1, sent: 1 });
    expect(service.lines.filter(({ event }) => event === 'ra.garbage').map(({ code }) => code)).toEqual(['ndp.option', 'short', 'ipv6.checksum']);
  });

  tryWith(['ndisc6'], 'no other traffic of the interface reaches us', async () => {
    const service = await advertise('sa', macs.client);
    expect(await inside(space.client, 'ndisc6', ['-1', 'fe80::aff:fe0b:1', 'a0'])).toContain('status 0');
    expect(await exchange(ipxeSolicitation, 20)).toBe(answerToIpxe);
    expect(await service.close()).toMatchObject({ received: 1 });
  });
});

describe('what can be in the way', () => {
  tryWith([], 'an interface without IPv6 is told once, and answered from as soon as it has an address', async () => {
    sysctl(space.server, 'net.ipv6.conf.sa.disable_ipv6=1');
    const service = await advertise('sa', macs.client);
    expect(await exchange(ipxeSolicitation, 0)).toBe('');
    expect(await service.heard('ra.no-address')).toMatchObject({ interface: 'sa', hint: expect.stringContaining('disable_ipv6=0') });
    expect(await exchange(ipxeSolicitation, 0)).toBe('');
    sysctl(space.server, 'net.ipv6.conf.sa.disable_ipv6=0');
    giveAddress(space.server, 'sa');
    expect(await exchange(ipxeSolicitation, 20)).toBe(answerToIpxe);
    expect(service.count('ra.no-address')).toBe(1);
  });

  tryWith([], 'an interface that goes and comes back is listened on again', async () => {
    const service = await advertise('sa', macs.client);
    removeWire();
    expect(await service.heard('ra.lost')).toMatchObject({ interface: 'sa', retryMilliseconds: 1000 });
    layWire();
    await service.heard('ra.ready');
    expect(await exchange(ipxeSolicitation, 20)).toBe(answerToIpxe);
  });

  tryWith([], 'an interface that is down is listened on once it is up, and is told of once', async () => {
    ip('-n', space.server, 'link', 'set', 'sa', 'down');
    const service = await advertise('sa', macs.client);
    expect(await service.heard('ra.lost')).toMatchObject({ reason: 'the network interface sa is down', hint: expect.stringContaining('ip link set sa up') });
    ip('-n', space.server, 'link', 'set', 'sa', 'up');
    giveAddress(space.server, 'sa');
    await service.heard('ra.ready');
    expect(await exchange(ipxeSolicitation, 20)).toBe(answerToIpxe);
    expect(service.count('ra.lost')).toBe(1);
  });

  tryWith([], 'an interface that is not there does not keep the service from starting', async () => {
    const service = await advertise('nowhere0', macs.client);
    expect(await service.heard('ra.lost')).toMatchObject({ reason: 'there is no network interface nowhere0' });
    expect(await service.heard('ready')).toMatchObject({ sockets: [] });
    expect(await service.close()).toEqual({ event: 'closed' });
  });

  tryWith([], 'a helper that is killed is started again', async () => {
    const service = await advertise('sa', macs.client);
    process.kill(service.socketHolder(), 'SIGKILL');
    expect(await service.heard('ra.lost')).toMatchObject({ reason: expect.stringContaining('SIGKILL') });
    await service.heard('ra.ready');
    expect(await exchange(ipxeSolicitation, 20)).toBe(answerToIpxe);
  });

  tryWith([], 'the helper does not outlive a service that is killed', async () => {
    const service = await advertise('sa', macs.client);
    const gone = once(spawn('tail', [`--pid=${service.socketHolder()}`, '-s', '0.1', '-f', '/dev/null'], { stdio: 'ignore' }), 'exit');
    service.child.kill('SIGKILL');
    await gone;
  });
});

describe('farm serve', () => {
  /** Runs it with one node, the client, until `act` has ended; gives the log. It has to end with status 0. */
  async function served(act: () => Promise<void>): Promise<readonly string[]> {
    const directory = mkdtempSync(join(folder, 'farm-'));
    const farm = (...args: string[]) => execFileSync(process.execPath, [command, '-C', directory, ...args], { stdio: 'pipe' });
    ip('-n', space.server, 'address', 'add', '10.11.0.1/24', 'dev', 'sa');
    farm('init', directory, '--interface', 'sa', '--address', '10.11.0.1/24', '--range', '10.11.0.11-10.11.0.99');
    farm('add-node', macs.client);
    const args = ['netns', 'exec', space.server, process.execPath, command, '-C', directory, 'serve', '--only', 'dhcp', '--log-format', 'json'];
    const serve = spawn('ip', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(serve, 'close');
    const lines: string[] = [];
    try {
      await new Promise<void>((resolve) => {
        createInterface({ input: serve.stdout }).on('line', (line) => {
          lines.push(line);
          if (line.includes('"serve.ready"')) resolve();
        });
        serve.once('exit', () => resolve());
      });
      await act();
    } finally {
      serve.kill('SIGTERM');
      expect(await ended).toEqual([0, null]);
    }
    return lines;
  }

  tryWith(['udhcpc'], 'answers a node once its ROM has asked for an address', async () => {
    const lines = await served(async () => {
      expect(await exchange(ipxeSolicitation, 1)).toBe('');
      expect(await inside(space.client, 'udhcpc', ['-i', 'a0', '-f', '-q', '-n', '-V', 'PXEClient', '-s', '/bin/true'])).toContain('status 0');
      expect(await exchange(ipxeSolicitation, 20)).toBe(answerToIpxe);
    });
    expect(lines.find((line) => line.includes('"serve.ready"'))).toContain('"icmp6 on sa"');
  });

  tryWith(['udhcpc'], 'serves without IPv6', async () => {
    sysctl(space.server, 'net.ipv6.conf.all.disable_ipv6=1');
    try {
      const lines = await served(async () => {
        expect(await inside(space.client, 'udhcpc', ['-i', 'a0', '-f', '-q', '-n', '-V', 'PXEClient', '-s', '/bin/true'])).toContain('status 0');
        expect(await exchange(ipxeSolicitation, 1)).toBe('');
      });
      expect(lines.filter((line) => line.includes('"ra.no-address"'))).toHaveLength(1);
    } finally {
      sysctl(space.server, 'net.ipv6.conf.all.disable_ipv6=0');
    }
  });
});
