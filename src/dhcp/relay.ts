// What relay agents and others say of where a client is: option 82 (RFC 3046, 3527, 5107) and option 118 (RFC 3011).
import { type Ipv4, ipv4Any, ipv4FromBytes } from '../base/addresses.ts';
import { WireError } from '../base/errors.ts';
import { option, readAddress, subOptions } from './options.ts';
import type { DhcpPacket } from './packet.ts';

export interface RelayInformation {
  /** (82.1) The port that the client is plugged into, as the relay calls it. */
  readonly circuitId?: Buffer;
  /** (82.2) */
  readonly remoteId?: Buffer;
  /** Of the client's network: RFC 3527 link selection (82.5), else RFC 3011 subnet selection (118), else giaddr; absent: it is on our own. */
  readonly link?: Ipv4;
  /** RFC 5107 (82.11): the address to sign with, so that renewals pass the relay too. */
  readonly signAs?: Ipv4;
}

const circuitId = 1;
const remoteId = 2;
const linkSelection = 5;
const serverIdentifierOverride = 11;

const nothing: RelayInformation = {};

/** Throws `WireError` `dhcp.option` for an address of another length than 4. */
export function relayInformation(request: DhcpPacket): RelayInformation {
  const selected = readAddress(request.options, option.subnetSelection);
  const relay = request.giaddr === ipv4Any ? undefined : request.giaddr;
  const container = request.options.get(option.relayAgentInformation);
  if (container === undefined) {
    const link = selected ?? relay;
    return link === undefined ? nothing : { link };
  }
  const parts = subOptions(container);
  const circuit = parts.get(circuitId);
  const remote = parts.get(remoteId);
  // A switch that only marks its ports leaves giaddr at zero; what speaks of networks and servers is said by relays alone.
  const link = (relay === undefined ? undefined : address(parts, linkSelection)) ?? selected ?? relay;
  const signAs = relay === undefined ? undefined : address(parts, serverIdentifierOverride);
  return {
    ...(circuit === undefined ? {} : { circuitId: circuit }),
    ...(remote === undefined ? {} : { remoteId: remote }),
    ...(link === undefined ? {} : { link }),
    ...(signAs === undefined ? {} : { signAs }),
  };
}

/** 0.0.0.0 says nothing. */
function address(parts: ReadonlyMap<number, Buffer>, code: number): Ipv4 | undefined {
  const value = parts.get(code);
  if (value === undefined) return undefined;
  if (value.length !== 4) throw new WireError('dhcp.option', 0, `relay sub-option ${code} has ${value.length} bytes, 4 wanted`);
  const found = ipv4FromBytes(value);
  return found === ipv4Any ? undefined : found;
}
