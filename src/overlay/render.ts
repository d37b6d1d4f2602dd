// Overlay templates into overlay files: `.hbs` rendered by Handlebars for the farm or for each node, everything else as it is.
import { FarmError, sentence } from '../base/errors.ts';
import type { OverlayFile } from '../tree/graft.ts';
import { nameFault } from './names.ts';
import { compileStrictly, Omitted, type Template } from './strict-handlebars.ts';

/** One file of an overlay directory. */
export interface OverlaySource {
  /** Laid out as it lands on the node, `etc/hosts.hbs`; names may be templates too: `etc/hostname$$HOST={{node.name}}$$.hbs`. */
  readonly path: string;
  /** Where it came from, for error messages. */
  readonly origin: string;
  /** Permission bits. */
  readonly mode: number;
  readonly body: OverlayFile['body'] | { readonly kind: 'template'; readonly text: string };
  /** Bytes, where the body is a file's. */
  readonly size: number;
}

/** What a template can speak of: the same values for every template of a farm. */
export interface RenderContext {
  readonly farm: object;
  readonly nodes: readonly (object & { readonly name: string })[];
  readonly users?: readonly (object & { readonly name: string })[];
  readonly groups?: readonly (object & { readonly name: string })[];
  /** Who is in which group besides his own. */
  readonly memberships?: readonly { readonly user: string; readonly group: string }[];
}

export const templateSuffix = '.hbs';

/**
 * A first line that says what a template becomes: `{{!-- mode=0600 --}}` a file of that mode, `{{!-- symlink --}}` a link to the rendered
 * text. (npm packages carry neither modes nor symlinks, so the built-in overlay has to say both.)
 */
const header = /^\{\{!--\s*(?:mode=(0[0-7]{3,4})|(symlink))\s*--\}\}\r?\n/;

/**
 * Renders every source. A template whose name speaks of `node` is rendered for each node, one that speaks of `user`, `group` or `membership` for each
 * of these, all others once. Sorted by path, so equal
 * inputs give equal outputs. Throws `FarmError` `overlay.render` with file, line and node for anything a template needs and does not
 * find: never an empty string.
 */
