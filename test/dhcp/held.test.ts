// Replies that promise a lease wait for the disk, all that came meanwhile together, and never out of order.
import { expect, test } from 'vitest';
import { Held, mostHeld } from '../../src/dhcp/held.ts';

/** A disk whose syncs end when the test says so. */
function disk() {
  const syncs: { readonly done: () => void; readonly failed: (error: Error) => void }[] = [];
  const released: string[] = [];
  const lost: string[] = [];
  const held = new Held<string>({
    stable: () => new Promise<void>((resolve, reject) => syncs.push({ done: resolve, failed: reject })),
    release: (reply) => released.push(reply),
    lost: (replies, error) => lost.push(...replies.map((reply) => `${reply}: ${error instanceof Error ? error.message : ''}`)),
  });
  const turn = async () => {
    for (let tick = 0; tick < 5; tick++) await Promise.resolve();
  };
  return { held, syncs, released, lost, turn };
}

test('nothing is sent before it is on disk, and one sync does for all that were added before it', async () => {
  const { held, syncs, released, turn } = disk();
  for (const name of ['a', 'b', 'c']) held.add(name, `ack ${name}`);
  held.flush();
  await turn();
  expect([syncs.length, released]).toEqual([1, []]);
  syncs[0]?.done();
  await turn();
  expect(released).toEqual(['ack a', 'ack b', 'ack c']);
});

test('a client of whom a reply waits is known until it is sent', async () => {
  const { held, syncs, turn } = disk();
  held.add('a', 'first');
  held.flush();
  held.add('a', 'second');
  held.flush();
  syncs[0]?.done();
  await turn();
  expect([held.has('a'), held.has('b')]).toEqual([true, false]);
  syncs[1]?.done();
  await turn();
  expect(held.has('a')).toBe(false);
});

test('a sync that fails sends nothing and says of whom', async () => {
  const { held, syncs, released, lost, turn } = disk();
  held.add('a', 'ack a');
  held.flush();
  syncs[0]?.failed(new Error('disk full'));
  await turn();
  expect([released, lost, held.has('a')]).toEqual([[], ['ack a: disk full'], false]);
});

test('no more than so many wait', () => {
  const { held } = disk();
  const added = Array.from({ length: mostHeld + 1 }, (_, index) => held.add(`${index}`, ''));
  expect([added.at(-2), added.at(-1)]).toEqual([true, false]);
});

test('the end waits for all', async () => {
  const { held, syncs, released, turn } = disk();
  held.add('a', 'ack a');
  const ended = held.settled();
  await turn();
  syncs[0]?.done();
  await ended;
  expect(released).toEqual(['ack a']);
});
