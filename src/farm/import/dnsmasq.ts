// Machines from dnsmasq(8): the dhcp-host lines of its configuration, or of a file for --dhcp-hostsfile, which has their values alone.
import { parseIpv4 } from '../../base/addresses.ts';
import { parseClientId } from '../identifiers.ts';
import type { NewNode } from '../nodes.ts';
import { hostName, type Imported, importedMac, tagNames } from './imported.ts';

export function importDnsmasq(text: string, source: string): Imported {
  const nodes: NewNode[] = [];
  const ignored: string[] = [];
  const isConfiguration = /^\s*(?:--)?dhcp-host\s*=/m.test(text);
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.replace(/(^|\s)#.*$/, '').trim();
    const place = `${source}:${index + 1}`;
    const [, value = isConfiguration ? '' : line] = /^(?:--)?dhcp-host\s*=\s*(.*)$/.exec(line) ?? [];
    if (value === '') {
      if (/^(?:--)?(?:conf-file|conf-dir|dhcp-hostsfile|dhcp-hostsdir)\b/.test(line)) ignored.push(`${place}: ${line}; import that too`);
      continue;
    }
    const node = hostOf(value, place, ignored);
    if (node !== undefined) nodes.push(node);
  }
  return { nodes, ignored };
}

function hostOf(value: string, place: string, ignored: string[]): NewNode | undefined {
  const fields = value.split(',').map((field) => field.trim());
  if (fields.includes('ignore')) {
    ignored.push(`${place}: ${value}, a machine to be ignored`);
    return undefined;
  }
  const cards = fields
    .map((field) => field.replace(/^0?1-/, ''))
    .filter(isMac)
    .map((field) => importedMac(field, place)); // 1-: Ethernet
  const clientText = fields.find((field) => field.startsWith('id:'))?.slice(3);
  const clientId = clientText === undefined ? undefined : (parseClientId(clientText) ?? parseClientId(`text:${clientText}`));
  const address = fields.map(parseIpv4).find((each) => each !== undefined);
  const tags = tagNames(fields.filter((field) => /^(?:set|net):/.test(field)).map((field) => field.slice(4)));
  const name = fields.find(isName);
  if (cards.length === 0 && clientId === undefined) {
    ignored.push(`${place}: ${value}, which has neither MAC address nor client id`);
    return undefined;
  }
  const [card, ...others] = cards;
  if (others.length > 0) ignored.push(`${place}: further cards of the machine: ${others.join(', ')}`);
  return {
    name: name === undefined ? undefined : hostName(name),
    ...(card === undefined ? {} : { mac: card }),
    ...(clientId === undefined ? {} : { clientId }),
    address,
    tags,
  };
}

/** Neither an address nor a lease time, and no card; it may begin with a digit. */
function isName(field: string): boolean {
  return /^[a-z0-9][a-z0-9._-]*$/i.test(field) && !/^(?:infinite|\d+[smhdw]?|[\d.]+|0?1-.*)$/i.test(field);
}

/** As a whole: one with wildcards (`52:54:*:*:*:*`) is no machine's. */
function isMac(field: string): boolean {
  return /^(?:[0-9a-f]{1,2}:){5}[0-9a-f]{1,2}$/i.test(field);
}
