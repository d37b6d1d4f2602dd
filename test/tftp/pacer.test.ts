import { describe, expect, it } from 'vitest';
import { type Pump, pacer } from '../../src/tftp/pacer.ts';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A pump of so many packets; the counter tells how many it has sent. */
function source(packets: number, bytes = 1472): { readonly pump: Pump; sent: number } {
  const self = {
    sent: 0,
    pump: () => {
      if (self.sent === packets) return 0;
      self.sent += 1;
      return bytes;
    },
  };
  return self;
}

describe('the pacer', () => {
  it('lets a window go at once', () => {
    const window = source(64);
    pacer().run(window.pump);
    expect(window.sent).toBe(64);
  });

  it('gives way after a hundred packets, and goes on in the next turn', async () => {
    const pace = pacer();
    const flood = source(250);
    pace.run(flood.pump);
    const sent = [flood.sent];
    for (let turns = 0; turns < 3; turns += 1) {
      await turn();
      sent.push(flood.sent);
    }
    expect(sent).toEqual([100, 200, 250, 250]);
  });

  it('shares a turn among those that wait', async () => {
    const pace = pacer();
    const many = [source(1000), source(1000), source(1000)];
    for (const each of many) pace.run(each.pump);
    await turn();
    await turn();
    expect(many.map(({ sent }) => sent)).toEqual(
      [expect.toSatisfy((sent: number) => sent >= 132), 64, 64].map((value, at) => (at === 0 ? value : expect.toSatisfy((sent: number) => sent >= 48))),
    );
  });

  it('counts a packet that becomes fragments for several', () => {
    const large = source(64, 65_468);
    pacer().run(large.pump);
    expect(large.sent).toBe(7);
  });
});
