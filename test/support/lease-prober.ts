// Probes and leases in a namespace: arguments are interface, then `network:address` to be probed; `lease` leases 10.11.0.2 to .4 after that. Prints JSON lines.
import { writeSync } from 'node:fs';
import { parseIpv4 } from '../../src/base/addresses.ts';
import { openLeases } from '../../src/dhcp/lease-store.ts';
import { openProber } from '../../src/dhcp/prober.ts';
import { claimOf, testPool } from './leases.ts';

const [name = '', path = '', ...probes] = process.argv.slice(2);
const say = (line: unknown) => writeSync(1, `${JSON.stringify(line)}\n`);
const log = (_level: string, event: string, fields = {}) => say({ event, ...fields });
const prober = openProber({ interfaceOf: (network) => (network === 'main' ? name : undefined), log });

for (const probe of probes) {
  const [network = '', text = ''] = probe.split(':');
  const address = parseIpv4(text);
  await prober.open(network);
  if (address !== undefined) say({ probe: text, can: prober.canProbe(network), ...(await prober.probe(network, address)) });
}
const pool = testPool('10.11.0.2-10.11.0.4', { subnet: '10.11.0.1/24' });
const store = openLeases({ path, log, clock: { now: () => Date.now() }, elapsed: () => performance.now(), prober });
await store.prepare(pool);
for (let client = 1; client <= 2; client++) {
  const claim = claimOf(client, pool, { rapid: true });
  for (let offer = store.offer(claim); ; offer = store.offer(claim)) {
    if (offer.kind === 'wait') await new Promise((resolve) => setTimeout(resolve, 100));
    else {
      await store.stable();
      say({ lease: offer });
      break;
    }
  }
}
await store.close();
