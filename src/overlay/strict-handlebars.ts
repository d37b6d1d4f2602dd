// Handlebars that never prints nothing for something that is not there. Its strict mode says nothing of what helpers are given, of block
// parameters, and of where a long path breaks off; so every path of a template is made a call that looks it up and knows its place.
import Handlebars from 'handlebars';

/** Thrown by `{{omit}}`: this node does not get this file. */
export class Omitted extends Error {}

/** Our own instance: helpers registered elsewhere in the process do not reach the templates. */
const handlebars = Handlebars.create();

export interface Template {
  (values: object): string;
  /**
   * Which values of `root` it can read, as paths below it: where these are equal, so is what it makes. undefined if it speaks of the whole, or by
   * ways that only rendering shows.
   */
  reads(root: string): readonly (readonly string[])[] | undefined;
}

/** Throws what is wrong with the template; what it makes throws `Omitted`, or an error whose message ends in ` - line:column`, columns from 0. */
export function compileStrictly(text: string): Template {
  const program = handlebars.parse(text);
  const paths = [...pathsOf(program, false)];
  const render = plainly(program) ?? byHandlebars(program);
  return Object.assign((values: object) => render(values), { reads: (root: string) => readsOf(paths, root) });
}

function byHandlebars(program: hbs.AST.Program): (values: object) => string {
  rewrite(program);
  // noEscape: these are configuration files, not HTML.
  return handlebars.compile(program, { strict: true, noEscape: true, knownHelpers: Object.fromEntries(ownHelpers.map((name) => [name, true])) });
}

/** Text and values alone, as in most names and many files, need no more than looking the values up: a tenth of the time. */
function plainly(program: hbs.AST.Program): ((values: object) => string) | undefined {
  const parts: (string | readonly unknown[])[] = [];
  for (const statement of program.body) {
    if (isContent(statement)) parts.push(statement.value);
    else if (isMustache(statement) && isValue(statement) && isPath(statement.path) && !statement.path.data && statement.path.depth === 0) {
      const { path, loc } = statement;
      if (path.parts.length === 0 || /^(this\b|\.)/.test(path.original)) return undefined;
      parts.push([path.original, undefined, ...path.parts, { loc }]);
    } else if (statement.type !== 'CommentStatement') return undefined;
  }
  return (values) => {
    let text = '';
    for (const part of parts) text += typeof part === 'string' ? part : (textAt(values, part) ?? String(printed([part[0], values, ...part.slice(2)])));
    return text;
  };
}

/** `found` and `printed` for what nearly all values are, in less time; undefined: ask them. `part` is as `plainly` has it. */
function textAt(values: object, part: readonly unknown[]): string | undefined {
  let value: unknown = values;
  for (let at = 2; at < part.length - 1; at++) {
    const key = String(part[at]);
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = Reflect.get(value, key);
  }
  return typeof value === 'string' ? value : undefined;
}

/**
 * All paths of a template, wherever they stand. `within`: in the block of an `each` or a `with` whose own path is among them, so that `this` leads to
 * nothing that is not.
 */
function* pathsOf(part: unknown, within: boolean): Iterable<hbs.AST.PathExpression> {
  if (typeof part !== 'object' || part === null) return;
  if ('type' in part && part.type === 'PathExpression') {
    const path = part as hbs.AST.PathExpression; // the type says so
    if (!(within && isThis(path))) yield path;
  }
  const narrows = 'type' in part && part.type === 'BlockStatement' && isNarrowing(part as hbs.AST.BlockStatement); // the type says so
  for (const [key, value] of Object.entries(part)) {
    const inner = within || (narrows && key === 'program');
    if (key !== 'loc') for (const each of Array.isArray(value) ? value : [value]) yield* pathsOf(each, inner);
  }
}

function isThis({ parts, depth, data }: hbs.AST.PathExpression): boolean {
  return parts.length === 0 && depth === 0 && !data;
}

/** Whether the block's context is what its one path leads to, or a part of it. */
function isNarrowing({ path, params }: hbs.AST.BlockStatement): boolean {
  const [of] = params;
  return isPath(path) && (path.original === 'each' || path.original === 'with') && params.length === 1 && of !== undefined && isPath(of);
}

function readsOf(paths: readonly hbs.AST.PathExpression[], root: string): readonly (readonly string[])[] | undefined {
  const read: (readonly string[])[] = [];
  for (const { parts, data } of paths) {
    const names = data && parts[0] === 'root' ? parts.slice(1) : parts;
    // `this`, `..` and the root itself lead anywhere.
    if (names.length === 0) return undefined;
    const at = names.indexOf(root);
    if (at === names.length - 1) return undefined;
    if (at >= 0) read.push(names.slice(at + 1));
  }
  return read;
}

/** Names that no template can call: they have blanks. */
const lookups = { print: 'value printed', need: 'value needed', test: 'value tested' } as const;
const ownHelpers = ['omit', 'eq', ...Object.values(lookups)];

/** Helpers that test: what they are given may be absent, but only at the end of its path. */
const testing: readonly string[] = ['if', 'unless'];

