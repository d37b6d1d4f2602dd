// Machines from YAML or JSON: farm's own export, or Warewulf's nodes.conf.
import { parseDocument } from 'yaml';
import type { NodeChange } from '../edit-nodes.ts';
import { parseClientId, parseUuid } from '../identifiers.ts';
import type { NewNode } from '../nodes.ts';
import { hostName, type Imported, importedAddress, importedMac, invalid, tagNames } from './imported.ts';

export function importYaml(text: string, source: string): Imported {
  const nodes = nodesOf(plain(text, source), source);
  const made = Object.entries(nodes).map(([name, value]) => ownNode(name, mapOf(value, `${source}: ${name}`), `${source}: ${name}`));
  return { nodes: made, ignored: [] };
}

/** One of farm's own; keys that adding a node has no argument for go as they are. */
function ownNode(name: string, fields: Fields, place: string): NewNode {
  const { id, mac: card, ip, profile, tags, uuid, client_id: clientId, ...rest } = fields;
  const text = (key: string, value: unknown): string => {
    if (typeof value !== 'string') throw invalid(place, `${key} has to be text: put it in quotes`);
    return value;
  };
  const parsed = <Value>(key: string, value: unknown, parse: (text: string) => Value | undefined): Value => {
    const result = parse(text(key, value));
    if (result === undefined) throw invalid(place, `${key} cannot be ${JSON.stringify(value)}`);
    return result;
  };
  if (id !== undefined && typeof id !== 'number') throw invalid(place, 'id has to be a number');
  if (tags !== undefined && !(Array.isArray(tags) && tags.every((tag) => typeof tag === 'string'))) throw invalid(place, 'tags has to be a list of words');
  const extra: NodeChange = rest;
  return {
    name,
    id,
    ...(card === undefined ? {} : { mac: importedMac(text('mac', card), place) }),
    address: ip === undefined ? undefined : importedAddress(text('ip', ip), place),
    profile: profile === undefined ? undefined : text('profile', profile),
    tags,
    ...(uuid === undefined ? {} : { uuid: parsed('uuid', uuid, parseUuid) }),
    ...(clientId === undefined ? {} : { clientId: parsed('client_id', clientId, parseClientId) }),
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  };
}

/** nodes.conf(5) of Warewulf 4.2 to 4.6, the older with `primary: true` at a device: `nodeprofiles` and `nodes` with `network devices`. Profiles become tags: farm's own are another thing. */
export function importWarewulf(text: string, source: string): Imported {
  const ignored: string[] = [];
  const nodes: NewNode[] = [];
  for (const [name, value] of Object.entries(nodesOf(plain(text, source), source))) {
    const place = `${source}: ${name}`;
    const fields = mapOf(value ?? {}, place);
    const devices = Object.entries(mapOf(fields['network devices'] ?? {}, place)).map(([label, device]) => ({ label, fields: mapOf(device ?? {}, place) }));
    const primary = given(fields['primary network']) ?? devices.find((device) => String(device.fields['primary']) === 'true')?.label;
    // InfiniBand's hardware addresses have 20 bytes, and nobody boots by them here.
    const all = devices.filter((device) => given(device.fields['hwaddr']) !== undefined);
    const cards = all.filter((device) => String(device.fields['type']).toLowerCase() !== 'infiniband');
    const card = cards.find(({ label }) => label === (primary ?? 'default')) ?? cards[0];
    if (card === undefined) {
      ignored.push(`${place} has no network device with hwaddr`);
      continue;
    }
    for (const { label } of all) if (label !== card.label) ignored.push(`${place}: network device ${label}`);
    const profiles = fields['profiles'];
    const tags = Array.isArray(profiles) ? profiles.map(String).filter((profile) => profile !== 'default' && !profile.startsWith('~')) : [];
    const address = given(card.fields['ipaddr']);
    nodes.push({
      name: hostName(name),
      mac: importedMac(String(card.fields['hwaddr']), place),
      address: address === undefined ? undefined : importedAddress(address.split('/')[0] ?? '', place),
      tags: tagNames(tags),
    });
  }
  return { nodes, ignored };
}

/** Text that says something: `wwctl` writes UNDEF for what is to be unset. */
function given(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' && value !== 'UNDEF' ? value : undefined;
}

type Fields = Readonly<Record<string, unknown>>;

function plain(text: string, source: string): Fields {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error !== undefined) throw invalid(source, error.message.split('\n')[0] ?? 'it is not YAML');
  return mapOf(document.toJS(), source);
}

/** The map under `nodes`, or the whole if there is none. */
function nodesOf(fields: Fields, source: string): Fields {
  return mapOf(fields['nodes'] ?? (Object.hasOwn(fields, 'nodes') ? {} : fields), source);
}

function mapOf(value: unknown, place: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(place, 'expected names with values');
  return Object.fromEntries(Object.entries(value));
}
