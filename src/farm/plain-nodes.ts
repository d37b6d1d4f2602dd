// Nodes that say no more than most do, read without the schema: of 10,000 all but a few are such, and the schema takes ten times as long. What it makes
// of them is the same; a test compares.
import { type Mac, parseIpv4 } from '../base/addresses.ts';
import { nameShape } from './farm.ts';
import { idMax, type NodeText, tagShape } from './schema.ts';

/** As `farm add-node` writes it: of a card that there can be, whose first byte is even (IEEE 802: no group address). */
const ownMac = /^(?!00:00:00:00:00:00)[0-9a-f][02468ace](?::[0-9a-f]{2}){5}$/;

/** What the schema makes of a node; undefined where it has to be asked. */
export function plainNode(name: string, fields: Readonly<Record<string, unknown>>): NodeText | undefined {
  if (!nameShape.test(name)) return undefined;
  for (const key of Object.keys(fields)) if (!knownKeys.has(key)) return undefined;
  const { id, mac, ip, profile = 'default', tags = [] } = fields;
  if (typeof id !== 'number' || !Number.isInteger(id) || id < 1 || id > idMax) return undefined;
  if (typeof mac !== 'string' || !ownMac.test(mac) || typeof ip !== 'string' || typeof profile !== 'string') return undefined;
  const address = parseIpv4(ip);
  if (address === undefined || !areTags(tags)) return undefined;
  return { id, mac: mac as Mac, ip: address, profile, tags: tags.length === 0 ? none : [...new Set(tags)], options: none };
}

const knownKeys: ReadonlySet<string> = new Set(['id', 'mac', 'ip', 'profile', 'tags']);
const none: readonly never[] = [];

function areTags(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((tag) => typeof tag === 'string' && tagShape.test(tag));
}
