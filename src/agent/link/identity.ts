// Who opens a link and to whom: the identity of TLS' pre-shared key (RFC 8446 4.2.11), text that everybody on the way can read.
import { createHmac } from 'node:crypto';
import { linkKey } from '../../cluster/key.ts';
import { nodeIdMax } from '../../cluster/map.ts';

/** The farm's server, which is no node: it may ask what is its own business. */
export const serverId = 0;

export interface LinkIdentity {
  readonly from: number;
  readonly to: number;
  /** Which of the farm's keys: while keys are rotated there are two. */
  readonly key: string;
}

export function formatIdentity({ from, to, key }: LinkIdentity): string {
  return `farm ${from} ${to} ${key}`;
}

export function parseIdentity(text: string): LinkIdentity | undefined {
  const [, from, to, key] = /^farm (\d{1,5}) (\d{1,5}) ([0-9a-f]{16})$/.exec(text) ?? [];
  if (from === undefined || to === undefined || key === undefined) return undefined;
  const isNode = (id: number) => id >= 1 && id <= nodeIdMax;
  return (isNode(Number(from)) || Number(from) === serverId) && isNode(Number(to)) ? { from: Number(from), to: Number(to), key } : undefined;
}

/** A name for a farm key that says nothing about it. */
export function keyName(farmKey: Buffer): string {
  return createHmac('sha256', linkKey(farmKey)).update('name').digest('hex').slice(0, 16);
}

/** The pre-shared key of `identity`, if it may speak: the node that the map has at its address, to this one, with a key in force. */
export function admitted(identity: LinkIdentity | undefined, self: number, at: number | undefined, farmKeys: readonly Buffer[]): Buffer | undefined {
  if (identity === undefined || identity.to !== self || identity.from !== at || identity.from === self) return undefined;
  const farmKey = farmKeys.find((key) => keyName(key) === identity.key);
  return farmKey === undefined ? undefined : linkKey(farmKey);
}