export function renderOverlay(sources: readonly OverlaySource[], context: RenderContext): readonly OverlayFile[] {
  const files = new Map<string, OverlayFile>();
  const scopes = scopesOf(context);
  for (const source of sources) {
    for (const file of renderSource(source, scopes)) {
      if (files.has(file.path)) {
        const clash = `${source.origin}: a second file is rendered as ${file.path}`;
        throw new FarmError('overlay.clash', clash, 'a template that differs by node needs {{node.name}} in its name');
      }
      files.set(file.path, file);
    }
  }
  return [...files.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** What a template is rendered with, and for whom: made once for all templates, because there may be 10,000 nodes. */
interface Scope {
  readonly values: object;
  readonly who: string;
}

function scopesOf({ farm, nodes, users = [], groups = [], memberships = [] }: RenderContext): Readonly<Record<Loop | 'all', readonly Scope[]>> {
  const common = { farm, nodes, users, groups, memberships };
  return {
    all: [{ values: common, who: 'for all nodes' }],
    node: nodes.map((node) => ({ values: { ...common, node }, who: `for node ${node.name}` })),
    user: users.map((user) => ({ values: { ...common, user }, who: `for user ${user.name}` })),
    group: groups.map((group) => ({ values: { ...common, group }, who: `for group ${group.name}` })),
    membership: memberships.map((membership) => ({ values: { ...common, membership }, who: `for ${membership.user} in group ${membership.group}` })),
  };
}

function renderSource(source: OverlaySource, scopes: ReturnType<typeof scopesOf>): readonly OverlayFile[] {
  const { body, size, origin } = source;
  const owner = { uid: 0, gid: 0, origin };
  if (body.kind !== 'template') return [{ ...owner, path: landing(source, source.path), mode: source.mode, body, size }];

  const [, stated, symlink] = header.exec(body.text) ?? [];
  const mode = stated === undefined ? source.mode : Number.parseInt(stated, 8);
  const nameText = source.path.slice(0, -templateSuffix.length);
  const of = loopOf(nameText);
  const text = compile(body.text, origin);
  const name = compile(nameText, origin);
  const made = (rendered: string): Content => {
    if (symlink !== undefined) return { body: { kind: 'symlink', target: rendered.trim() }, size: rendered.trim().length };
    const bytes = Buffer.from(rendered);
    return { body: { kind: 'bytes', bytes }, size: bytes.length };
  };
  const content = of === undefined ? (values: object) => made(text(values)) : reused(text, of, made);
  const files: OverlayFile[] = [];
  for (const { values, who } of scopes[of ?? 'all']) {
    const { body: rendered, size: bytes } = apply(content, values, origin, who) ?? {};
    const path = rendered === undefined ? undefined : apply(name, values, origin, who);
    if (rendered !== undefined && path !== undefined && bytes !== undefined)
      files.push({ uid: 0, gid: 0, origin, path: landing(source, path), mode, body: rendered, size: bytes });
  }
  return files;
}

type Content = Pick<OverlayFile, 'body' | 'size'>;

type Loop = 'node' | 'user' | 'group' | 'membership';

/** Of what the name speaks; undefined: of nothing. */
function loopOf(name: string): Loop | undefined {
  const [, word] = /\{\{[^}]*\b(user|group|membership)\./.exec(name) ?? [];
  if (word === 'user' || word === 'group' || word === 'membership') return word;
  return name.includes('{{') ? 'node' : undefined;
}

/** When so many nodes had each its own text, the others will, too. */
const allDiffer = 100;

/** What `text` makes, made once for all nodes whose values, as far as it reads them, are the same ones: they share one content. */
function reused(text: Template, of: Loop, made: (rendered: string) => Content): (values: object) => Content | undefined {
  const paths = text.reads(of);
  if (paths === undefined) return (values) => made(text(values));
  const known: Known = new Map();
  let count = 0;
  let hits = 0;
  return (values) => {
    if (hits === 0 && count >= allDiffer) return made(text(values));
    let at = known;
    for (const path of paths) {
      const value = path.reduce((above: unknown, part) => (above instanceof Object ? Reflect.get(above, part) : undefined), Reflect.get(values, of));
      const below = at.get(value);
      const next: Known = below instanceof Map ? below : new Map();
      if (below === undefined) at.set(value, next);
      at = next;
    }
    let content = at.get(made);
    if (content === undefined || content instanceof Map) {
      content = attempt(() => made(text(values)));
      at.set(made, content);
      count++;
    } else hits++;
    // Not thrown again for each of 10,000 nodes.
    return content instanceof Omitted ? undefined : content;
  };
}

/** By one value after the other, and at the end by a key that is no value. */
type Known = Map<unknown, Known | Content | Omitted>;

function attempt<Content>(action: () => Content): Content | Omitted {
  try {
    return action();
  } catch (error) {
    if (error instanceof Omitted) return error;
    throw error;
  }
}

const ascii = /^[\x20-\x7e]*$/;

/** The path as trees have it, one character a byte; refuses what cannot be the name of a file in the root, or is no version of one. */
function landing(source: OverlaySource, path: string): string {
  const fault = nameFault(path);
  if (fault !== undefined)
    throw new FarmError('overlay.path', `${source.origin}: ${JSON.stringify(path)} ${fault}`, 'name the file as it is to land on the node');
  return ascii.test(path) ? path : Buffer.from(path).toString('latin1');
}

/** Renders one template that stands alone, such as a boot menu. Same strictness, same errors. */
export function renderTemplate(text: string, origin: string, values: object): string {
  const rendered = apply(compile(text, origin), values, origin, 'rendered alone');
  if (rendered === undefined) throw new FarmError('overlay.render', `${origin}: {{omit}} is for overlay files`, 'remove it');
  return rendered;
}

function compile(text: string, origin: string): Template {
  try {
    return compileStrictly(text);
  } catch (error) {
    throw new FarmError('overlay.template', `${origin}: ${sentence(error)}`, 'correct the template', error);
  }
}

/** undefined if the template asked to be left out. */
function apply<Result>(template: (values: object) => Result, values: object, origin: string, who: string): Result | undefined {
  try {
    return template(values);
  } catch (error) {
    if (error instanceof Omitted) return undefined;
    const [complaint, line] = splitComplaint(sentence(error));
    throw new FarmError(
      'overlay.render',
      `${origin}${line}: ${who}: ${complaint}`,
      'give the value in farm.yaml, or test for it in the template with {{#if}}',
      error,
    );
  }
}

/** Handlebars ends its complaint with ` - line:column`, columns from 0. */
function splitComplaint(text: string): readonly [complaint: string, position: string] {
  const [, complaint, line, column] = /^(.*) - (\d+):(\d+)$/s.exec(text) ?? [];
  return complaint === undefined ? [text, ''] : [complaint, `:${line}:${Number(column) + 1}`];
}
