// What agents say to each other of moves: every value is read as it was meant, or refused with a WireError, whatever it is.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { PassThrough, Readable, Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setImmediate as turn } from 'node:timers/promises';
import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { outcome, placeOf } from '../../../src/agent/moves/asked.ts';
import { readNews } from '../../../src/agent/moves/news.ts';
import { contention, ownersPart } from '../../../src/agent/moves/own.ts';
import { framePages, unframePages } from '../../../src/agent/moves/page-frames.ts';
import { readSpec } from '../../../src/agent/moves/spec.ts';
import { mismatch, parseFeatures } from '../../../src/agent/moves/versions.ts';
import { noWishes, readLuggage, readPositions, readSaid, readWord } from '../../../src/agent/moves/wire.ts';
import { FarmError, WireError } from '../../../src/base/errors.ts';
import { isOver, notWeighed, weighed } from '../../../src/cluster/deflating.ts';
import { noFlags } from '../../../src/cluster/entry.ts';
import { anotherRound } from '../../../src/cluster/precopy.ts';
import { jobSpec } from '../../support/fake-engine.ts';
import { versions } from '../../support/moves-world.ts';

const move = { from: 1, incarnation: 7, serial: 1 };
const offered = {
  job: { id: '1-100-77', home: 1, cpu: 0.5, memory: 1000, traffic: { node: 1, ratio: 0 } },
  source: { id: 1, cpus: 1, speed: 10_000, wanted: 2, memory: { total: 10, usable: -1 } },
  reason: 'cost',
  nodes: 3,
};
const luggage = {
  moves: 2,
  used: 5.5,
  cpu: 1,
  dirtyRate: 0,
  left: [{ node: 2, ago: 17 }],
  wishes: { ...noWishes, allowed: [1, 2], decay: { keep: 926, interval: 5 } },
  recalled: false,
};
const news = {
  ...{
    id: '1-100-77',
    moves: 1,
    goingTo: 2,
    cpu: 1,
    memory: 5,
    used: 7,
    wishes: noWishes,
    holds: ['it rests'],
    attempts: 1,
    failure: 'x',
    thinks: 'settled',
    unsaved: undefined,
    life: 0,
  },
  obstacles: [{ code: 'socket', message: 'm', remedy: 'r' }],
};

