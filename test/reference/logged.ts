// What the source logs, read from its syntax: every `log(level, event, fields)`, and the events that are a type.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export const top = fileURLToPath(new URL('../..', import.meta.url));

export interface Logged {
  readonly place: string;
  /** A name, or the pattern of names made at run time: `member.${to}` is /^member\.[a-z_-]+$/. */
  readonly event: RegExp;
  readonly isPattern: boolean;
  /** Undefined where it is decided at run time. */
  readonly level: string | undefined;
  readonly fields: readonly string[];
}

export interface Collection {
  readonly logged: readonly Logged[];
  /** Calls that cannot be read. */
  readonly unclear: readonly string[];
}

/** Calls that pass on an event whose name is found elsewhere in the source. */
const passedOn = /^(event|exchange\.event)$/;

export function collect(): Collection {
  const logged: Logged[] = [];
  const unclear: string[] = [];
  for (const node of nodes()) {
    if (ts.isCallExpression(node) && isLog(node.expression)) {
      const read = readCall(node);
      if (typeof read === 'string') unclear.push(read);
      else if (read !== undefined) logged.push(read);
    } else if (ts.isPropertySignature(node) && node.name.getText() === 'event') logged.push(...readType(node));
  }
  return { logged, unclear };
}

export function* nodes(): Iterable<ts.Node> {
  const paths = readdirSync(join(top, 'src'), { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'));
  for (const path of paths.sort()) yield* below(ts.createSourceFile(path, readFileSync(join(top, 'src', path), 'utf8'), ts.ScriptTarget.Latest, true));
}

function* below(node: ts.Node): Iterable<ts.Node> {
  yield node;
  for (const child of node.getChildren()) yield* below(child);
}

export function place(node: ts.Node): string {
  const file = node.getSourceFile();
  return `${file.fileName}:${file.getLineAndCharacterOfPosition(node.getStart()).line + 1}`;
}

/** `log(`, `this.log(`, `options.log(`, `logBounded(`; not `Math.log(` or `console.log(`. */
function isLog(callee: ts.Expression): boolean {
  if (ts.isIdentifier(callee)) return /^log(Bounded|Briefly)?$/.test(callee.text);
  return ts.isPropertyAccessExpression(callee) && /^log(Bounded|Briefly)?$/.test(callee.name.text) && !/^(Math|console)$/.test(callee.expression.getText());
}

/** A sentence if the call cannot be read, undefined if it passes an event on. */
function readCall(call: ts.CallExpression): Logged | string | undefined {
  const [level, event, fields] = call.arguments;
  if (event === undefined) return `${place(call)}: ${call.getText()}`;
  const pattern = named(event);
  if (pattern === undefined) return passedOn.test(event.getText()) ? undefined : `${place(call)}: ${call.getText().slice(0, 80)}`;
  const known = level !== undefined && ts.isStringLiteralLike(level) ? level.text : undefined;
  return { place: place(call), event: pattern, isPattern: ts.isTemplateExpression(event), level: known, fields: fieldNames(fields) };
}

/** The events of DHCP exchanges are a type: `readonly event: 'dhcp.offer' | 'dhcp.ack' | ...`. */
function readType({ type }: ts.PropertySignature): readonly Logged[] {
  if (type === undefined || !ts.isUnionTypeNode(type)) return [];
  return type.types.flatMap((member) => {
    const event = ts.isLiteralTypeNode(member) ? named(member.literal) : undefined;
    return event === undefined ? [] : [{ place: place(member), event, isPattern: false, level: undefined, fields: [] }];
  });
}

function named(node: ts.Node): RegExp | undefined {
  if (ts.isStringLiteralLike(node)) return new RegExp(`^${node.text.replaceAll('.', '\\.')}$`);
  if (!ts.isTemplateExpression(node)) return undefined;
  const rest = node.templateSpans.map(({ literal }) => `[a-z_-]+${literal.text}`).join('');
  return new RegExp(`^${(node.head.text + rest).replaceAll('.', '\\.')}$`);
}

function fieldNames(fields: ts.Expression | undefined): readonly string[] {
  if (fields === undefined || !ts.isObjectLiteralExpression(fields)) return [];
  return fields.properties.flatMap(({ name }) => (name !== undefined && ts.isIdentifier(name) ? [name.text] : []));
}
