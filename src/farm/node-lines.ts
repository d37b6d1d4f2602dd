// The nodes of farm.yaml where each is one line, as farm add-node writes them: read ten times as fast as YAML at large does it.

/** The part of farm.yaml that grows. */
export interface NodeLines {
  /** As YAML would read them. */
  readonly nodes: ReadonlyMap<string, Readonly<Record<string, string | number | readonly string[]>>>;
  /** Where each node's line begins and ends, its line break left out. */
  readonly places: ReadonlyMap<string, { readonly start: number; readonly end: number }>;
  /** The text without them: it ends with its `nodes:`, which is empty. */
  readonly rest: string;
  /** Blanks before each name. */
  readonly indent: string;
  /** Where the last node's line ends. */
  readonly end: number;
}

const heading = /^nodes:[ \t]*(?:#.*)?\r?$/gm;
/** A name that begins with a digit may be a number to YAML: 0x1f is 31. */
const line = /^( +)(?!(?:true|false|null):)([a-z][a-z0-9-]*): \{ ([^{}#]*) \}[ \t]*(?: #.*)?\r?$/i;
const field = /^(id|mac|ip|profile|uuid|client_id|image|root|loader|boot|tags): (?:"([^"\\\p{Cc}]*)"|\[(.*)\]|(\S+))$/u;
/** What is text without quotes, and neither a number nor true, false or null. */
const plainText = /^(?!(?:true|false|null)$)(?:[a-z][a-z0-9-]*|\d+\.\d+\.\d+\.\d+|[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5})$/i;
const plainNumber = /^[1-9]\d{0,8}$/;

/** undefined if anything in the block is not such a line, a comment or blank: then YAML has to read it. */
export function readNodeLines(text: string): NodeLines | undefined {
  const [head, second] = [...text.matchAll(heading)];
  if (head === undefined || second !== undefined || /^%/m.test(text)) return undefined; // %YAML 1.1 reads values otherwise
  const nodes = new Map<string, Fields>();
  const places = new Map<string, { start: number; end: number }>();
  const start = head.index + head[0].length + 1;
  let indent: string | undefined;
  let end = start;
  let at = start;
  while (at < text.length) {
    const newline = text.indexOf('\n', at);
    const stop = newline < 0 ? text.length : newline;
    const content = text.slice(at, stop);
    if (/^[^\s#]/.test(content)) break;
    if (!/^\s*(?:#.*)?$/.test(content)) {
      const node = readLine(content);
      if (node === undefined || nodes.has(node.name)) return undefined;
      indent ??= node.indent;
      if (node.indent !== indent) return undefined;
      nodes.set(node.name, node.fields);
      end = content.endsWith('\r') ? stop - 1 : stop;
      places.set(node.name, { start: at, end });
    }
    at = stop + 1;
  }
  return indent === undefined ? undefined : { nodes, places, rest: `${text.slice(0, start)}${text.slice(at)}`, indent, end };
}

type Fields = Readonly<Record<string, string | number | readonly string[]>>;

function readLine(content: string): { readonly indent: string; readonly name: string; readonly fields: Fields } | undefined {
  const [, indent = '', name = '', inner] = line.exec(content) ?? [];
  if (inner === undefined || name === '') return undefined;
  const fields: Record<string, string | number | readonly string[]> = {};
  for (const part of inner.split(/, (?![^[\]]*\])/)) {
    const [, key, quoted, list, plain = ''] = field.exec(part) ?? [];
    if (key === undefined || Object.hasOwn(fields, key)) return undefined;
    if (quoted !== undefined) fields[key] = quoted;
    else if (list !== undefined) {
      const words = list.trim().split(', ');
      if (!words.every((word) => plainText.test(word))) return undefined;
      fields[key] = words;
    } else if (plainNumber.test(plain)) fields[key] = Number(plain);
    else if (plainText.test(plain)) fields[key] = plain;
    else return undefined;
  }
  return { indent, name, fields };
}
