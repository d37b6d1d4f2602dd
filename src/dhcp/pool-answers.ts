// What is said to machines that lease an address: RFC 2131 sections 4.3.1 and 4.3.2, RFC 4039, RFC 1534 for BOOTP.
import { inNetwork } from '../base/addresses.ts';
import { claimOf } from './asker.ts';
import { type DhcpAnswer, ignore, type Located } from './exchange.ts';
import { option } from './options.ts';
import type { DhcpAsker, Pool } from './questions.ts';
import { give, poolHost, refuse } from './replies.ts';
import { wantedBy } from './requested.ts';

export function discoverInPool(asked: Located, asker: DhcpAsker, pool: Pool): DhcpAnswer {
  const rapid = asked.request.options.has(option.rapidCommit);
  return offerInPool(rapid ? 'ack' : 'offer', asked, asker, pool, rapid);
}

/** RFC 1534 2: a client that asks by BOOTP knows of no lease time and asks once, so its address is its own for good, and granted at once. */
export function bootpInPool(asked: Located, asker: DhcpAsker, pool: Pool): DhcpAnswer {
  return offerInPool('bootp', asked, asker, { ...pool, leaseSeconds: Number.POSITIVE_INFINITY }, true);
}

function offerInPool(kind: 'offer' | 'ack' | 'bootp', asked: Located, asker: DhcpAsker, pool: Pool, rapid: boolean): DhcpAnswer {
  const { request, context, link } = asked;
  if (!inNetwork(pool.subnet, link)) return ignore(asked, 'wrong-network', `${link} is not in the network ${pool.name}`);
  const claim = claimOf(request, asker, pool, rapid);
  if (claim === undefined) return ignore(asked, 'no-mac', 'it says nothing to know a lease by');
  const offered = context.leases.offer(claim, context.now);
  if (offered.kind === 'wait') return ignore(asked, 'probing', offered.why);
  if (offered.kind === 'full') return ignore(asked, 'pool-full', offered.why);
  return give(kind, asked, poolHost(pool, offered.address, offered.seconds), { pool, rapid: kind === 'ack' });
}

/**
 * RFC 2131 4.3.2. We speak for the networks of the farm: an address of another network, or of a registered machine, is refused at once. An address
 * inside it of which we have no record may be another server's, and INIT-REBOOT, RENEWING and REBINDING then get silence.
 */
export function requestInPool(asked: Located, asker: DhcpAsker, pool: Pool, isSelecting: boolean): DhcpAnswer {
  const { request, context, link } = asked;
  const wanted = wantedBy(asked, isSelecting);
  if (wanted === undefined) return ignore(asked, 'no-address', 'a REQUEST with neither option 50 nor ciaddr');
  const { address } = wanted;
  if (!inNetwork(pool.subnet, address)) return refuse(asked, address, 'wrong-network', `${address} is not of the network of ${link}`);
  if (pool.isReserved(address)) return refuse(asked, address, 'wrong-address', `${address} is another machine’s`);
  const claim = claimOf(request, asker, pool);
  if (claim === undefined) return ignore(asked, 'no-mac', 'it says nothing to know a lease by');
  const granted = context.leases.request({ ...claim, address }, context.now);
  if (granted.kind === 'granted') return give('ack', asked, poolHost(pool, granted.address, granted.seconds), { pool });
  if (granted.kind === 'refused') return refuse(asked, address, 'wrong-address', granted.why);
  // It chose our offer, and we know of none: it has to begin anew.
  if (isSelecting) return refuse(asked, address, 'no-lease', `${address} was not offered to it`);
  return ignore(asked, 'no-lease', `no record of ${address} for it`);
}
