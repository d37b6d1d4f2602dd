// Rendered overlays for servers of ClusterNFS's kind (unfs3's tags(7)), which know addresses, host names and $$CLIENT$$ but no profiles, MAC
// addresses, prefix lengths or users: what each client gets is found out here, and stored under a name that every one of them understands.
import { FarmError } from '../base/errors.ts';
import type { OverlayFile } from '../tree/graft.ts';
import { TagIndex } from './tag-index.ts';
import { parseDirective, parseTaggedName, type TagClient } from './tags.ts';

type Entry = { readonly kind: 'file'; readonly file: OverlayFile } | Directory;

interface Directory {
  readonly kind: 'directory';
  readonly names: TagIndex<Entry>;
  /** Names as clients see them, and which of them have versions. */
  readonly plain: Map<string, 'single' | 'versions'>;
}

/**
 * `files` with names that `clients` can be served by: what all of them get alike is `name$$CLIENT$$`, what one gets `name$$HOST=...$$` if it is
 * chosen by a host name and else `name$$IP=...$$`. Directories without tags stay as they are, for they are one with the image's. Sorted by
 * path. Throws `FarmError` `render.user` for versions of users, `overlay.clash` where a file is a directory too.
 */
export function foldOverlay(files: readonly OverlayFile[], clients: readonly TagClient[]): readonly OverlayFile[] {
  const folded: OverlayFile[] = [];
  fold(directoryOf(files), '', clients, folded);
  return folded.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** What one client gets of `files`, by plain path. */
export function filesFor(files: readonly OverlayFile[], client: TagClient): ReadonlyMap<string, OverlayFile> {
  const found = new Map<string, OverlayFile>();
  const walk = ({ names, plain: seen }: Directory, above: string): void => {
    for (const plain of seen.keys()) {
      const entry = names.resolve(plain, client);
      if (entry?.kind === 'directory') walk(entry, `${above}${plain}/`);
      else if (entry !== undefined) found.set(`${above}${plain}`, entry.file);
    }
  };
  walk(directoryOf(files), '');
  return found;
}

function directoryOf(files: readonly OverlayFile[]): Directory {
  const root: Directory = { kind: 'directory', names: new TagIndex(), plain: new Map() };
  const known = new Map([['', root]]);
  for (const file of files) {
    const slash = file.path.lastIndexOf('/');
    const name = file.path.slice(slash + 1);
    const above = slash < 0 ? '' : file.path.slice(0, slash);
    let at = known.get(above);
    if (at === undefined) {
      at = above.split('/').reduce((directory, part) => below(directory, part, file), root);
      known.set(above, at);
    }
    if (at.names.raw.has(name)) throw twofold(file);
    add(at, name, { kind: 'file', file });
  }
  return root;
}

function below(directory: Directory, name: string, file: OverlayFile): Directory {
  const there = directory.names.raw.get(name);
  if (there?.kind === 'file') throw twofold(file);
  if (there !== undefined) return there;
  const made: Directory = { kind: 'directory', names: new TagIndex(), plain: new Map() };
  add(directory, name, made);
  return made;
}

function add({ names, plain }: Directory, name: string, entry: Entry): void {
  names.add(name, entry);
  if (parseDirective(name) !== undefined) return;
  const tagged = parseTaggedName(name);
  const seen = tagged?.plain ?? name;
  plain.set(seen, tagged === undefined && !plain.has(seen) ? 'single' : 'versions');
}

function twofold({ path, origin }: OverlayFile): FarmError {
  return new FarmError('overlay.clash', `${origin ?? path}: there is a file and a directory of this name`, 'rename one of them');
}

function fold({ names, plain: seen }: Directory, above: string, clients: readonly TagClient[], folded: OverlayFile[]): void {
  if (names.byUser) {
    const message = `/${above.slice(0, -1)} has versions for users, which only farm serve knows`;
    throw new FarmError('render.user', message, 'take the $$UID=...$$ or $$GID=...$$ away');
  }
  const put = (entry: Entry, path: string, reached: readonly TagClient[]): void => {
    if (entry.kind === 'directory') fold(entry, `${path}/`, reached, folded);
    else folded.push({ ...entry.file, path });
  };
  for (const [plain, kind] of seen) {
    const single = kind === 'single' ? names.raw.get(plain) : undefined;
    if (single !== undefined && clients.length > 0) put(single, `${above}${plain}${single.kind === 'file' ? '$$CLIENT$$' : ''}`, clients);
    else foldName(names, plain, clients, (entry, suffix, reached) => put(entry, `${above}${plain}${suffix}`, reached));
  }
  // ALWAYS and CREATE are unfs3's own.
  for (const [name, entry] of names.raw) if (parseDirective(name) !== undefined) put(entry, `${above}${name}`, clients);
}

/** Puts all versions of one name, each with the tag it is to have and the clients that get it. */
function foldName(
  names: TagIndex<Entry>,
  plain: string,
  clients: readonly TagClient[],
  put: (entry: Entry, tag: string, reached: readonly TagClient[]) => void,
): void {
  const stored = clients.map((client) => names.stored(plain, client));
  const entries = stored.map((name) => (name === undefined ? undefined : names.raw.get(name)));
  const alike = entries.every((entry) => isSame(entries[0], entry));
  // Of a single node's own files nobody can tell whether others would get the same: its host key is not for everybody.
  const common = alike && clients.length > 1 ? stored[0] : commonName(plain, stored);
  const shared = common === undefined ? undefined : names.raw.get(common);
  if (shared !== undefined) {
    const isImages = shared.kind === 'directory' && common === plain;
    put(shared, isImages ? '' : '$$CLIENT$$', alike ? clients : clients.filter((_, index) => stored[index] === common));
  }
  for (const [index, client] of clients.entries()) {
    const name = stored[index];
    const entry = entries[index];
    if (name !== undefined && entry !== undefined && name !== common && !isSame(shared, entry)) put(entry, ownTag(name, client), [client]);
  }
}

/** What anybody gets who has no version of its own, if there is anybody. */
function commonName(plain: string, stored: readonly (string | undefined)[]): string | undefined {
  return stored.find((name) => name === plain || (name !== undefined && parseTaggedName(name)?.tag.kind === 'client'));
}

function ownTag(stored: string, client: TagClient): string {
  const kind = parseTaggedName(stored)?.tag.kind;
  return kind === 'host' || kind === 'glob' ? `$$HOST=${client.host}$$` : `$$IP=${client.address}$$`;
}

/** Of two files: whether a client could tell them apart. */
function isSame(a: Entry | undefined, b: Entry | undefined): boolean {
  if (a === b) return a !== undefined;
  if (a?.kind !== 'file' || b?.kind !== 'file') return false;
  const one = a.file;
  const other = b.file;
  if (one.body.kind === 'symlink' || other.body.kind === 'symlink') {
    return one.body.kind === 'symlink' && other.body.kind === 'symlink' && one.body.target === other.body.target;
  }
  if (one.mode !== other.mode || one.uid !== other.uid || one.gid !== other.gid) return false;
  if (one.body === other.body) return true;
  if (one.body.kind === 'bytes' && other.body.kind === 'bytes') return one.body.bytes.equals(other.body.bytes);
  return one.body.kind === 'file' && other.body.kind === 'file' && one.body.path.equals(other.body.path);
}
