// Which datagrams are answered first, and which not at all, when more come than can be answered.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { fewWaiting, Intake, mostWaiting, patienceMilliseconds } from '../../src/dhcp/intake.ts';
import { encodePacket } from '../../src/dhcp/packet.ts';
import { message, request, type types } from './packets.ts';

const chaddr = (client: number) => Buffer.from([2, 0, 0, 0, client >> 8, client & 255]);
const from = (type: keyof typeof types, client: number, fields: object = {}) => encodePacket(message(type, [], { chaddr: chaddr(client), ...fields }));

/** The order in which everything that waits is answered. */
function drain(intake: Intake<string>): string[] {
  const order: string[] = [];
  for (let arrived = intake.next(); arrived !== undefined; arrived = intake.next()) order.push(arrived.from);
  return order;
}

type Message = { readonly client: number; readonly type: 'discover' | 'request' };

/** New machines, `offered` each millisecond, against a server that answers `able` messages each millisecond. Exchanges finished in the second second. */
function finished(offered: number, able: number): number {
  const intake = new Intake<Message>();
  const admit = (type: Message['type'], client: number, now: number) => intake.admit(from(type, client & 0xffff, { xid: client }), { client, type }, now);
  let done = 0;
  for (let now = 0; now < 2_000; now++) {
    for (let index = 0; index < offered; index++) admit('discover', now * offered + index, now);
    for (let index = 0; index < able; index++) {
      const message = intake.next()?.from;
      // Whoever got its OFFER sends its REQUEST at once.
      if (message?.type === 'discover') admit('request', message.client, now);
      else if (message?.type === 'request' && now >= 1_000) done += 1;
    }
  }
  return done;
}

test('who came first is answered first', () => {
  const intake = new Intake<string>();
  for (const client of [1, 2, 3]) expect(intake.admit(from('discover', client), `${client}`, client)).toBe('waiting');
  expect(drain(intake)).toEqual(['1', '2', '3']);
  expect(intake.size).toBe(0);
});

test('a REQUEST goes before DISCOVERs that came earlier: work was spent on it already', () => {
  const intake = new Intake<string>();
  for (const client of [1, 2]) intake.admit(from('discover', client), `discover ${client}`, 0);
  for (const type of ['request', 'release', 'decline', 'inform'] as const) intake.admit(from(type, 3), type, 1);
  expect(drain(intake)).toEqual(['request', 'release', 'decline', 'inform', 'discover 1', 'discover 2']);
});

test('BOOTP begins an exchange as DISCOVER does', () => {
  const intake = new Intake<string>();
  intake.admit(encodePacket(request([])), 'bootp', 0);
  intake.admit(encodePacket(request([], { cookie: false })), 'bootp without cookie', 0);
  intake.admit(from('request', 3), 'request', 0);
  expect(drain(intake)[0]).toBe('request');
});

test('a flood of renewals shuts no new machine out: every eighth answer is for one that begins', () => {
  const intake = new Intake<string>();
  intake.admit(from('discover', 1), 'discover', 0);
  for (let client = 0; client < 20; client++) intake.admit(from('request', client), 'request', 0);
  expect(drain(intake).indexOf('discover')).toBe(7);
});

describe('a repetition of what waits already is dropped:', () => {
  test.each([
    ['the seconds count on', from('discover', 1, { secs: 9 }), 'repeated'],
    ['another client', from('discover', 2), 'waiting'],
    ['another transaction', from('discover', 1, { xid: 1 }), 'waiting'],
    ['another message', from('request', 1), 'waiting'],
    ['through another relay', from('discover', 1, { giaddr: ipv4('10.12.0.1') }), 'waiting'],
  ])('%s', (_, second, admission) => {
    const intake = new Intake<string>();
    intake.admit(from('discover', 1), 'first', 0);
    expect(intake.admit(second, 'second', 1)).toBe(admission);
  });

  test('and once it is answered, a repetition waits again', () => {
    const intake = new Intake<string>();
    intake.admit(from('discover', 1), 'first', 0);
    intake.next();
    expect(intake.admit(from('discover', 1), 'again', 1)).toBe('waiting');
  });
});

describe('overload', () => {
  test('the newest is turned away while the oldest has waited too long, and no longer', () => {
    const intake = new Intake<string>();
    intake.admit(from('discover', 0), 'oldest', 0);
    for (let client = 1; client <= fewWaiting; client++) intake.admit(from('discover', client), 'later', 100);
    expect(intake.admit(from('discover', 999), 'newest', patienceMilliseconds)).toBe('overload');
    intake.next();
    expect(intake.admit(from('discover', 999), 'newest', patienceMilliseconds)).toBe('waiting');
  });

  test('a few that waited long are no overload: the process stood still', () => {
    const intake = new Intake<string>();
    for (let client = 1; client < fewWaiting; client++) intake.admit(from('discover', client), 'early', 0);
    expect(intake.admit(from('discover', 999), 'newest', 10 * patienceMilliseconds)).toBe('waiting');
  });

  test('DISCOVERs that wait too long turn no REQUEST away', () => {
    const intake = new Intake<string>();
    for (let client = 0; client < 2 * fewWaiting; client++) intake.admit(from('discover', client), 'early', 0);
    expect(intake.admit(from('request', 2), 'request', 10 * patienceMilliseconds)).toBe('waiting');
  });

  test('no more than so many wait, however fast they come', () => {
    const intake = new Intake<string>();
    const admissions = Array.from({ length: mostWaiting + 10 }, (_, client) => intake.admit(from('discover', client), '', 0));
    expect(admissions.filter((admission) => admission === 'overload')).toHaveLength(10);
    expect(intake.size).toBe(mostWaiting);
  });

  test.each([2, 4, 8])('offered %i times what it can do, it finishes as many exchanges as it can do', (times) => {
    expect(finished(2 * times, 4)).toBeGreaterThan(1_950); // four answers a millisecond are two exchanges
  });
});

test('no bytes stop it, and what it admits comes out again unchanged', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 320 }), { maxLength: 30 }), (datagrams) => {
      const intake = new Intake<number>();
      const admitted = datagrams.flatMap((bytes, index) => (intake.admit(Buffer.from(bytes), index, 0) === 'waiting' ? [index] : []));
      const out: number[] = [];
      for (let arrived = intake.next(); arrived !== undefined; arrived = intake.next()) {
        expect(arrived.datagram.equals(datagrams[arrived.from] ?? Buffer.alloc(0))).toBe(true);
        out.push(arrived.from);
      }
      expect(out.sort((a, b) => a - b)).toEqual(admitted);
    }),
    { interruptAfterTimeLimit: 800 },
  );
});
