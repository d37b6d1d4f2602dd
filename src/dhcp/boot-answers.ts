// What is said where another server gives addresses, and on port 4011: PXE 2.1 sections 2.2.3 and 3 (proxy.ts has the sequence).
import { ipv4Any } from '../base/addresses.ts';
import { usableFile } from './boot-options.ts';
import { type DhcpAnswer, ignore, type Located } from './exchange.ts';
import { composeBootServerAck, composeProxyOffer, takesProxy } from './proxy.ts';
import type { DhcpAsker, DhcpHost } from './questions.ts';
import { poolHost, reply, whyNothing } from './replies.ts';

/** Boot information for a machine whose address is another's business. undefined: it has nothing to boot. */
function bootHost(asked: Located, asker: DhcpAsker): DhcpHost | DhcpAnswer {
  const placement = asked.context.questions.place(asker);
  if (placement.kind === 'nobody') return ignore(asked, placement.reason, placement.detail);
  return placement.kind === 'host' ? placement.host : poolHost(placement.pool, asked.request.ciaddr, placement.pool.leaseSeconds);
}

/** Silence to all but DISCOVER: the other server's offer is the one that is taken. */
export function onProxy(asked: Located, asker: DhcpAsker, message: string | undefined): DhcpAnswer {
  if (message !== 'DISCOVER') return ignore(asked, 'proxy', `${asked.asked} is for the server that gives addresses here`);
  return nameBootFile('proxy-offer', asked, asker);
}

/** A PXE boot server request: it comes from an address, to us alone. */
export function onBootServer(asked: Located, asker: DhcpAsker, message: string | undefined): DhcpAnswer {
  if (message !== 'REQUEST' && message !== 'INFORM') return ignore(asked, 'not-a-request', `message ${asked.asked} is not for a boot server`);
  if (asked.request.ciaddr === ipv4Any) return ignore(asked, 'no-address', 'a boot server request from no address');
  return nameBootFile('boot-server', asked, asker);
}

function nameBootFile(kind: 'proxy-offer' | 'boot-server', asked: Located, asker: DhcpAsker): DhcpAnswer {
  const { client, context } = asked;
  if (!takesProxy(client)) return ignore(asked, 'proxy', 'it says neither PXEClient nor HTTPClient');
  const host = bootHost(asked, asker);
  if ('kind' in host) return host;
  const next = context.questions.bootFile(client, host);
  const bootFile = next?.kind === 'nothing' ? undefined : next;
  const file = usableFile(client, bootFile);
  if (bootFile === undefined || file === undefined) return ignore(asked, 'no-boot-file', whyNothing(client, next) ?? 'there is nothing for it to boot', host);
  const compose = kind === 'proxy-offer' ? composeProxyOffer : composeBootServerAck;
  return reply(kind, asked, compose(asked, bootFile), { host, file });
}
