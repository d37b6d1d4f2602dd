// The overlay templates of a farm: which there are, which of two of one name wins, and which nodes get what comes of them.
import { FarmError } from '../base/errors.ts';
import { type OverlaySource, type RenderContext, renderOverlay } from '../overlay/render.ts';
import { landingPath, readOverlaySources } from '../overlay/sources.ts';
import { fitOf, parseTaggedName, type Tag } from '../overlay/tags.ts';
import { nearest } from './complaints.ts';
import { type Farm, tagClient } from './farm.ts';

/** A file of overlays, by the name with which one replaces the other: without `.hbs`, its tags as they are written. */
export interface OverlayTemplate {
  readonly path: string;
  /** The farm's, which wins; or else the built-in one. One of the two is there. */
  readonly own: OverlaySource | undefined;
  readonly builtin: OverlaySource | undefined;
}

/** Sorted by path. */
export function overlayTemplates(builtinDirectory: string, ownDirectory: string): readonly OverlayTemplate[] {
  const byPath = (directory: string): ReadonlyMap<string, OverlaySource> =>
    new Map(readOverlaySources([directory]).map((source) => [landingPath(source), source]));
  const [builtin, own] = [byPath(builtinDirectory), byPath(ownDirectory)];
  const paths = [...new Set([...builtin.keys(), ...own.keys()])].sort();
  return paths.map((path) => ({ path, own: own.get(path), builtin: builtin.get(path) }));
}

/** The one that wins. */
export function inForce({ own, builtin, path }: OverlayTemplate): OverlaySource {
  const source = own ?? builtin;
  if (source === undefined) throw new Error(`${path} is in no overlay`);
  return source;
}

/**
 * The template that `file` names: as it is listed, with `.hbs` or a slash before it, or by the name that nodes see if there is only one of it.
 * Throws `FarmError` `overlay.missing`, `overlay.several`.
 */
export function findTemplate(templates: readonly OverlayTemplate[], file: string): OverlayTemplate {
  const path = file.replace(/^\/+/, '').replace(/\.hbs$/, '');
  const named = templates.find((template) => template.path === path);
  if (named !== undefined) return named;
  const [version, ...further] = templates.filter((template) => plainPath(template.path) === path);
  if (version === undefined) {
    const known = templates.map((template) => plainPath(template.path));
    throw new FarmError('overlay.missing', `no overlay has ${file}${nearest(path, known)}`, 'farm overlay list shows what there is');
  }
  if (further.length > 0) {
    throw new FarmError(
      'overlay.several',
      `there are several: ${[version, ...further].map((one) => `'${one.path}'`).join(', ')}`,
      'name one of them, in quotes',
    );
  }
  return version;
}

/** The path as nodes see it, of a name whose tags may have expressions in them. */
export function plainPath(path: string): string {
  return path.replace(/(?<=[^/])\$\$[A-Z]+(=[^$/]+)?\$\$(?=\/|$)/g, '');
}

/** Whom a template is for. */
export type Audience =
  | { readonly kind: 'all' }
  /** Names of nodes. */
  | { readonly kind: 'some'; readonly nodes: readonly string[] }
  /** Nobody knows before they ask: a version for users. */
  | { readonly kind: 'users' };

/** Which nodes what is made of `source` is for by its tags; another version may go before it. */
export function audience(source: OverlaySource, farm: Farm, context: RenderContext): Audience {
  const tagsOf = renderOverlay([source], context).map(({ path }) => path.split('/').flatMap((part) => parseTaggedName(part)?.tag ?? []));
  if (tagsOf.some((tags) => tags.some(({ kind }) => kind === 'uid' || kind === 'gid'))) return { kind: 'users' };
  if (tagsOf.some((tags) => tags.length === 0)) return { kind: 'all' };
  const byName = new Map(farm.nodes.map((node) => [node.name.toLowerCase(), node]));
  const found = new Set<string>();
  for (const tags of tagsOf) {
    const single = tags.find((tag): tag is Extract<Tag, { kind: 'host' }> => tag.kind === 'host');
    const node = single === undefined ? undefined : byName.get(single.name);
    // Of a node's own file not every node has to be asked.
    for (const candidate of node === undefined ? farm.nodes : [node]) {
      const client = tagClient(farm, candidate);
      if (tags.every((tag) => fitOf(tag, client) !== undefined)) found.add(candidate.name);
    }
  }
  return found.size === farm.nodes.length && found.size > 0
    ? { kind: 'all' }
    : { kind: 'some', nodes: farm.nodes.map(({ name }) => name).filter((name) => found.has(name)) };
}
