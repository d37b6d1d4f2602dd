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
  for (const source of sources) {
    for (const file of renderSource(source, context)) {
      if (files.has(file.path)) {
        const clash = `${source.origin}: a second file is rendered as ${file.path}`;
        throw new FarmError('overlay.clash', clash, 'a template that differs by node needs {{node.name}} in its name');
      }
      files.set(file.path, file);
    }
  }
  return [...files.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

function renderSource(source: OverlaySource, context: RenderContext): readonly OverlayFile[] {
  const { body, size } = source;
  const owner = { uid: 0, gid: 0, origin: source.origin };
  if (body.kind !== 'template') return [{ ...owner, path: landing(source, source.path), mode: source.mode, body, size }];

  const [, stated, symlink] = header.exec(body.text) ?? [];
  const mode = stated === undefined ? source.mode : Number.parseInt(stated, 8);
  const nameText = source.path.slice(0, -templateSuffix.length);
  const of = loopOf(nameText);
  const text = compile(body.text, source.origin);
  const name = compile(nameText, source.origin);
  const made = (rendered: string): Pick<OverlayFile, 'body' | 'size'> => {
    if (symlink !== undefined) return { body: { kind: 'symlink', target: rendered.trim() }, size: rendered.trim().length };
    const bytes = Buffer.from(rendered);
    return { body: { kind: 'bytes', bytes }, size: bytes.length };
  };
  const common = { farm: context.farm, nodes: context.nodes, users: context.users ?? [], groups: context.groups ?? [], memberships: context.memberships ?? [] };
  const contents = of === undefined ? undefined : reused(text, of, made);
  const render = (values: object, who: string): readonly OverlayFile[] => {
    const content = apply(contents ?? ((given) => made(text(given))), values, source.origin, who);
    const path = content === undefined ? undefined : apply(name, values, source.origin, who);
    return content === undefined || path === undefined ? [] : [{ ...owner, path: landing(source, path), mode, ...content }];
  };
  switch (of) {
    case undefined:
      return render(common, 'for all nodes');
    case 'node':
      return common.nodes.flatMap((node) => render({ ...common, node }, `for node ${node.name}`));
    case 'user':
      return common.users.flatMap((user) => render({ ...common, user }, `for user ${user.name}`));
    case 'group':
      return common.groups.flatMap((group) => render({ ...common, group }, `for group ${group.name}`));
    case 'membership':
      return common.memberships.flatMap((membership) => render({ ...common, membership }, `for ${membership.user} in group ${membership.group}`));
  }
}

type Loop = 'node' | 'user' | 'group' | 'membership';

/** Of what the name speaks; undefined: of nothing. */
function loopOf(name: string): Loop | undefined {
  const [, word] = /\{\{[^}]*\b(user|group|membership)\./.exec(name) ?? [];
  if (word === 'user' || word === 'group' || word === 'membership') return word;
  return name.includes('{{') ? 'node' : undefined;
}

/** When so many nodes had each its own text, the others will, too. */
const allDiffer = 100;

/** What `text` makes, made once for all nodes that are alike in what it speaks of: they share one content. */
function reused<Content>(text: Template, of: Loop, made: (rendered: string) => Content): (values: object) => Content {
  const paths = text.reads(of);
  if (paths === undefined) return (values) => made(text(values));
  const known = new Map<string, Content | Omitted>();
  let hits = 0;
  return (values) => {
    if (hits === 0 && known.size >= allDiffer) return made(text(values));
    const key = JSON.stringify(
      paths.map((path) => path.reduce((value: unknown, part) => (value instanceof Object ? Reflect.get(value, part) : undefined), Reflect.get(values, of))),
    );
    let content = known.get(key);
    if (content === undefined) {
      content = attempt(() => made(text(values)));
      known.set(key, content);
    } else hits++;
    if (content instanceof Omitted) throw content;
    return content;
  };
}

function attempt<Content>(action: () => Content): Content | Omitted {
  try {
    return action();
  } catch (error) {
    if (error instanceof Omitted) return error;
    throw error;
  }
}

/** The path as trees have it, one character a byte; refuses what cannot be the name of a file in the root, or is no version of one. */
function landing(source: OverlaySource, path: string): string {
  const fault = nameFault(path);
  if (fault !== undefined)
    throw new FarmError('overlay.path', `${source.origin}: ${JSON.stringify(path)} ${fault}`, 'name the file as it is to land on the node');
  return Buffer.from(path).toString('latin1');
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
