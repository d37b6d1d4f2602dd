// What /proc says, read from samples of real machines and from this one.
import { cpus, totalmem } from 'node:os';
import { describe, expect, test } from 'vitest';
import { parseDefaultInterface } from '../../src/agent/discovery.ts';
import { parseDisks, parseHardware, parseMemory, parseNetwork, parsePressure, parseSchedstat, parseStat, parseUptime } from '../../src/agent/proc.ts';
import { hardware, type Look, measure, openSampler, runnable, uptime } from '../../src/agent/sample.ts';
import { measureSpeed, yardstickText } from '../../src/agent/yardstick.ts';

describe('/proc', () => {
  test('gives the processors and their time; a guest is part of user time, waiting for a disk is idle', () => {
    const text = 'cpu  100 5 50 800 40 3 2 7 60 0\ncpu0 50 2 25 400 20 1 1 3 30 0\ncpu1 50 3 25 400 20 2 1 4 30 0\nintr 5\nprocs_running 3\nprocs_blocked 0\n';
    expect(parseStat(text)).toEqual({ busy: 167, total: 1007, cpus: 2, running: 3 });
  });

  test('gives the time that processes waited for a processor', () => {
    expect(parseSchedstat('version 15\ntimestamp 4\ncpu0 0 0 0 0 0 0 1000 2000 9\ndomain0 3 1 2\ncpu1 0 0 0 0 0 0 10 20 9\n')).toBe(2020);
  });

  test('gives the memory, the uptime and the hardware', () => {
    const text = 'MemTotal:        2014008 kB\nMemFree:          100000 kB\nMemAvailable:    1500000 kB\nSwapTotal: 10 kB\nSwapFree:        4 kB\n';
    expect(parseMemory(text)).toEqual({ total: 2014008 * 1024, free: 1500000 * 1024, swapTotal: 10240, swapFree: 4096 });
    expect(parseUptime('350735.47 234388.90\n')).toBe(350735.47);
    expect(parseHardware('processor\t: 0\nmodel name\t: Pentium III (Coppermine)\nprocessor\t: 1\nmodel name\t: Pentium III (Coppermine)\n')).toBe(
      'Pentium III (Coppermine) x 2',
    );
    expect(parseHardware('')).toBe('unknown x 1');
  });

  test('gives the bytes of the cards without the loopback, of whole disks without partitions, and the pressure', () => {
    const cards = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 99999 1 0 0 0 0 0 0 99999 1 0 0 0 0 0 0
  eth0: 1000 7 0 0 0 0 0 0 300 3 0 0 0 0 0 0
enp3s0:50 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0
`;
    expect(parseNetwork(cards)).toEqual({ received: 1050, sent: 305 });
    const disks =
      '   8  0 sda 10 0 100 5 20 0 200 5 0 5 5\n   8  1 sda1 10 0 100 5 20 0 200 5 0 5 5\n 259 0 nvme0n1 1 0 2 0 1 0 4 0\n   7 0 loop0 1 0 9 9 1 0 9 9\n';
    expect(parseDisks(disks)).toEqual({ read: 102 * 512, written: 204 * 512 });
    expect(parsePressure('some avg10=30.63 avg60=18.00 avg300=8.69 total=4236550660\nfull avg10=0.00 avg60=0 avg300=0 total=0\n')).toBe(30.63);
    expect(parsePressure('')).toBe(0);
  });

  test('gives the interface of the default route', () => {
    const route =
      'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\neth1\t00000B0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\neth0\t00000000\t01000B0A\t0003\t0\t0\t0\t00000000\t0\n';
    expect(parseDefaultInterface(route)).toBe('eth0');
    expect(parseDefaultInterface('Iface\tDestination\n')).toBeUndefined();
  });

  test('that is not as Linux writes it is an error with what was there', () => {
    expect(() => parseStat('much')).toThrow('/proc/stat is not as Linux writes it: "much"');
    expect(() => parseMemory('MemTotal: 5 kB\n')).toThrow('/proc/meminfo');
  });
});

describe('between two looks a second apart', () => {
  const memory = { total: 1000, free: 500, swapTotal: 0, swapFree: 0 };
  const nothing = { received: 0, sent: 0 };
  const look = (at: number, more: Partial<Look>): Look => ({
    ...{ at, cpu: { busy: 0, total: 0, cpus: 2, running: 1 }, waited: 0, memory, network: nothing, disk: { read: 0, written: 0 } },
    ...{ pressure: { cpu: 1, memory: 2, io: 3 }, ...more },
  });
  const busy = (ticks: number) => ({ busy: ticks, total: 200, cpus: 2, running: 4 });

  test.each<[string, Partial<Look>, number]>([
    ['nobody ran', {}, 0],
    ['one process ran all the time', { cpu: busy(100) }, 1],
    ['two ran and three waited', { cpu: busy(200), waited: 3e9 }, 5],
    ['the kernel counts no waiting, and four are runnable, this one among them', { cpu: busy(200), waited: undefined }, 3],
    ['the kernel counts no waiting, and nobody else is runnable now', { cpu: { ...busy(150), running: 1 }, waited: undefined }, 1.5],
  ])('%s', (_what, more, wanted) => {
    expect(runnable(look(0, {}), look(1000, more))).toBe(wanted);
  });

  test('rates are bytes a second, and a counter that begins anew is no rate', () => {
    const before = look(0, { network: { received: 500, sent: 9000 } });
    const now = look(2000, { cpu: busy(50), network: { received: 2500, sent: 10 }, disk: { read: 1024, written: 512 } });
    expect(measure(before, now, 1, 5000)).toEqual({
      ...{ load: 100, utilization: 0.25, pressure: { cpu: 1, memory: 2, io: 3 }, memory: { ...memory, usable: 450 } },
      rates: { networkIn: 1000, networkOut: 0, diskRead: 512, diskWrite: 256 },
    });
  });
});

test('this machine agrees with what node says', () => {
  const sampler = openSampler(0);
  const { memory, load } = sampler.sample(1000, 10_000);
  expect(sampler.cpus()).toBe(cpus().length);
  expect(Math.abs(memory.total - totalmem())).toBeLessThan(2 ** 20);
  expect(memory.free).toBeLessThanOrEqual(memory.total);
  expect(load).toBeGreaterThanOrEqual(0);
  expect(uptime()).toBeGreaterThan(0);
  expect(hardware()).toMatch(/ x \d+$/);
});

test('the yardstick is the same text everywhere, and says that this machine has a speed', () => {
  const text = yardstickText();
  expect(text).toHaveLength(65_536);
  expect(text.subarray(0, 40).toString()).toMatch(/^[a-z]+\d+ [a-z]+\d+ /);
  expect(measureSpeed()).toBeGreaterThan(100);
});
