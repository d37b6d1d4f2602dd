// Our side of bench/dhcp: the service as `farm serve` runs it, questions, registry and lease journal included, without the other services.
// node ours.mjs <interface> <farm directory>; says `ready` on stderr, logs to stdout, ends with SIGTERM.
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { openLog } from '../../src/base/log.ts';
import { openLeases } from '../../src/dhcp/lease-store.ts';
import { startDhcpServer } from '../../src/dhcp/server.ts';
import { Cards } from '../../src/farm/cards.ts';
import { loadFarm } from '../../src/farm/config.ts';
import { place } from '../../src/farm/places.ts';
import { indexFarm } from '../../src/farm/registry.ts';

const [name = '', directory = ''] = process.argv.slice(2);
const farm = loadFarm(directory);
const registry = indexFarm(farm);
const cards = new Cards();
const [network] = farm.networks;
if (network === undefined) throw new Error('farm.yaml has no network');
const log = openLog('json');
const leases = openLeases({ path: join(directory, 'leases'), log, clock: systemClock, elapsed: () => performance.now() });
const service = await startDhcpServer({
  address: network.server,
  interface: name,
  questions: {
    place: (asker) => place(asker, { farm, registry, cards, register: () => ({ reason: 'unknown-machine', detail: 'nobody registered it' }) }),
    bootFile: () => undefined,
    mode: (link) => registry.networkOf(link)?.dhcp ?? 'off',
  },
  leases,
  log,
  clock: systemClock,
});
process.once('SIGTERM', async () => {
  await service.close();
  await leases.close();
  process.stderr.write(`${JSON.stringify(Object.fromEntries(service.counters()))}\n`);
});
process.stderr.write('ready\n');
