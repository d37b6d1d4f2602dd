// The place of checkpoints, on a real file system: whole ones or none, two of each job, one node for each life.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { cannotRestore, checkpointText, readCheckpoint } from '../../../src/agent/checkpoints/record.ts';
import { openStore, type Store } from '../../../src/agent/checkpoints/store.ts';
import { noWishes } from '../../../src/agent/moves/wire.ts';
import { jobSpec } from '../../support/fake-engine.ts';
import { versions } from '../../support/moves-world.ts';

const spec = jobSpec(1, 100);
const key = spec.id;
const luggage = { moves: 1, used: 5, cpu: 1, dirtyRate: 0, left: [], wishes: { ...noWishes, checkpoint: 5 }, recalled: false, checkpointed: 0 };
const positions = { input: 1, inputEnded: false, output: 20, errors: 0, control: 0, events: 0 };
const record = { spec, positions, luggage, node: 2, versions, at: 1_700_000_000_000 };

let directory: string;
let store: Store;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'farm-checkpoints-'));
  store = openStore(() => Promise.resolve(directory));
});
afterEach(() => rmSync(directory, { recursive: true }));

async function make(images = 'pages'): Promise<number> {
  const draft = await store.begin(key, 1000);
  mkdirSync(join(draft.directory, 'images'));
  writeFileSync(join(draft.directory, 'images', 'pages-1.img'), images);
  return (await draft.publish(record)).number;
}

describe('a checkpoint', () => {
  test('is there with all that it was made of, and says how much that is', async () => {
    await make('12345');
    expect(await store.checkpoints(key)).toEqual([{ ...record, number: 1, bytes: 5, directory: join(directory, key, '1') }]);
    expect(await store.keys()).toEqual([key]);
  });

  test('replaces the last but one', async () => {
    for (let count = 0; count < 4; count += 1) await make();
    expect((await store.checkpoints(key)).map(({ number }) => number)).toEqual([4, 3]);
    expect(readdirSync(join(directory, key)).sort()).toEqual(['3', '4']);
  });

  test('that was left half is none, and swept by the next', async () => {
    await make();
    const half = await store.begin(key, 1000);
    writeFileSync(join(half.directory, 'checkpoint.json'), '{}');
    expect((await store.checkpoints(key)).map(({ number }) => number)).toEqual([1]);
    await make();
    expect(readdirSync(join(directory, key)).sort()).toEqual(['1', '2']);
  });

  test.each([
    ['no JSON', '{'],
    ['of another format', checkpointText({ ...record, number: 2, bytes: 1 }).replace('"format": 1', '"format": 9')],
    ['empty', ''],
  ])('that is %s is passed over', async (_name, text) => {
    await make();
    mkdirSync(join(directory, key, '2'));
    writeFileSync(join(directory, key, '2', 'checkpoint.json'), text);
    expect((await store.checkpoints(key)).map(({ number }) => number)).toEqual([1]);
  });

  test('is not begun on a full disk, and those before stay', async () => {
    await make();
    await expect(store.begin(key, Number.MAX_SAFE_INTEGER)).rejects.toThrow(/MiB free/);
    expect(readdirSync(join(directory, key))).toEqual(['1']);
  });

  test('of what is no job is refused', async () => {
    await expect(store.begin('../../etc', 1)).rejects.toThrow('is no job');
  });
});

describe('the next life of a job', () => {
  test('is claimed by one of many', async () => {
    await make();
    const claims = await Promise.all([2, 3, 4, 5].map((home) => store.claim(key, { ...spec, id: `${home}-7-8`, home, deputy: 7, life: 1, origin: key })));
    expect(claims.filter(Boolean)).toHaveLength(1);
    const current = await store.current(key);
    expect(current?.home).toBe([2, 3, 4, 5][claims.indexOf(true)]);
    expect(readdirSync(join(directory, key)).sort()).toEqual(['1', 'life.1']);
  });

  test('is free again when nothing came of it', async () => {
    await make();
    expect(await store.claim(key, { ...spec, life: 1 })).toBe(true);
    await store.release(key, 1);
    expect((await store.current(key))?.life).toBeUndefined();
    expect(await store.claim(key, { ...spec, life: 1 })).toBe(true);
  });

  test('of a job of which there is nothing cannot be claimed', async () => {
    expect(await store.claim(key, { ...spec, life: 1 })).toBe(false);
    expect(await store.current(key)).toBeUndefined();
  });
});

describe('when it has ended', () => {
  test('nothing is left', async () => {
    await make();
    await store.ended(key, 0);
    expect(existsSync(join(directory, key))).toBe(false);
  });

  test('output that nobody has seen is left, and its status', async () => {
    await make();
    writeFileSync(await store.outputOf(key), 'words');
    expect(await store.endOf(key)).toMatchObject({ status: undefined });
    await store.ended(key, 3);
    expect(await store.endOf(key)).toEqual({ output: join(directory, key, 'output'), spec, status: 3 });
    expect(await store.checkpoints(key)).toEqual([]);
  });
});

describe('a node', () => {
  test.each([
    ['restores what was made on one like it', versions, 1, undefined],
    ['of another kernel does not', { ...versions, kernel: '6.1.0' }, 1, 'kernel 6.1.0 here, 6.12.1 there'],
    ['with fewer instructions does not', { ...versions, features: ['sse'] }, 1, 'the processor here lacks sse2'],
    ['of another image does, for the same home', { ...versions, image: '/other/1' }, 1, undefined],
    ['of another image does not become its home', { ...versions, image: '/other/1' }, 2, 'its home had booted no image of the farm, this node /other/1'],
  ] as const)('%s', (_name, here, home, why) => {
    expect(cannotRestore(here, record, home)).toBe(why);
  });

  test('reads what it has written', () => {
    const text = checkpointText({ ...record, number: 3, bytes: 9 });
    expect(readCheckpoint(JSON.parse(text))).toEqual({ ...record, number: 3, bytes: 9 });
  });
});
