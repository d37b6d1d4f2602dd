// The names of one directory, so arranged that the version a client gets is found without looking at the others.
import { ipv4Number, prefixMask } from '../base/addresses.ts';
import {
  type Directive,
  isHiddenName,
  matchesHost,
  type OrderRow,
  order,
  parseDirective,
  parseTaggedName,
  plainOf,
  type Tag,
  type TagClient,
  vagueness,
  versionName,
} from './tags.ts';

/** The words by which a client's versions are found, each kind made when it is first asked for. */
class ClientKeys {
  private readonly client: TagClient;
  private readonly made = new Map<Worded, readonly string[]>();
  readonly address: number;
  /** Lower case. */
  readonly names: Pick<TagClient, 'host' | 'fqdn'>;

  constructor(client: TagClient) {
    this.client = client;
    this.address = ipv4Number(client.address);
    this.names = { host: client.host.toLowerCase(), fqdn: client.fqdn.toLowerCase() };
  }

  of(row: Worded): readonly string[] {
    const known = this.made.get(row) ?? this.words(row);
    this.made.set(row, known);
    return known;
  }

  private words(row: Worded): readonly string[] {
    const { user, address, mac, groups } = this.client;
    switch (row) {
      case 'uid':
        return user === undefined ? [] : [`uid ${user.uid}`];
      case 'gid': {
        const [primary, ...further] = user?.gids ?? [];
        return (primary === undefined ? [] : [primary, ...further.sort((a, b) => a - b)]).map((gid) => `gid ${gid}`);
      }
      case 'ip':
        return [`ip ${address}`];
      case 'mac':
        return mac === undefined ? [] : [`mac ${mac}`];
      case 'fqdn':
        return [`host ${this.names.fqdn}`];
      case 'short':
        return [`host ${this.names.host}`];
      case 'group':
        return groups.map((group) => `group ${group}`);
      case 'client':
        return ['client'];
    }
  }
}

/** Rows of the order whose versions are found by a word. */
type Worded = Exclude<OrderRow, 'network' | 'glob'>;

const keysOfClients = new WeakMap<TagClient, ClientKeys>();

function keysOf(client: TagClient): ClientKeys {
  const known = keysOfClients.get(client);
  if (known !== undefined) return known;
  const keys = new ClientKeys(client);
  keysOfClients.set(client, keys);
  return keys;
}

/** The word under which a tag is kept; all of one word fit the same clients equally well. */
function keyOf(tag: Tag): string {
  switch (tag.kind) {
    case 'uid':
      return `uid ${tag.uid}`;
    case 'gid':
      return `gid ${tag.gid}`;
    case 'ip':
      return `ip ${tag.address}`;
    case 'mac':
      return `mac ${tag.mac}`;
    case 'network':
      return networkKey(tag.network.prefix, ipv4Number(tag.network.address));
    case 'host':
      return `host ${tag.name}`;
    case 'group':
      return `group ${tag.group}`;
    case 'glob':
      return `glob ${tag.pattern}`;
    case 'client':
      return 'client';
  }
}

function networkKey(prefix: number, address: number): string {
  return `net ${prefix} ${address}`;
}

/** All tagged versions of one plain name. */
class Versions {
  /** Stored names by the word of their tag, in byte order: the first wins. */
  private readonly byKey = new Map<string, string[]>();
  /** Kinds of tags that there have been: rows of others need not be searched. */
  private readonly kinds = new Set<Tag['kind']>();
  /** Prefix lengths in use, longest first. */
  private prefixes: readonly number[] = [];
  /** Patterns in use, the most telling first. */
  private globs: readonly string[] = [];

  get isEmpty(): boolean {
    return this.byKey.size === 0;
  }

  names(): readonly string[] {
    return [...this.byKey.values()].flat();
  }

  add(name: string, tag: Tag): void {
    const key = keyOf(tag);
    const names = this.byKey.get(key);
    this.byKey.set(key, names === undefined ? [name] : [...names, name].sort(byBytes));
    this.kinds.add(tag.kind);
    this.arrange(tag);
  }

