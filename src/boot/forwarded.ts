// Who asks when nginx stands in front: the address it saw, believed only with the secret that its generated configuration carries.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { type Ipv4, ipv4FromPeer, parseIpv4 } from '../base/addresses.ts';

/** Carries the secret. nginx sets it on every request that it passes on; a client's own is replaced there, and means nothing here. */
export const proxyHeader = 'X-Farm-Proxy';

/** The secret of a farm's proxy. Derived, so that the proxy's configuration tells nothing of the farm's key. */
export function proxySecret(farmKey: Buffer): string {
  return createHmac('sha256', farmKey).update('http proxy').digest('hex');
}

export type Asker =
  | { readonly kind: 'peer'; readonly client: Ipv4 | undefined }
  | { readonly kind: 'forwarded'; readonly client: Ipv4 }
  /** The proxy did not say for whom it asks. */
  | { readonly kind: 'unnamed' };

/**
 * The client of a request that came from `peer`. `secret` undefined: no proxy is believed. A request from loopback with the right secret
 * is for the one address in X-Forwarded-For; any other is its peer's own, whatever it says.
 */
export function askerOf(
  peer: string | undefined,
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
  secret: string | undefined,
): Asker {
  const client = ipv4FromPeer(peer ?? '');
  const said = headers[proxyHeader.toLowerCase()];
  if (secret === undefined || typeof said !== 'string' || !isLoopback(client) || !isSame(said, secret)) return { kind: 'peer', client };
  const forwarded = headers['x-forwarded-for'];
  const named = typeof forwarded === 'string' ? parseIpv4(forwarded) : undefined;
  return named === undefined ? { kind: 'unnamed' } : { kind: 'forwarded', client: named };
}

/** 127.0.0.0/8: where a proxy of this machine asks from. */
export function isLoopback(address: Ipv4 | undefined): boolean {
  return address?.startsWith('127.') === true;
}

function isSame(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
