// New nodes in the text of farm.yaml: lines of their own behind the last node, everything else untouched to the letter.
import { isMap, isNode, parseDocument } from 'yaml';
import type { Ipv4 } from '../base/addresses.ts';
import type { NodeIdentity } from './farm.ts';
import { bytesText, clientIdText } from './identifiers.ts';
import { readNodeLines } from './node-lines.ts';

/** A node as it is to be written. */
export interface NodeEntry extends NodeIdentity {
  readonly name: string;
  readonly id: number;
  readonly address: Ipv4;
  readonly profile: string | undefined;
  readonly tags?: readonly string[] | undefined;
}

/** `text`, a farm.yaml without errors, with `entries` among its `nodes`. */
export function insertNodes(text: string, entries: readonly NodeEntry[]): string {
  if (entries.length === 0) return text;
  const lines = entries.map(entryText);
  const newline = text.includes('\r\n') ? '\r\n' : '\n';
  const block = (indent: string): string => lines.map((line) => `${newline}${indent}${line}`).join('');
  const quick = readNodeLines(text);
  if (quick !== undefined) return `${text.slice(0, quick.end)}${block(quick.indent)}${text.slice(quick.end)}`;
  const nodes = parseDocument(text, { uniqueKeys: false }).get('nodes', true);
  if (isMap(nodes) && nodes.range && nodes.items.length > 0) {
    const last = nodes.items.at(-1)?.value;
    const end = text.slice(0, isNode(last) && last.range ? last.range[1] : nodes.range[1]).trimEnd().length; // a map in lines ends with its newline
    if (nodes.flow) return `${text.slice(0, end)}, ${lines.join(', ')}${text.slice(end)}`;
    const indent = nodes.range[0] - 1 - text.lastIndexOf('\n', nodes.range[0] - 1);
    const at = lineEnd(text, end);
    return `${text.slice(0, at)}${block(' '.repeat(indent))}${text.slice(at)}`;
  }
  if (isNode(nodes) && nodes.range) {
    const [start, end] = nodes.range;
    const at = lineEnd(text, end);
    return `${text.slice(0, start).trimEnd()}${text.slice(end, at)}${block('  ')}${text.slice(at)}`;
  }
  return `${text.replace(/\r?\n?$/, newline)}${newline}nodes:${block('  ')}${newline}`;
}

function lineEnd(text: string, from: number): number {
  const newline = text.indexOf('\n', from);
  if (newline < 0) return text.length;
  return text[newline - 1] === '\r' ? newline - 1 : newline;
}

function entryText({ name, id, mac, clientId, uuid, relayPort, address, profile, tags = [] }: NodeEntry): string {
  // In quotes: YAML 1.1 readers take bare digits with colons for a number in base 60, and a GUID of digits and one e for a float.
  const port = Object.entries(relayPort ?? {}).map(([key, value]) => `${key}: ${Buffer.isBuffer(value) ? JSON.stringify(bytesText(value)) : value}`);
  const fields = [
    `id: ${id}`,
    ...(mac === undefined ? [] : [`mac: "${mac}"`]),
    ...(clientId === undefined ? [] : [`client_id: ${JSON.stringify(clientIdText(clientId))}`]),
    ...(uuid === undefined ? [] : [`uuid: "${uuid}"`]),
    ...(port.length === 0 ? [] : [`relay_port: { ${port.join(', ')} }`]),
    `ip: ${address}`,
    ...(profile === undefined ? [] : [`profile: ${JSON.stringify(profile)}`]),
    ...(tags.length === 0 ? [] : [`tags: [${tags.map((tag) => (/^[a-z]/i.test(tag) ? tag : JSON.stringify(tag))).join(', ')}]`]),
  ];
  return `${name}: { ${fields.join(', ')} }`;
}
