// Nodes that stand in the text of farm.yaml: changed, renamed and taken out, with everything else untouched to the letter.
import { type Document, isMap, isNode, isScalar, parseDocument, Scalar } from 'yaml';
import { FarmError } from '../base/errors.ts';
import { readNodeLines } from './node-lines.ts';

/** Where in the text a node's lines are: from the first one's indentation to the end of the last one, its line break left out. */
interface Place {
  readonly start: number;
  readonly end: number;
}

/** A value as YAML has it; `undefined` takes the key out. */
export type NodeChange = Readonly<Record<string, unknown>>;

/** `text`, a farm.yaml without errors, with other values for the nodes of `changes`. Comments stay, in the node's own lines too. */
export function changeNodes(text: string, changes: ReadonlyMap<string, NodeChange>): string {
  return edited(text, [...changes.keys()], (block, name) => {
    const change = changes.get(name) ?? {};
    return rewritten(block, (document) => {
      for (const [key, value] of Object.entries(change)) {
        if (value === undefined) document.deleteIn([name, key]);
        else document.setIn([name, key], nodeOf(document, key, document.getIn([name, key], true), value));
      }
    });
  });
}

/** Without quotes bare digits are a number to YAML, and digits with colons one in base 60 to YAML 1.1. */
const quotedKeys: ReadonlySet<string> = new Set(['mac', 'client_id', 'uuid']);

function nodeOf(document: Document, key: string, present: unknown, value: unknown): unknown {
  if (typeof value === 'object') return document.createNode(value, { flow: true });
  if (isScalar(present)) return value; // in the quotes that it has
  const scalar = new Scalar(value);
  if (quotedKeys.has(key)) scalar.type = 'QUOTE_DOUBLE';
  return scalar;
}

/** With nodes under other names, by the present one. */
export function renameNodes(text: string, names: ReadonlyMap<string, string>): string {
  return edited(text, [...names.keys()], (block, name) => {
    const key = new RegExp(`^(\\s*)(["']?)${name}\\2(?=\\s*:)`);
    return block.replace(key, (_all, before: string, quote: string) => `${before}${quote}${names.get(name) ?? name}${quote}`);
  });
}

/** Without the nodes of `names`. Comments in lines of their own stay. */
export function removeNodes(text: string, names: readonly string[]): string {
  return edited(text, names, () => undefined);
}

/** Each node's lines replaced by what `edit` makes of them; undefined takes them out. */
function edited(text: string, names: readonly string[], edit: (block: string, name: string) => string | undefined): string {
  const places = placesOf(text);
  const found = names.map((name) => {
    const place = places.get(name);
    if (place === undefined) throw new FarmError('nodes.missing', `farm.yaml has no node ${name}`, 'farm node list shows all');
    return { name, ...place };
  });
  let done = '';
  let at = 0;
  for (const { name, start, end } of found.sort((a, b) => a.start - b.start)) {
    done += text.slice(at, start);
    const block = edit(text.slice(start, end), name);
    at = end;
    if (block !== undefined) done += block;
    else if (text.startsWith('\r\n', at)) at += 2;
    else if (text.startsWith('\n', at)) at += 1;
  }
  return done + text.slice(at);
}

function placesOf(text: string): ReadonlyMap<string, Place> {
  const quick = readNodeLines(text);
  if (quick !== undefined) return quick.places;
  const nodes = parseDocument(text, { uniqueKeys: false }).get('nodes', true);
  if (!isMap(nodes)) return new Map();
  if (nodes.flow === true && nodes.items.length > 0) {
    throw new FarmError(
      'nodes.flow',
      'the nodes of farm.yaml stand in braces, all in one value',
      'write them in lines of their own: nodes:, and below it n1: { ... }',
    );
  }
  return new Map(
    nodes.items.map(({ key, value }): [string, Place] => {
      const first = isNode(key) && key.range ? key.range[0] : 0;
      // A map in lines ends behind its line break, and may have comments of the next node behind it.
      const last = isNode(value) && value.range ? text.slice(0, value.range[1]).trimEnd().length : first;
      return [String(isScalar(key) ? key.value : key), { start: text.lastIndexOf('\n', first) + 1, end: lineEnd(text, last) }];
    }),
  );
}

function lineEnd(text: string, from: number): number {
  const newline = text.indexOf('\n', from);
  if (newline < 0) return text.length;
  return text[newline - 1] === '\r' ? newline - 1 : newline;
}

function rewritten(block: string, change: (document: Document) => void): string {
  const indent = /^ */.exec(block)?.[0] ?? '';
  const document = parseDocument(block);
  change(document);
  const newline = block.includes('\r\n') ? '\r\n' : '\n';
  return document
    .toString({ lineWidth: 0, flowCollectionPadding: true })
    .trimEnd()
    .split('\n')
    .map((line) => (line === '' ? line : indent + line))
    .join(newline);
}

/** A value as a person wrote it behind `key=` on a command line: YAML, so that `[a, b]` is a list and 7 a number. Throws `usage`. */
export function valueFromText(key: string, text: string): unknown {
  if (quotedKeys.has(key)) return text;
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error !== undefined) throw new FarmError('usage', `${text}: not a value that YAML knows`, 'quote it as in farm.yaml, e.g. tags=[a, b]');
  return document.toJS();
}

/** The nodes of a farm.yaml without errors, with the keys and values that stand there. */
export function nodesAsWritten(text: string): Readonly<Record<string, unknown>> {
  const quick = readNodeLines(text);
  if (quick !== undefined) return Object.fromEntries(quick.nodes);
  return parseDocument(text, { uniqueKeys: false }).toJS().nodes ?? {};
}