/** As it arrives. */
function sent(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

const codecs: readonly (readonly [string, (value: unknown) => unknown, unknown])[] = [
  ['an offer', readSaid, { message: { kind: 'offer', move, offered }, versions, detail: undefined }],
  ['a refusal', readSaid, { message: { kind: 'refuse', move, why: 'version' }, versions: undefined, detail: 'other kernel' }],
  ['a return', readSaid, { message: { kind: 'returned', move }, versions: undefined, detail: undefined }],
  ['luggage', readLuggage, luggage],
  ['positions', readPositions, { input: 1, inputEnded: true, output: 2, errors: 3, control: 4, events: 5 }],
  ['a word', readWord, { ok: false, code: 'job.immovable', why: 'because' }],
  ['a spec', readSpec, jobSpec(1, 100, { limits: [{ resource: 'nofile', soft: 1024, hard: undefined }], window: { columns: 80, rows: 24 }, mounts: ['/tmp'] })],
];

describe('on the wire', () => {
  test.each(codecs)('%s is what was meant', (_name, read, value) => {
    expect(read(sent(value))).toEqual(value);
  });

  test('news is what was meant', () => {
    expect(readNews(sent({ jobs: [news] }))).toEqual([news]);
  });

  const all = [...codecs, ['news', readNews, { jobs: [news] }] as const];

  test.each(all)('%s with anything else in it is read or refused, and nothing worse', (_name, read, value) => {
    const paths = [...pathsOf(sent(value))];
    fc.assert(
      fc.property(fc.nat(paths.length - 1), fc.jsonValue(), (which, other) => {
        const changed = replaced(sent(value), paths[which] ?? [], other);
        try {
          read(changed);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }),
      { numRuns: 150 },
    );
  });

  test.each([
    ['an id of another home', { id: '2-100-77' }],
    ['no program', { args: [] }],
    ['a directory with ..', { directory: '/root/../etc' }],
    ['a relative mount', { mounts: ['tmp'] }],
    ['a limit that is no word', { limits: [{ resource: '--help', soft: 1, hard: 1 }] }],
    ['a negative uid', { uid: -1 }],
  ])('a spec with %s is refused', (_what, wrong) => {
    expect(() => readSpec(sent({ ...jobSpec(1, 100), ...wrong }))).toThrow(WireError);
  });
});

function* pathsOf(value: unknown, at: readonly string[] = []): Generator<readonly string[]> {
  yield at;
  if (typeof value === 'object' && value !== null) for (const [name, inner] of Object.entries(value)) yield* pathsOf(inner, [...at, name]);
}

function replaced(value: unknown, [first, ...rest]: readonly string[], other: unknown): unknown {
  if (first === undefined || typeof value !== 'object' || value === null) return other;
  const inner = replaced(Reflect.get(value, first), rest, other);
  return Array.isArray(value) ? value.map((item, index) => (String(index) === first ? inner : item)) : { ...value, [first]: inner };
}

describe('pages on the wire', () => {
  const frame = (kind: number, body: Buffer): Buffer => {
    const head = Buffer.alloc(5);
    head.writeUInt8(kind);
    head.writeUInt32BE(body.length, 1);
    return Buffer.concat([head, body]);
  };
  const read = async (bytes: Buffer, piece: number): Promise<Buffer> => {
    const stream = new PassThrough();
    for (let at = 0; at < bytes.length; at += piece) stream.write(bytes.subarray(at, at + piece));
    stream.end();
    const out = new PassThrough();
    const [said] = await Promise.all([buffer(out), unframePages(stream, out).finally(() => out.end())]);
    return said;
  };

  test('are whole again, in whatever pieces they come', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 5 }), fc.integer({ min: 1, max: 64 }), async (bodies, piece) => {
        const plain = bodies.map((body) => Buffer.from(body));
        const bytes = Buffer.concat(plain.map((body, index) => (index % 2 === 0 ? frame(0, body) : frame(1, deflateRawSync(body)))));
        expect(await read(bytes, piece)).toEqual(Buffer.concat(plain));
      }),
      { numRuns: 30 },
    );
  });

  test.each([
    ['plain', { ...notWeighed, length: Number.POSITIVE_INFINITY }],
    ['deflated', { ...notWeighed, way: 'deflated', length: 400_000 }],
  ] as const)('are what criu said, through a network and a page server that take their time: %s', async (_way, begin) => {
    const said = Buffer.concat([Buffer.alloc(700_000, 'much that shrinks '), randomBytes(900_000), Buffer.alloc(3, 'end')]);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2000, max: 400_000 }), fc.integer({ min: 1, max: 5 }), async (piece, turns) => {
        const slow = (parts: Buffer[], next?: PassThrough) =>
          new Writable({
            highWaterMark: 50_000,
            async write(chunk: Buffer, _encoding, done) {
              for (let count = 0; count < turns; count += 1) await turn();
              parts.push(chunk);
              next?.write(chunk);
              done();
            },
            final: (done) => void done(next?.end() && null),
          });
        const network = new PassThrough();
        const heard: Buffer[] = [];
        const carried = { plain: 0, sent: 0 };
        const sent: Buffer[] = [];
        const pieces = Array.from({ length: Math.ceil(said.length / piece) }, (_none, index) => said.subarray(index * piece, (index + 1) * piece));
        const pageServer = slow(heard);
        await Promise.all([
          framePages(Readable.from(pieces, { objectMode: false }), slow(sent, network), carried, { now: begin }, () => 0),
          unframePages(network, pageServer).then(() => new Promise<void>((resolve) => pageServer.end(resolve))),
        ]);
        expect(Buffer.concat(heard).equals(said)).toBe(true);
        expect(carried).toEqual({ plain: said.length, sent: Buffer.concat(sent).length });
      }),
      { numRuns: 8 },
    );
  });

  test('reach their end although the socket says so while nothing can be taken', async () => {
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const criu = connect(port, '127.0.0.1');
    const [found]: Socket[] = await once(server, 'connection');
    const waiting: (() => void)[] = [];
    const stuck = new Writable({ write: (_chunk, _encoding, done) => void waiting.push(done) });
    const carried = { plain: 0, sent: 0 };
    const done = framePages(found!, stuck, carried, { now: notWeighed }, () => 0);
    criu.end(Buffer.alloc(1_000_000, 'x'));
    await once(criu, 'finish');
    let over = false;
    void done.then(() => {
      over = true;
    });
    while (!over) {
      await turn();
      waiting.shift()?.();
    }
    expect(carried.plain).toBe(1_000_000);
    criu.destroy();
    server.close();
  });

  test('that the network does not take are an error', async () => {
    const broken = new Writable({ write: (_chunk, _encoding, done) => done(new Error('gone')) });
    broken.on('error', () => {});
    await expect(framePages(Readable.from([Buffer.alloc(1_000_000)]), broken, { plain: 0, sent: 0 }, { now: notWeighed }, () => 0)).rejects.toThrow('gone');
  });

  test.each([
    ['of an unknown kind', frame(2, Buffer.from('x'))],
    ['too long', Buffer.from([0, 0x7f, 0xff, 0xff, 0xff, 1])],
    ['cut off', frame(0, Buffer.from('abc')).subarray(0, 6)],
    ['not deflated', frame(1, Buffer.from('no'))],
    ['that inflate to more than a frame', frame(1, deflateRawSync(Buffer.alloc(2 ** 20)))],
  ])('that are %s are refused', async (_what, bytes) => {
    await expect(read(bytes, 64)).rejects.toThrow(WireError);
  });
});

