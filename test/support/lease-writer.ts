// A server of leases to be killed: grants as fast as it can, and prints `address key` of each once it may be acknowledged.
import { writeSync } from 'node:fs';
import { openLeases } from '../../src/dhcp/lease-store.ts';
import { claimOf, testPool } from './leases.ts';

const [path = '', first = '0'] = process.argv.slice(2);
const pool = testPool('10.11.0.10-10.11.255.250');
const store = openLeases({ path, log: () => {}, clock: { now: () => Date.now() }, elapsed: () => performance.now() });
for (let client = Number(first); ; client += 8) {
  const granted: string[] = [];
  for (let each = client; each < client + 8; each++) {
    const claim = claimOf(each, pool, { rapid: true });
    const offer = store.offer(claim);
    if (offer.kind === 'address') granted.push(`${offer.address} ${claim.key}\n`);
  }
  await store.stable();
  for (const line of granted) writeSync(1, line);
}
