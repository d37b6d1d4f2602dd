import { describe, expect, it } from 'vitest';
import { type Ipv4, mac } from '../../src/base/addresses.ts';
import { beginsBoot, isSilent, type Machine, observe, type Stage } from '../../src/farm/observed.ts';

const it1 = mac('52:54:00:00:00:01');

function seen(...steps: readonly (readonly [stage: Stage, second: number])[]): Machine | undefined {
  return steps.reduce<Machine | undefined>(
    (machine, [stage, second]) => observe(machine, { mac: it1, stage, at: second * 1000, address: '10.11.0.10' as Ipv4 }),
    undefined,
  );
}

describe('a machine', () => {
  it('passes its stages in order, each with its time', () => {
    const machine = seen(['dhcp', 2], ['loader', 3], ['kernel', 4], ['root', 9], ['agent', 20], ['up', 21]);
    expect(machine).toMatchObject({ stage: 'up', since: 21_000, bootedAt: 2000 });
    expect(machine?.reached).toEqual({ dhcp: 2000, loader: 3000, kernel: 4000, root: 9000, agent: 20_000, up: 21_000 });
  });

  it('does not go back because a late request arrives', () => {
    expect(seen(['dhcp', 2], ['loader', 3], ['kernel', 4], ['loader', 5])).toMatchObject({ stage: 'kernel', lastSeen: 5000 });
  });

  it('boots anew when its ROM asks again', () => {
    expect(seen(['dhcp', 2], ['kernel', 4], ['up', 21], ['dhcp', 100])).toMatchObject({ stage: 'dhcp', bootedAt: 100_000, reached: { dhcp: 100_000 } });
  });

  it('is in the same boot while its ROM repeats itself', () => {
    expect(seen(['dhcp', 2], ['dhcp', 6], ['dhcp', 14])).toMatchObject({ stage: 'dhcp', bootedAt: 2000, lastSeen: 14_000 });
  });

  it('that failed and tries again moves on', () => {
    expect(seen(['dhcp', 2], ['kernel', 4], ['failed', 30], ['root', 40])?.stage).toBe('root');
  });

  it('is known by its agent although this server never saw it boot', () => {
    expect(seen(['up', 50])).toMatchObject({ stage: 'up', bootedAt: undefined });
  });

  it('is silent when its agent says nothing for three reports', () => {
    const machine = seen(['dhcp', 2], ['up', 20])!;
    expect(isSilent(machine, 34_000)).toBe(false);
    expect(isSilent(machine, 36_000)).toBe(true);
    expect(isSilent(seen(['dhcp', 2])!, 900_000)).toBe(false);
  });
});

describe('a DHCP message begins a boot', () => {
  it('of a ROM, always; of an operating system, never', () => {
    expect(beginsBoot('rom', seen(['dhcp', 1], ['loader', 2]), 3000)).toBe(true);
    expect(beginsBoot('none', undefined, 3000)).toBe(false);
  });

  it('of an iPXE, unless it is the one that we have just handed out', () => {
    expect(beginsBoot('ipxe', undefined, 3000)).toBe(true);
    expect(beginsBoot('ipxe', seen(['up', 1]), 3000)).toBe(true);
    expect(beginsBoot('ipxe', seen(['dhcp', 1], ['loader', 2]), 3000)).toBe(false);
    expect(beginsBoot('ipxe', seen(['dhcp', 1], ['loader', 2]), 300_000)).toBe(true);
  });
});
