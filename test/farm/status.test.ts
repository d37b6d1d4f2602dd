// farm status: what was seen of a machine is told of the node that it is, whatever the node is known by.
import { describe, expect, it } from 'vitest';
import { ipv4, mac } from '../../src/base/addresses.ts';
import { parseFarm } from '../../src/farm/config.ts';
import { type Machine, observe, type Stage } from '../../src/farm/observed.ts';
import { farmStatus, nothingTold } from '../../src/farm/status.ts';

const farm = parseFarm(
  `name: lab
networks: { main: { interface: eth1, address: 10.11.0.1/24 } }
nodes:
  n1: { id: 1, mac: "52:54:00:00:00:01", ip: 10.11.0.11 }
  n2: { id: 2, client_id: "text:two", ip: 10.11.0.12 }
`,
  '/f',
);

function seen(last: number, stage: Stage, address: string, at: number): Machine {
  return observe(undefined, { mac: mac(`52:54:00:00:00:0${last}`), stage, address: ipv4(address), at });
}

function shown(...machines: readonly Machine[]): unknown {
  const { nodes, unknown } = farmStatus(farm, machines, nothingTold, true, 1000);
  return { nodes: nodes.map(({ name, mac: card, stage }) => [name, card, stage]), unknown: unknown.map(({ mac: card }) => card) };
}

const n1 = ['n1', '52:54:00:00:00:01', 'off'];

describe('a node without a MAC address', () => {
  it('is off until it asks', () => expect(shown()).toEqual({ nodes: [n1, ['n2', undefined, 'off']], unknown: [] }));

  it('is what its card was seen as, and its card is no stranger', () => {
    expect(shown(seen(2, 'kernel', '10.11.0.12', 5))).toEqual({ nodes: [n1, ['n2', '52:54:00:00:00:02', 'kernel']], unknown: [] });
  });

  it('is the last card that had its address', () => {
    const cards = [seen(3, 'up', '10.11.0.12', 9), seen(2, 'kernel', '10.11.0.12', 5)];
    expect(shown(...cards)).toEqual({ nodes: [n1, ['n2', '52:54:00:00:00:03', 'up']], unknown: ['52:54:00:00:00:02'] });
  });

  it('is no stranger that had a lease of its address, and no other node that has moved', () => {
    const machines = [seen(2, 'seen', '10.11.0.12', 5), seen(1, 'dhcp', '10.11.0.12', 6)];
    expect(shown(...machines)).toEqual({
      nodes: [
        ['n1', '52:54:00:00:00:01', 'dhcp'],
        ['n2', undefined, 'off'],
      ],
      unknown: ['52:54:00:00:00:02'],
    });
  });
});