  remove(name: string, tag: Tag): void {
    const key = keyOf(tag);
    const names = this.byKey.get(key)?.filter((other) => other !== name) ?? [];
    if (names.length > 0) this.byKey.set(key, names);
    else this.byKey.delete(key);
    this.arrange(tag);
  }

  /** Brings `prefixes` or `globs` up to date after a tag of that kind came or went. */
  private arrange({ kind }: Tag): void {
    if (kind === 'network') {
      const lengths = [...this.byKey.keys()].filter((key) => key.startsWith('net ')).map((key) => Number(key.split(' ')[1]));
      this.prefixes = [...new Set(lengths)].sort((a, b) => b - a);
    } else if (kind === 'glob') {
      const patterns = [...this.byKey.keys()].filter((key) => key.startsWith('glob ')).map((key) => key.slice('glob '.length));
      this.globs = patterns.sort((a, b) => vagueness(a) - vagueness(b) || byBytes(this.first(`glob ${a}`), this.first(`glob ${b}`)));
    }
  }

  private first(key: string): string {
    return this.byKey.get(key)?.[0] ?? '';
  }

  /** The stored name of the version that `client` gets. Costs a look-up per row, prefix length, group and pattern; never one per version. */
  best(client: TagClient): string | undefined {
    const keys = keysOf(client);
    for (const { row } of order) {
      if (!this.kinds.has(row === 'fqdn' || row === 'short' ? 'host' : row)) continue;
      const name = row === 'network' ? this.inNetworks(keys) : row === 'glob' ? this.byGlobs(keys) : this.firstOf(keys.of(row));
      if (name !== undefined) return name;
    }
    return undefined;
  }

  private firstOf(keys: readonly string[]): string | undefined {
    for (const key of keys) {
      const names = this.byKey.get(key);
      if (names !== undefined) return names[0];
    }
    return undefined;
  }

  private inNetworks({ address }: ClientKeys): string | undefined {
    for (const prefix of this.prefixes) {
      const names = this.byKey.get(networkKey(prefix, (address & prefixMask(prefix)) >>> 0));
      if (names !== undefined) return names[0];
    }
    return undefined;
  }

  private byGlobs({ names }: ClientKeys): string | undefined {
    const pattern = this.globs.find((glob) => matchesHost(glob, names));
    return pattern === undefined ? undefined : this.first(`glob ${pattern}`);
  }
}

function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** ALWAYS and CREATE of one name or of a directory, by rule. */
type Rules = { readonly [rule in Directive['rule']]: ReadonlySet<Directive['as']> };

const noRules: Rules = { ALWAYS: new Set(), CREATE: new Set() };

/** `Entry` is whatever the directory keeps of a name. Names are latin1, one character a byte. */
export class TagIndex<Entry> {
  private readonly entries = new Map<string, Entry>();
  /** By plain name; absent in the usual directory, where nothing is tagged. */
  private versions: Map<string, Versions> | undefined;
  /** By plain name, under the empty name the directory's own; absent likewise. */
  private rules: Map<string, Rules> | undefined;
  private userTags = 0;

  /** Names as they are stored, tags included, in the order in which they were added. */
  get raw(): ReadonlyMap<string, Entry> {
    return this.entries;
  }

  /** Whether what a client gets here depends on its user. */
  get byUser(): boolean {
    return this.userTags > 0;
  }

  /** Whether any name here is tagged; if not, names are what they look like. */
  get isTagged(): boolean {
    return this.versions !== undefined || this.rules !== undefined;
  }

  /** Adds a name, or replaces what is kept of it. */
  add(name: string, entry: Entry): void {
    const isNew = !this.entries.has(name);
    this.entries.set(name, entry);
    if (!isNew || !name.endsWith('$$')) return;
    const tagged = parseTaggedName(name);
    if (tagged !== undefined) {
      this.versions ??= new Map();
      const versions = this.versions.get(tagged.plain) ?? new Versions();
      versions.add(name, tagged.tag);
      this.versions.set(tagged.plain, versions);
      if (tagged.tag.kind === 'uid' || tagged.tag.kind === 'gid') this.userTags++;
      return;
    }
    const directive = parseDirective(name);
    if (directive !== undefined) this.setRule(directive, true);
  }

