// What the agent keeps across restarts, and that each start is a new incarnation whatever happened to clock and file.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readNodeConfig } from '../../src/agent/openmosix-config.ts';
import { nextIncarnation, openState, parseState } from '../../src/agent/state.ts';
import { noFlags } from '../../src/cluster/entry.ts';

let directory: string;
const said: string[] = [];
const log = (_level: string, event: string) => void said.push(event);
const open = (initial = {}) => openState(directory, initial, log);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'farm-state-'));
  said.length = 0;
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('what was set', () => {
  test('is there after a restart, in a later incarnation', async () => {
    const first = await open();
    const speed = { value: 12_345, hardware: 'Pentium x 1', set: true };
    first.set({ speed, flags: { ...noFlags, stay: true, block: true }, gateways: 2 });
    first.set({ discoveredId: 77 });
    await first.settled(1000);
    const second = await open({ gateways: 1 });
    expect(second.get()).toMatchObject({ speed, flags: { stay: true, block: true, quiet: false }, gateways: 2, discoveredId: 77 });
    expect(second.get().incarnation).toBeGreaterThan(first.get().incarnation);
    await second.settled(1000);
    expect(said).toEqual([]);
  });

  test('begins with openmosix.config where there is nothing yet', async () => {
    const config = new Map(Object.entries({ MYOMID: '5', MIGRATE: 'no', BLOCK: 'yes', MFS: 'yes', NODESPEED: '7000', MOSGATES: '1' }));
    const { id, initial } = readNodeConfig(config);
    expect(id).toBe(5);
    const state = await open(initial);
    expect(state.get()).toMatchObject({ flags: { stay: true, block: true, nomfs: false }, gateways: 1, speed: { value: 7000, set: true } });
    await state.settled(1000);
    expect(() => readNodeConfig(new Map([['NODESPEED', 'fast']]))).toThrow('NODESPEED is "fast"');
    expect(readNodeConfig(new Map()).initial).toEqual({ flags: noFlags, gateways: 0 });
  });

  test.each(['', '{', '[]', 'null', '{"incarnation":-1}', '{"incarnation":1,"flags":{},"gateways":9}'])(
    'as %j is complained about, and begun anew',
    async (text) => {
      writeFileSync(join(directory, 'state.json'), text);
      const state = await open();
      await state.settled(1000);
      expect(said).toEqual(['state.unreadable']);
      expect(parseState(JSON.parse(readFileSync(join(directory, 'state.json'), 'utf8')))).toEqual(state.get());
    },
  );

  test('is told of when it cannot be kept', async () => {
    rmSync(directory, { recursive: true });
    writeFileSync(directory, 'a file');
    const state = await open();
    state.set({ gateways: 1 });
    await state.settled(1000);
    expect(state.get().gateways).toBe(1);
    expect(said).toContain('state.unkept');
  });
});

test('an incarnation is larger than the last even if the clock went back, and no two are equal even if the file is lost', () => {
  const later = nextIncarnation(0, 2_000_000_000_000);
  expect(nextIncarnation(later, 1_000_000_000_000)).toBe(later + 1);
  const lost = Array.from({ length: 20 }, () => nextIncarnation(0, 1_700_000_000_000));
  expect(new Set(lost).size).toBeGreaterThan(18);
  expect(Number.isSafeInteger(nextIncarnation(0, 4_000_000_000_000))).toBe(true);
});
