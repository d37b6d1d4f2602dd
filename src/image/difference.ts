// In what two versions of images differ: packages by their versions, paths of the root by their manifests. Times are left out.
import type { ImageManifest } from './built.ts';
import type { ManifestEntry } from './mtree.ts';

/** `before` absent: added; `after` absent: removed. */
export interface PackageChange {
  readonly name: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

export interface PathChange {
  /** From the root, one character a byte. */
  readonly path: string;
  readonly change: 'added' | 'removed' | 'changed';
  /** Of a changed one: `content`, `mode`, `owner`, `target`, `device`, `kind`. */
  readonly what: readonly string[];
}

type Packages = Readonly<Record<string, string>>;

/** Of the root, and of what kernel, initramfs and loaders come from; sorted by name. */
export function packageChanges(
  a: Pick<ImageManifest, 'packages' | 'bootPackages'>,
  b: Pick<ImageManifest, 'packages' | 'bootPackages'>,
): readonly PackageChange[] {
  const before: Packages = { ...a.bootPackages, ...a.packages };
  const after: Packages = { ...b.bootPackages, ...b.packages };
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .sort()
    .map((name) => ({ name, before: before[name], after: after[name] }))
    .filter((change) => change.before !== change.after);
}

/** In the order of `b`, what is only in `a` after that. */
export function pathChanges(a: readonly ManifestEntry[], b: readonly ManifestEntry[]): readonly PathChange[] {
  const before = new Map(a.map((entry) => [entry.path, entry]));
  const after = new Set(b.map(({ path }) => path));
  const changed = b.flatMap((entry): readonly PathChange[] => {
    const old = before.get(entry.path);
    if (old === undefined) return [{ path: entry.path, change: 'added', what: [] }];
    const what = differs(old, entry);
    return what.length === 0 ? [] : [{ path: entry.path, change: 'changed', what }];
  });
  const removed = a.filter(({ path }) => !after.has(path)).map(({ path }): PathChange => ({ path, change: 'removed', what: [] }));
  return [...changed, ...removed];
}

function differs(a: ManifestEntry, b: ManifestEntry): readonly string[] {
  if (a.kind !== b.kind) return ['kind'];
  return [
    ...(a.size !== b.size || a.sha256 !== b.sha256 ? (a.kind === 'file' ? ['content'] : []) : []),
    ...(a.target !== b.target ? ['target'] : []),
    ...(a.mode !== b.mode ? ['mode'] : []),
    ...(a.uid !== b.uid || a.gid !== b.gid ? ['owner'] : []),
    ...(a.device?.major !== b.device?.major || a.device?.minor !== b.device?.minor ? ['device'] : []),
  ];
}
