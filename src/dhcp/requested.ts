// Which address a REQUEST is about: RFC 2131 section 4.3.2.
import { type Ipv4, ipv4Any } from '../base/addresses.ts';
import type { Located } from './exchange.ts';
import { option, readAddress } from './options.ts';

export interface Wanted {
  readonly address: Ipv4;
  /** RENEWING or REBINDING, which may come straight through a router: from which network is then unknown. */
  readonly isBound: boolean;
}

/** RFC 2131 4.3.2: the four states in which a client sends REQUEST, told apart by options 50 and 54 and by ciaddr. */
export function wantedBy({ request }: Located, isSelecting: boolean): Wanted | undefined {
  const requested = readAddress(request.options, option.requestedAddress);
  const isBound = !isSelecting && request.ciaddr !== ipv4Any;
  const address = isBound ? request.ciaddr : requested;
  return address === undefined || address === ipv4Any ? undefined : { address, isBound };
}