  /** Whether there was such a name. */
  remove(name: string): boolean {
    if (!this.entries.delete(name)) return false;
    const tagged = parseTaggedName(name);
    if (tagged !== undefined) {
      const versions = this.versions?.get(tagged.plain);
      versions?.remove(name, tagged.tag);
      if (versions?.isEmpty === true) this.versions?.delete(tagged.plain);
      if (this.versions?.size === 0) this.versions = undefined;
      if (tagged.tag.kind === 'uid' || tagged.tag.kind === 'gid') this.userTags--;
      return true;
    }
    const directive = parseDirective(name);
    if (directive !== undefined) this.setRule(directive, false);
    return true;
  }

  private setRule({ plain, rule, as }: Directive, holds: boolean): void {
    this.rules ??= new Map();
    const before = this.rules.get(plain) ?? noRules;
    const values = new Set(before[rule]);
    if (holds) values.add(as);
    else values.delete(as);
    const after: Rules = { ...before, [rule]: values };
    if (after.ALWAYS.size + after.CREATE.size > 0) this.rules.set(plain, after);
    else this.rules.delete(plain);
    if (this.rules.size === 0) this.rules = undefined;
  }

  /** Which version ALWAYS or CREATE ask for: the name's own rule before the directory's, IP before CLIENT (unfs3, cluster.c). */
  private ruled(plain: string, rule: Directive['rule']): Directive['as'] | undefined {
    if (this.rules === undefined) return undefined;
    for (const about of [plain, '']) {
      const values = this.rules.get(about)?.[rule];
      if (values?.has('IP') === true) return 'IP';
      if (values?.has('CLIENT') === true) return 'CLIENT';
    }
    return undefined;
  }

  /** The stored name that `client` gets under a plain name; undefined if it gets nothing. */
  stored(name: string, client: TagClient): string | undefined {
    const plain = plainOf(name);
    if (plain !== undefined && this.entries.has(plain) && !isHiddenName(plain)) return plain;
    if (!this.isTagged) return this.entries.has(name) ? name : undefined;
    const version = this.versions?.get(name)?.best(client);
    if (version !== undefined) return version;
    if (!this.entries.has(name) || isHiddenName(name)) return undefined; // not another client's version
    return this.ruled(name, 'ALWAYS') === undefined ? name : undefined;
  }

  /** The entry that `client` gets under a plain name. `name$$$$` is always the plain one. */
  resolve(name: string, client: TagClient): Entry | undefined {
    if (!this.isTagged && !name.endsWith('$$$$')) return this.entries.get(name);
    const stored = this.stored(name, client);
    return stored === undefined ? undefined : this.entries.get(stored);
  }

  /** The plain name under which `client` sees a stored one; undefined if it does not, because it gets another version or none. */
  isShown(stored: string, client: TagClient): string | undefined {
    if (!this.isTagged && !stored.endsWith('$$$$')) return stored;
    const plain = parseTaggedName(stored)?.plain ?? stored;
    return this.stored(plain, client) === stored ? plain : undefined;
  }

  /**
   * The stored name under which `client` makes or replaces `name`: its version if it has one, else as ALWAYS, then CREATE say, else plain. What
   * it sees now is `stored`; the two differ where it sees the plain file and CREATE gives it one of its own. undefined for a name that is a tag
   * itself, which no client may make. The name may be too long for a file system.
   */
  made(name: string, client: TagClient): string | undefined {
    const plain = plainOf(name);
    if (plain !== undefined) return isHiddenName(plain) ? undefined : plain;
    if (isHiddenName(name)) return undefined;
    const version = this.versions?.get(name)?.best(client);
    if (version !== undefined) return version;
    const as = this.ruled(name, 'ALWAYS') ?? this.ruled(name, 'CREATE');
    return as === undefined ? name : versionName(name, as, client);
  }

  /** Every stored name that could have been meant by a plain one, for whoever explains the choice. */
  candidates(plain: string): readonly string[] {
    return [...(this.versions?.get(plain)?.names() ?? []), ...(this.entries.has(plain) ? [plain] : [])];
  }
}
