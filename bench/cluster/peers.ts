// Ninety-nine members in one process, each with a socket and the agent's own loop, for one real agent to live among.
// peers.mjs NETWORK NODES KEYFILE PORT; runs until it is killed.
import { readFileSync } from 'node:fs';
import { startMembership } from '../../src/agent/member.ts';
import { type Ipv4, ipv4 } from '../../src/base/addresses.ts';
import { noFlags } from '../../src/cluster/entry.ts';
import { parseFarmKeys } from '../../src/cluster/key.ts';

const [network = '', count = '', keyPath = '', port = ''] = process.argv.slice(2);
const keys = parseFarmKeys(readFileSync(keyPath, 'latin1'), keyPath);
const addresses = new Map<number, Ipv4>();
const ids = new Map<Ipv4, number>();
for (let id = 1; id <= Number(count); id += 1) {
  addresses.set(id, ipv4(`${network}.${id}`));
  ids.set(ipv4(`${network}.${id}`), id);
}
const facts = {
  ...{ flags: noFlags, guests: 0, version: '0.1.0', speed: 10_000, cpus: 4 },
  measures: {
    ...{ load: 100, utilization: 0.25, pressure: { cpu: 0, memory: 0, io: 0 } },
    memory: { total: 2 ** 34, free: 2 ** 33, usable: 2 ** 33, swapTotal: 0, swapFree: 0 },
    rates: { networkIn: 0, networkOut: 0, diskRead: 0, diskWrite: 0 },
  },
};
for (const [id, address] of addresses) {
  if (id === 1) continue; // the real one
  await startMembership({
    ...{ cluster: 'farm', port: Number(port), interval: 1000, self: { id, address }, incarnation: Date.now() * 1000 },
    ...{ map: () => ({ addresses, ids }), keys: () => keys, facts: () => facts, refuse: () => {}, onChange: () => {}, log: () => {} },
  });
}
