// What every reply to one machine says, whatever it asks: its network and the farm's own options, made into bytes once (RFC 2132).
import { broadcastAddress, netmask } from '../base/addresses.ts';
import { addressesValue, option, textValue } from './options.ts';
import type { Pool } from './questions.ts';

/** A host or a pool's, less what differs between the machines of a pool. */
export type HostFacts = Pool['host'];

export interface HostOptions {
  readonly subnetMask: Buffer;
  /** By code; what somebody wrote into the configuration in place of what follows from the network. */
  readonly values: ReadonlyMap<number, Buffer>;
  /** Codes that go to clients which do not ask for them. */
  readonly always: readonly number[];
  /** Codes of `values` that somebody wrote. */
  readonly custom: readonly number[];
}

/** By the object that was asked about: a farm that hands out the same one for the same machine has its bytes made once. */
const made = new WeakMap<HostFacts, HostOptions>();

export function hostOptions(host: HostFacts): HostOptions {
  const before = made.get(host);
  if (before !== undefined) return before;
  const options = makeOptions(host);
  made.set(host, options);
  return options;
}

function makeOptions(host: HostFacts): HostOptions {
  const values = new Map<number, Buffer>([[option.broadcastAddress, addressesValue([broadcastAddress(host.subnet)])]]);
  if (host.routers.length > 0) values.set(option.routers, addressesValue(host.routers));
  if (host.nameServers.length > 0) values.set(option.nameServers, addressesValue(host.nameServers));
  if (host.domain !== undefined) values.set(option.domainName, textValue(host.domain));
  if (host.rootPath !== undefined) values.set(option.rootPath, textValue(host.rootPath));
  for (const { code, value } of host.options) values.set(code, value);
  return {
    subnetMask: addressesValue([netmask(host.subnet)]),
    values,
    always: host.options.filter(({ always }) => always).map(({ code }) => code),
    custom: host.options.map(({ code }) => code),
  };
}
