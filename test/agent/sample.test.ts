// What /proc says, read from samples of real machines and from this one.
import { cpus, totalmem } from 'node:os';
import { describe, expect, test } from 'vitest';
import { parseCpus, parseLoad, parseMemory, parseUptime, takeSample, uptime } from '../../src/agent/sample.ts';

describe('/proc', () => {
  test('gives the load, the processors, the memory and the uptime', () => {
    expect(parseLoad('0.42 0.31 0.18 2/713 40123\n')).toBe(0.42);
    expect(parseCpus('cpu  1 2 3\ncpu0 1 2 3\ncpu1 1 2 3\nintr 5\nctxt 9\n')).toBe(2);
    expect(parseCpus('intr 5\n')).toBe(1);
    expect(parseMemory('MemTotal:        2014008 kB\nMemFree:          100000 kB\nMemAvailable:    1500000 kB\n')).toEqual({
      total: 2014008 * 1024,
      available: 1500000 * 1024,
    });
    expect(parseUptime('350735.47 234388.90\n')).toBe(350735.47);
  });

  test('that is not as Linux writes it is an error with what was there', () => {
    expect(() => parseLoad('much')).toThrow('/proc/loadavg is not as Linux writes it: "much"');
    expect(() => parseMemory('MemTotal: 5 kB\n')).toThrow('/proc/meminfo');
  });

  test('of this machine agrees with what node says', () => {
    const { cpus: count, memory } = takeSample();
    expect(count).toBe(cpus().length);
    expect(Math.abs(memory.total - totalmem())).toBeLessThan(2 ** 20);
    expect(memory.available).toBeLessThanOrEqual(memory.total);
    expect(uptime()).toBeGreaterThan(0);
  });
});
