// Who gets an advertisement, and that it can do no harm.
import { describe, expect, test } from 'vitest';
import { mac } from '../../src/base/addresses.ts';
import { type AnswerBudget, advertisement, fullAnswerBudget, judge, readSolicitation } from '../../src/ndp/advertise.ts';
import { decodeFrame } from '../../src/ndp/frame.ts';
import { decodeMessage } from '../../src/ndp/packet.ts';
import { client, clientLinkLocal, dnsmasqAdvertisement, ipxeSolicitation, solicitation } from './frames.ts';

const server = mac('02:00:0a:0b:00:01');
const serverLinkLocal = Buffer.from('fe8000000000000000000afffe0b0001', 'hex');
const always = () => true;

function verdictOn(bytes: Buffer, isLoading: (from: string) => boolean = always) {
  const { frame, message } = readSolicitation(bytes);
  return judge(frame, message, isLoading, fullAnswerBudget(0), 0).verdict;
}

test('iPXE is answered, itself alone', () => {
  expect(verdictOn(ipxeSolicitation)).toEqual({ kind: 'answer', to: client, destination: clientLinkLocal });
});

describe('no answer', () => {
  const unspecified = Buffer.alloc(16);
  const bare = Buffer.from('8500000000000000', 'hex');
  test.each([
    ['to a machine that is not in its boot loader', 'not-loading', ipxeSolicitation, () => false],
    ['to what crossed a router', 'hop-limit', solicitation({ hopLimit: 254 }), always],
    ['to an advertisement', 'advertisement', solicitation({ message: dnsmasqAdvertisement }), always],
    ['to a host without an address, for only a multicast would reach it', 'no-source', solicitation({ source: unspecified, message: bare }), always],
    ['to a link-layer address without an address', 'link-layer', solicitation({ source: unspecified }), always],
    ['to a global address', 'source', solicitation({ source: Buffer.from('fd110000000000000000000000000001', 'hex') }), always],
    ['to fec0::1, which is no link-local address', 'source', solicitation({ source: Buffer.from('fec00000000000000000000000000001', 'hex') }), always],
  ])('%s', (_what, why, bytes, isLoading) => {
    expect(verdictOn(bytes, isLoading)).toEqual({ kind: 'silent', why });
  });
});

test('whether a machine is in its loader is asked by the address its frame came from', () => {
  expect(verdictOn(solicitation({ from: mac('52:54:00:fa:00:02') }), (from) => from === client)).toEqual({ kind: 'silent', why: 'not-loading' });
});

test('a thousand at once are answered, then a hundred a second', () => {
  const { frame, message } = readSolicitation(ipxeSolicitation);
  let budget: AnswerBudget = fullAnswerBudget(0);
  const answered = (count: number, now: number) => {
    let answers = 0;
    for (let each = 0; each < count; each += 1) {
      const judged = judge(frame, message, always, budget, now);
      budget = judged.budget;
      if (judged.verdict.kind === 'answer') answers += 1;
      else expect(judged.verdict.why).toBe('limited');
    }
    return answers;
  };
  expect(answered(1500, 0)).toBe(1000);
  expect(answered(500, 1000)).toBe(100);
  expect(answered(10, 900)).toBe(0); // the clock was set back
  expect(answered(5000, 3_600_000)).toBe(1000);
});

test('strangers use up nothing of what nodes may get', () => {
  const { frame, message } = readSolicitation(ipxeSolicitation);
  const full = fullAnswerBudget(0);
  expect(judge(frame, message, () => false, full, 0).budget).toBe(full);
});

test('the advertisement makes no router, no address and no DHCPv6 of it', () => {
  const frame = decodeFrame(advertisement(server, serverLinkLocal, client, clientLinkLocal));
  expect(frame).toMatchObject({ from: server, to: client, source: serverLinkLocal, destination: clientLinkLocal, hopLimit: 255 });
  expect(decodeMessage(frame.message)).toEqual({
    kind: 'advertisement',
    hopLimit: 0,
    flags: 0,
    lifetime: 0,
    reachableTime: 0,
    retransmissionTimer: 0,
    options: [],
  });
});