describe('deflating', () => {
  const trial = notWeighed.length;
  /** Which way `total` bytes go, if they shrink to `part`; rates in bytes a ms. */
  const went = (total: number, { part, deflate, network }: { part: number; deflate: number; network: number }) => {
    const bytes = { deflated: 0, plain: 0 };
    let weighing = notWeighed;
    for (let done = 0; done < total; done += weighing.length) {
      const { way, length } = weighing;
      bytes[way] += length;
      const sent = way === 'plain' ? length : length * part;
      weighing = weighed(weighing, { plain: length, sent, spent: Math.max(sent / network, way === 'plain' ? 0 : length / deflate) });
    }
    return bytes.deflated / (bytes.deflated + bytes.plain);
  };

  test.each([
    ['text over Fast Ethernet is deflated', { part: 0.25, deflate: 60_000, network: 12_000 }, [0.8, 1]],
    ['text over Gigabit Ethernet is not', { part: 0.25, deflate: 60_000, network: 118_000 }, [0, 0.1]],
    ['text from a slow processor is not', { part: 0.25, deflate: 4000, network: 12_000 }, [0, 0.1]],
    ['noise is not', { part: 1, deflate: 60_000, network: 12_000 }, [0, 0.1]],
    ['what would gain a little is not', { part: 0.95, deflate: 60_000, network: 12_000 }, [0, 0.1]],
  ] as const)('%s', (_what, speeds, [least, most]) => {
    const share = went(1000 * 2 ** 20, speeds);
    expect(share).toBeGreaterThanOrEqual(least);
    expect(share).toBeLessThanOrEqual(most);
  });

  test('is tried anew after a while, for memory is not the same everywhere', () => {
    const [noise, text] = [
      { plain: 100, sent: 100, spent: 10 },
      { plain: 100, sent: 20, spent: 2 },
    ];
    const afterNoise = weighed(weighed(notWeighed, noise), noise);
    expect(afterNoise.way).toBe('plain');
    expect(afterNoise.length).toBeGreaterThan(trial);
    const again = weighed(afterNoise, noise);
    expect(again).toMatchObject({ way: 'deflated', length: trial });
    expect(weighed(again, text).way).toBe('deflated');
  });

  test('ends as soon as nothing shrinks', () => {
    const trying = { way: 'deflated', length: 4 * 2 ** 20, rates: {} } as const;
    expect(isOver(trying, { plain: 1000, sent: 999 })).toBe(true);
    expect(isOver(trying, { plain: 1000, sent: 500 })).toBe(false);
    expect(isOver(notWeighed, { plain: 1000, sent: 1000 })).toBe(false);
  });

  test('is not tried with what is small', () => {
    expect(notWeighed.way).toBe('plain');
  });
});