function rewrite(program: hbs.AST.Program): void {
  for (const statement of program.body) {
    if (isMustache(statement)) {
      if (isValue(statement)) Object.assign(statement, lookup(lookups.print, statement.path, statement.loc));
      else rewriteCall(statement);
    } else if (isBlock(statement)) {
      rewriteCall(statement);
      // Either is absent where there is none, whatever the type says.
      const parts: readonly (hbs.AST.Program | undefined)[] = [statement.program, statement.inverse];
      for (const part of parts) if (part !== undefined) rewrite(part);
    }
  }
}

function isContent(node: hbs.AST.Node): node is hbs.AST.ContentStatement {
  return node.type === 'ContentStatement';
}

function isMustache(node: hbs.AST.Node): node is hbs.AST.MustacheStatement {
  return node.type === 'MustacheStatement';
}

function isBlock(node: hbs.AST.Node): node is hbs.AST.BlockStatement {
  return node.type === 'BlockStatement';
}

function isPath(node: hbs.AST.Node): node is hbs.AST.PathExpression {
  return node.type === 'PathExpression';
}

function isCall(node: hbs.AST.Node): node is hbs.AST.SubExpression {
  return node.type === 'SubExpression';
}

/** `{{node.name}}`, not `{{omit}}` or `{{lookup node "x"}}`. */
function isValue({ path, params }: hbs.AST.MustacheStatement): boolean {
  return params.length === 0 && isPath(path) && !(path.parts.length === 1 && path.original in handlebars.helpers);
}

type Call = hbs.AST.MustacheStatement | hbs.AST.BlockStatement | hbs.AST.SubExpression;

function rewriteCall(call: Call): void {
  const kind = testing.includes('original' in call.path ? String(call.path.original) : '') ? lookups.test : lookups.need;
  call.params = call.params.map((given) => {
    if (isCall(given)) rewriteCall(given);
    return isPath(given) ? { type: 'SubExpression', ...lookup(kind, given, given.loc) } : given;
  });
}

type Lookup = Pick<hbs.AST.SubExpression, 'path' | 'params' | 'hash' | 'loc'>;

/** `a.b.c` as `(name "a.b.c" a "b" "c")`. */
function lookup(name: string, given: hbs.AST.Node, loc: hbs.AST.SourceLocation): Lookup {
  const whole = given as hbs.AST.PathExpression; // both callers have looked
  // `../a` may lead past the outermost context: there the first part has to be looked up with care, too.
  const heads = whole.depth > 0 && !whole.data ? 0 : 1;
  const word = (value: string): hbs.AST.StringLiteral => ({ type: 'StringLiteral', value, original: value, loc });
  const head = { ...whole, parts: whole.parts.slice(0, heads) };
  const path: hbs.AST.PathExpression = { type: 'PathExpression', data: false, depth: 0, parts: [name], original: name, loc };
  return { path, params: [word(whole.original), head, ...whole.parts.slice(heads).map(word)], hash: { type: 'Hash', pairs: [], loc }, loc };
}

handlebars.registerHelper(lookups.print, (...given: unknown[]) => printed(given));
handlebars.registerHelper(lookups.need, (...given: unknown[]) => needed(given));
handlebars.registerHelper(lookups.test, (...given: unknown[]) => found(given));

function printed(given: readonly unknown[]): unknown {
  const value = needed(given);
  if (typeof value === 'object' || typeof value === 'function') throw complaint(given, `"${String(given[0])}" is no text but has parts: say which`);
  return value;
}

function needed(given: readonly unknown[]): unknown {
  const value = found(given);
  if (value === undefined) throw complaint(given, `"${String(given[0])}" is not there`);
  return value;
}

/** Follows a path; undefined if its last part is not there. */
function found(given: readonly unknown[]): unknown {
  let value = given[1];
  // Counted, not sliced: this is called for every value of every node.
  for (let at = 2; at < given.length - 1; at++) {
    const part = String(given[at]);
    if (value === undefined || value === null) throw complaint(given, `"${String(given[0])}": there is nothing to have a "${part}"`);
    value = Object.hasOwn(value, part) ? Reflect.get(Object(value), part) : undefined;
  }
  return value ?? undefined;
}

/** One for all: a stack for each node that gets no file would be most of the work. */
const omitted = new Omitted();
handlebars.registerHelper('omit', () => {
  throw omitted;
});

handlebars.registerHelper('eq', (...given: unknown[]) => {
  if (given.length !== 3) throw complaint(given, 'eq compares two values');
  return given[0] === given[1];
});

handlebars.registerHelper('lookup', (...given: unknown[]) => {
  const [of, key] = given;
  if (given.length !== 3 || of === undefined || of === null || !Object.hasOwn(of, String(key))) throw complaint(given, `lookup finds no "${String(key)}"`);
  return Reflect.get(Object(of), String(key));
});

const each: (this: unknown, ...given: unknown[]) => unknown = Object(handlebars.helpers)['each'];
handlebars.registerHelper('each', function listed(this: unknown, ...given: unknown[]) {
  if (given.length !== 2 || typeof given[0] !== 'object') throw complaint(given, 'each needs a list');
  return each.apply(this, given);
});

/** It ends in the place in the template, as Handlebars' own complaints do. */
function complaint(given: readonly unknown[], text: string): Error {
  const { loc }: { readonly loc: hbs.AST.SourceLocation } = Object(given.at(-1)); // the options that Handlebars calls every helper with
  return new Handlebars.Exception(text, { type: 'MustacheStatement', loc });
}
