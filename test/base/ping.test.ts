// Probes of addresses: the bytes of ARP, and questions in virtual time.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ipv4, mac } from '../../src/base/addresses.ts';
import { arpProbe, arpSender } from '../../src/base/arp.ts';
import { Askings, type ProbeVerdict } from '../../src/base/probe.ts';

describe('ARP', () => {
  it('probes without an own IP address, to all (RFC 5227 2.1.1)', () => {
    expect(arpProbe(mac('02:00:0a:0b:00:01'), ipv4('10.11.0.7')).toString('hex')).toBe(
      'ffffffffffff02000a0b00010806' + '0001080006040001' + '02000a0b0001' + '00000000' + '000000000000' + '0a0b0007',
    );
  });

  // As Linux 6.1 answers such a probe over veth, with an Ethernet's padding behind it.
  const reply = Buffer.from(`02000a0b0001525400fa00010806${'0001080006040002'}525400fa00010a0b000702000a0b000100000000${'00'.repeat(18)}`, 'hex');

  it('tells who answers', () => {
    expect(arpSender(reply)).toEqual({ address: '10.11.0.7', mac: '52:54:00:fa:00:01' });
  });

  it('takes nothing else for an answer: shorter frames, requests, other hardware', () => {
    for (let length = 0; length < 42; length++) expect(arpSender(reply.subarray(0, length))).toBeUndefined();
    for (const at of [14, 15, 16, 17, 18, 19, 20, 21]) {
      const changed = Buffer.from(reply);
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      expect(arpSender(changed)).toBeUndefined();
    }
  });
});

describe('a question on the wire', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });
  const address = ipv4('10.11.0.7');

  /** Asks for one address; `sent` grows with every datagram. */
  function asked(send: () => boolean = () => true): { readonly askings: Askings; readonly sent: string[]; readonly verdicts: ProbeVerdict[] } {
    const sent: string[] = [];
    const verdicts: ProbeVerdict[] = [];
    const askings = new Askings((to) => {
      sent.push(to);
      return send();
    });
    void askings.ask(address).then((verdict) => verdicts.push(verdict));
    return { askings, sent, verdicts };
  }

  it('is asked twice, and nobody is there after half a second', async () => {
    const { sent, verdicts } = asked();
    await vi.advanceTimersByTimeAsync(249);
    expect(sent).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(250);
    expect([sent.length, verdicts.length]).toEqual([2, 0]);
    await vi.advanceTimersByTimeAsync(1);
    expect(verdicts).toEqual([{ kind: 'silent' }]);
  });

  it('ends with an answer, whoever else asked meanwhile', async () => {
    const { askings, sent, verdicts } = asked();
    const second = askings.ask(address);
    askings.settle(ipv4('10.11.0.8'), { kind: 'answered' });
    askings.settle(address, { kind: 'answered' });
    await vi.advanceTimersByTimeAsync(1000);
    expect([sent.length, verdicts, await second]).toEqual([1, [{ kind: 'answered' }], { kind: 'answered' }]);
  });

  it('stays open if it cannot be sent, or sent again, or the door shuts', async () => {
    const never = asked(() => false);
    let isFirst = true;
    const once = asked(() => {
      const wasFirst = isFirst;
      isFirst = false;
      return wasFirst;
    });
    const shut = asked();
    shut.askings.abandon();
    await vi.advanceTimersByTimeAsync(250);
    for (const { verdicts } of [never, once, shut]) expect(verdicts).toEqual([{ kind: 'unknown' }]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