describe('one more round of pre-copy', () => {
  const mebibyte = 2 ** 20;
  test.each([
    ['is not made for a small job', 4 * mebibyte, [], false],
    ['is made first for a large one', 64 * mebibyte, [], true],
    ['is made after the first, however much that was', 64 * mebibyte, [64 * mebibyte], true],
    ['is made while each is shorter', 64 * mebibyte, [64 * mebibyte, 30 * mebibyte], true],
    ['is not made when the last was hardly shorter', 64 * mebibyte, [64 * mebibyte, 60 * mebibyte], false],
    ['is not made when little is left', 64 * mebibyte, [64 * mebibyte, 3 * mebibyte], false],
    ['is not made for ever', 10_000 * mebibyte, [5000, 3000, 1500, 700, 300].map((size) => size * mebibyte), false],
  ])('%s', (_what, memory, rounds, expected) => {
    expect(anotherRound(memory, rounds)).toBe(expected);
  });
});

describe('what was frozen there', () => {
  test.each([
    ['on an equal node can be thawed', {}, undefined],
    ['with another criu cannot', { criu: '3.17.1' }, 'criu 4.1.1 here, 3.17.1 there'],
    ['without criu cannot', { criu: '' }, 'criu 4.1.1 here, none there'],
    ['on a processor that can do more cannot', { features: ['sse', 'sse2', 'avx2'] }, 'the processor here lacks avx2'],
    ['on one that can do less can', { features: ['sse'] }, undefined],
    ['under a hypervisor can', { features: ['sse', 'hypervisor'] }, undefined],
    ['by another agent cannot', { agent: '0.2.0' }, 'farm-agent 0.1.0 here, 0.2.0 there'],
  ])('%s', (_what, there, expected) => {
    expect(mismatch(versions, { ...versions, ...there })).toBe(expected);
  });

  test('has the flags of the first processor', () => {
    expect(parseFeatures('processor\t: 0\nflags\t\t: fpu sse sse2\nbugs\t\t:\n')).toEqual(['fpu', 'sse', 'sse2']);
    expect(parseFeatures('')).toEqual([]);
  });
});

describe('a request for a place', () => {
  const job = { spec: jobSpec(1, 100), where: 1 };
  const request = { to: 2, at: 0, moves: 1, attempts: 3 };
  const told = { ...news, moves: 1, attempts: 3, failure: undefined };
  test.each([
    ['that was never made says nothing', undefined, job, told, 0, ''],
    ['is under way', request, job, told, 1000, 'moving'],
    ['is done when the job is there', request, { ...job, where: 2 }, told, 1000, 'done'],
    ['has failed when one more move came to nothing', request, job, { ...told, attempts: 4, failure: 'criu' }, 1000, 'failed: criu'],
    ['was refused at once', { ...request, refused: 'node 2 is not up' }, job, told, 0, 'failed: node 2 is not up'],
    ['is given up after two minutes', request, job, told, 120_001, 'failed: no word of it'],
    ['of the balancer is done when it moved', { ...request, to: 'balance' as const }, job, { ...told, moves: 2 }, 10, 'done'],
  ])('%s', (_what, asked, at, said, now, expected) => {
    expect(outcome(asked, at, said, now)).toBe(expected);
  });

  test.each([
    ['3', 3],
    ['0', 1],
    ['home', 1],
    ['-1', 'balance'],
    ['balance', 'balance'],
  ])('%s is a place', (word, place) => {
    expect(placeOf(`${word}\n`, 1)).toBe(place);
  });

  test.each(['', 'x', '99999999', '1.5', '-2'])('"%s" is none', (word) => {
    expect(() => placeOf(word, 1)).toThrow(FarmError);
  });
});

describe('what is the owner’s', () => {
  const machine = { flags: noFlags, cpus: 1, speed: 10_000, runnable: 4, working: 1, memory: { total: 1, free: 1 }, memoryPressure: 0 };

  test('is what the processors worked beyond the jobs, and as crowded as they are', () => {
    expect(contention(machine)).toBe(4);
    expect(contention({ ...machine, working: 0, runnable: 0 })).toBe(1);
    let part = 0;
    for (let second = 0; second < 60; second += 1) part = ownersPart(part, machine, 0.75);
    expect(part).toBeCloseTo(1, 2);
  });

  test('is nothing where jobs do all the work', () => {
    expect(ownersPart(0, machine, 1)).toBe(0);
  });
});
