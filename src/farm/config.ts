// farm.yaml, read: every error says file, line, column and what was expected.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, isMap, isNode, isPair, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { FarmError, systemCode } from '../base/errors.ts';
import { checkedFarm } from './checked.ts';
import type { Complaint } from './complaints.ts';
import type { Farm } from './farm.ts';
import { readNodeLines } from './node-lines.ts';
import { plainNode } from './plain-nodes.ts';
import type { NodeText } from './schema.ts';

export const configFile = 'farm.yaml';

/** More complaints help nobody: a screenful. */
const complaintsMax = 40;

/** Reads and checks `<directory>/farm.yaml`. Throws `FarmError` with every complaint, each with its line and column. */
export function loadFarm(directory: string): Farm {
  const path = join(directory, configFile);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    throw new FarmError('farm.missing', `there is no ${configFile} in ${directory}`, 'make a farm there with: farm init', error);
  }
  return parseFarm(text, directory);
}

/** yaml's own check for double keys compares each with all others; `doubleKeys` does not. What it would warn of is refused below. */
const yamlOptions = { uniqueKeys: false, logLevel: 'error' } as const;

/** `text` of a farm in `directory`, as `loadFarm`. */
export function parseFarm(text: string, directory: string): Farm {
  return quickFarm(text, directory) ?? locatedFarm(text, directory);
}

/** Without places for complaints: undefined if there is anything to complain of, or YAML to be read that is not one line a node. */
function quickFarm(text: string, directory: string): Farm | undefined {
  const lines = readNodeLines(text);
  if (lines === undefined) return undefined;
  const document = parseDocument(lines.rest, yamlOptions);
  if (document.errors.length > 0 || [...doubleKeys(document.contents, [])].length > 0) return undefined;
  const rest = plainValue(document);
  if (rest instanceof ReferenceError || typeof rest !== 'object' || rest === null || Reflect.get(rest, 'nodes') !== null) return undefined; // `nodes:` was part of something else
  const plain = new Map<string, NodeText>();
  const others: Record<string, unknown> = {};
  for (const [name, fields] of lines.nodes) {
    const node = plainNode(name, fields);
    if (node === undefined) others[name] = fields;
    else plain.set(name, node);
  }
  const result = checkedFarm({ ...rest, nodes: others }, directory, plain);
  return 'farm' in result ? result.farm : undefined;
}

function locatedFarm(text: string, directory: string): Farm {
  const lines = new LineCounter();
  const document = parseDocument(text, { ...yamlOptions, lineCounter: lines });
  const path = join(directory, configFile);
  const [syntax] = document.errors;
  if (syntax !== undefined) {
    const { line, col } = lines.linePos(syntax.pos[0]);
    const message = syntax.message.replace(/ at line \d+, column \d+:?[\s\S]*/, '');
    throw new FarmError('config.syntax', `${path}:${line}:${col}: ${message}`, 'the file is YAML 1.2: check indentation and quotes there', syntax);
  }
  const twice = [...doubleKeys(document.contents, [])];
  const value = plainValue(document);
  if (value instanceof ReferenceError) {
    throw new FarmError('config.syntax', `${path}: ${value.message}`, 'correct the `*name` that is meant, or write its value out', value);
  }
  const result = twice.length > 0 ? { complaints: twice } : checkedFarm(value, directory);
  if ('farm' in result) return result.farm;
  const complaints: readonly Located[] = result.complaints;
  const located = complaints.slice(0, complaintsMax).map(({ path: keys, message, offset = offsetOf(document, keys) }) => {
    const place = offset === undefined ? undefined : lines.linePos(offset);
    return `${path}${place === undefined ? '' : `:${place.line}:${place.col}`}: ${keys.length === 0 ? '' : `${keys.join('.')}: `}${message}`;
  });
  if (complaints.length > complaintsMax) located.push(`and ${complaints.length - complaintsMax} more`);
  throw new FarmError('config.invalid', located.join('\n'), `correct ${configFile}; docs/reference/farm.yaml.md describes every key`);
}

/** What the document says, or which alias (`*name`) names nothing, or too much. */
function plainValue(document: Document): unknown {
  try {
    return document.toJS();
  } catch (error) {
    if (error instanceof ReferenceError) return error;
    throw error;
  }
}

interface Located extends Complaint {
  /** Where in the text, if not where `path` leads to. */
  readonly offset?: number;
}

/** Keys that stand twice in one map: YAML forbids it, and one of the two would be lost. */
function* doubleKeys(node: unknown, path: readonly string[]): Iterable<Located> {
  if (!isMap(node) && !isSeq(node)) return;
  const seen = new Set<string>();
  for (const [index, item] of node.items.entries()) {
    const name = isPair(item) ? keyText(item.key) : String(index);
    if (seen.has(name)) yield { path: [...path, name], message: 'this key stands twice', ...placeOf(item) };
    seen.add(name);
    const value = isPair(item) ? item.value : item;
    if (!isScalar(value)) yield* doubleKeys(value, [...path, name]);
  }
}

function keyText(key: unknown): string {
  return String(isScalar(key) ? key.value : key);
}

function placeOf(item: unknown): Pick<Located, 'offset'> {
  const key = isPair(item) && isNode(item.key) ? item.key : undefined;
  return key?.range ? { offset: key.range[0] } : {};
}

/** Where the value at `keys` stands, or the nearest thing above it that is in the file. */
function offsetOf(document: Document, keys: readonly PropertyKey[]): number | undefined {
  let node: unknown = document.contents;
  let offset: number | undefined;
  for (const key of keys) {
    node = child(node, String(key));
    if (!isNode(node) || !node.range) break;
    [offset] = node.range;
  }
  return offset;
}

/** Not by `get`, for which the key 252 is a number and the path has text. */
function child(node: unknown, key: string): unknown {
  if (isSeq(node)) return node.items[Number(key)];
  if (!isMap(node)) return undefined;
  const pair = node.items.find((item) => keyText(item.key) === key);
  return isNode(pair?.value) ? pair.value : pair?.key;
}
