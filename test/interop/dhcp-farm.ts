// A DHCP service in a process of its own, for a network namespace: `node dhcp-farm.mjs <interface> <server> <farm as JSON>`.
// Tells each log event as a line of JSON; ends when its stdin does.
import { type Cidr, inNetwork, ipv4, type Mac } from '../../src/base/addresses.ts';
import { systemClock } from '../../src/base/clock.ts';
import type { Log } from '../../src/base/log.ts';
import { openLeases } from '../../src/dhcp/lease-store.ts';
import { openProber } from '../../src/dhcp/prober.ts';
import type { DhcpHost, DhcpMode, Pool } from '../../src/dhcp/questions.ts';
import { startDhcpServer } from '../../src/dhcp/server.ts';

export interface InteropFarm {
  readonly hosts: Record<Mac, DhcpHost>;
  /** For machines that are not in `hosts`, by the network that they ask from. */
  readonly pools?: readonly (Omit<Pool, 'isReserved'> & { readonly subnet: Cidr })[];
  /** The lease journal. */
  readonly leases: string;
  readonly mode?: DhcpMode;
}

const [name = '', server = '', text = '{}'] = process.argv.slice(2);
const farm: InteropFarm = JSON.parse(text);
const say = (event: string, fields: object = {}) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
const log: Log = (_level, event, fields) => say(event, fields);

const pools = (farm.pools ?? []).map(
  (pool): Pool => ({ ...pool, isReserved: (address) => Object.values(farm.hosts).some((host) => host.address === address) }),
);
const prober = openProber({
  interfaceOf: (pool) =>
    inNetwork(pools.find((known) => known.name === pool)?.subnet ?? { address: ipv4(server), prefix: 32 }, ipv4(server)) ? name : undefined,
  log,
});
const leases = openLeases({ path: farm.leases, log, clock: systemClock, elapsed: () => performance.now(), prober });
for (const pool of pools) await leases.prepare(pool);

const service = await startDhcpServer({
  address: ipv4(server),
  interface: name,
  questions: {
    mode: () => farm.mode ?? 'full',
    place: ({ mac, link }) => {
      const host = mac === undefined ? undefined : farm.hosts[mac];
      if (host !== undefined) return { kind: 'host', host };
      const pool = pools.find(({ subnet }) => inNetwork(subnet, link));
      return pool === undefined ? { kind: 'nobody', reason: 'unknown-machine', detail: `no node has the MAC address ${mac}` } : { kind: 'pool', pool };
    },
    bootFile: (client) => {
      if (client.http) return { kind: 'url', url: `http://${server}/boot/${client.firmware}.efi` };
      if (client.loader === 'ipxe') return { kind: 'url', url: `http://${server}/boot.ipxe` };
      if (client.loader === 'none' && !client.bootp) return undefined;
      return { kind: 'tftp', server: ipv4(server), file: client.firmware === 'bios' ? 'undionly.kpxe' : 'ipxe.efi' };
    },
  },
  leases,
  log,
  clock: systemClock,
});
say('ready', { sockets: service.sockets });
process.stdin.resume().once('end', async () => {
  await service.close();
  await leases.close();
});
