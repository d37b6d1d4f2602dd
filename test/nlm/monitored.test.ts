import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { Journal } from '../../src/base/journal.ts';
import { Monitored, type MonitoredEntry, MonitoredRecord, nextState } from '../../src/nlm/monitored.ts';

const server = ipv4('10.0.0.254');
const one = ipv4('10.0.0.1');
const two = ipv4('10.0.0.2');

let folder: string;
let journal: Journal<MonitoredEntry> | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'farm-nsm-'));
});
afterEach(async () => {
  await journal?.close();
  journal = undefined;
  rmSync(folder, { recursive: true });
});

function open(): Monitored {
  const record = new MonitoredRecord();
  journal = Journal.open<MonitoredEntry>(join(folder, 'locks-monitored'), (entry) => record.replay(entry));
  return new Monitored(record, journal);
}

test.each([
  ['the first', 0, 1],
  ['up again', 1, 3],
  ['after a state that says down', 4, 5],
  ['begins anew before it is negative', 0x7fff_ffff, 1],
])('the next state is odd: %s', (_, before, after) => {
  expect(nextState(before)).toBe(after);
});

describe('what is on disk', () => {
  test('each start has another state and knows who held locks', async () => {
    let monitored = open();
    expect([monitored.state, ...monitored.clients]).toEqual([1]);
    await monitored.hold(one, server);
    await monitored.hold(two, server);
    monitored.forget(two);
    await journal?.close();
    monitored = open();
    expect(monitored.state).toBe(3);
    expect([...monitored.clients]).toEqual([{ client: one, server, holds: true }]);
    monitored.lose(one);
    await journal?.close();
    monitored = open();
    expect([...monitored.clients]).toEqual([{ client: one, server, holds: false }]);
  });

  test('a client is written once, until it is forgotten', async () => {
    const monitored = open();
    const written = monitored.hold(one, server);
    expect(monitored.hold(one, server)).toBe(written);
    await written;
    expect(monitored.hold(one, server)).toBeUndefined();
    monitored.forget(one);
    expect(monitored.hold(one, server)).toBeDefined();
  });

  test('a torn line is no client', async () => {
    await open().hold(one, server);
    await journal?.close();
    appendFileSync(join(folder, 'locks-monitored'), '{"client":"10.0.');
    expect([...open().clients].map(({ client }) => client)).toEqual([one]);
  });

  test('clients that come and go do not make it grow for ever', async () => {
    const monitored = open();
    for (let round = 0; round < 3000; round += 1) {
      void monitored.hold(one, server);
      monitored.forget(one);
    }
    await journal?.stable();
    expect(journal?.size).toBeLessThan(70_000);
  });
});

test('a client that cannot be written is not held', async () => {
  const record = new MonitoredRecord();
  const full = { size: 0, append: () => {}, stable: () => Promise.reject(new Error('full')), compact: () => {} };
  const monitored = new Monitored(record, full);
  await expect(monitored.hold(one, server)).rejects.toThrow('full');
  expect(monitored.holds(one)).toBe(false);
  await expect(monitored.hold(one, server)).rejects.toThrow('full');
});
