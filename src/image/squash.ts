// Packs a root into one squashfs file by mksquashfs(1), from its manifest entries and contents: owners, modes, devices and attributes whole.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { FarmError } from '../base/errors.ts';
import { run } from '../base/processes.ts';
import type { ExtendedAttributes } from './attributes.ts';
import type { ManifestEntry } from './mtree.ts';
import { type TarEntry, tarEnd, tarHead, tarPadding } from './tar.ts';

export interface SquashOptions {
  readonly entries: readonly ManifestEntry[];
  /** By path. */
  readonly attributes: ReadonlyMap<string, ExtendedAttributes>;
  /** Where the contents of files are. */
  readonly rootDirectory: string;
  /** The file to write; does not exist yet. */
  readonly output: string;
  /** Seconds since 1970: when the file system was made. */
  readonly epoch: number;
  /** 0..1 */
  readonly onProgress: (fraction: number) => void;
  readonly signal: AbortSignal;
}

// Level 9 takes 3 s for a root of 340 MB on two cores, 15 takes 13 s and saves two parts in a hundred; xz takes 31 s and saves six.
// Blocks of 256 KiB: what reading one page costs on a node, against two parts in a hundred for a megabyte.
const compression = ['-comp', 'zstd', '-Xcompression-level', '9', '-b', '262144'];

/** Attributes that squashfs can hold. ACLs (`system.`) are none of them. */
const keptAttribute = /^(user|trusted|security)\./;

/** Throws `FarmError` `program.missing` if what packs is not installed: better before a build than at its end. */
export async function requireSquashTools(): Promise<void> {
  try {
    await run('mksquashfs', ['-version']);
  } catch (error) {
    if (!(error instanceof FarmError) || error.code !== 'program.missing') throw error;
    throw new FarmError(
      'program.missing',
      'mksquashfs is not installed; it packs the root that nodes can have in memory',
      'apt-get install squashfs-tools',
      error,
    );
  }
}

/** Writes `output`; the same entries, contents and epoch give the same bytes, whatever the number of processors. Throws `FarmError` `program.*`, `image.tar`. */
export async function packSquashfs(options: SquashOptions): Promise<void> {
  const { epoch, output, signal } = options;
  const top = options.entries.find(({ path }) => path === '.');
  const root = ['-root-mode', ((top?.mode ?? 0o755) & 0o7777).toString(8), '-root-uid', String(top?.uid ?? 0), '-root-gid', String(top?.gid ?? 0)];
  const child = spawn('mksquashfs', ['-', output, '-tar', '-noappend', '-quiet', '-no-progress', ...compression, ...root], {
    // Not -mkfs-time: mksquashfs 4.5 heeds no -root-time when it reads a tar, and the top directory would be of today.
    env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch) },
    signal,
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  const complaints: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk));
  const ended = once(child, 'close');
  const fed = pipeline(Readable.from(archive(options), { objectMode: false }), child.stdin);
  const [feeding, ending] = await Promise.allSettled([fed, ended]);
  signal.throwIfAborted();
  if (ending.status === 'rejected') throw ending.reason;
  const [code] = ending.value;
  if (code !== 0) throw new FarmError('program.failed', `mksquashfs ended with ${code}:\n  ${Buffer.concat(complaints).toString().trim().slice(-2000)}`);
  if (feeding.status === 'rejected') throw feeding.reason;
}

/** The root as a tar: sorted, a hard link's first name with its bytes. */
async function* archive({ entries, attributes, rootDirectory, onProgress }: SquashOptions): AsyncIterable<Buffer> {
  const sorted = [...entries].filter(({ path }) => path !== '.').sort((a, b) => (a.path.replaceAll('/', '\0') < b.path.replaceAll('/', '\0') ? -1 : 1));
  const total = sorted.reduce((sum, { size }) => sum + size, 0);
  const firstNames = new Map<number, string>();
  let done = 0;
  for (const entry of sorted) {
    const first = entry.inode === undefined ? undefined : firstNames.get(entry.inode);
    if (first !== undefined) {
      yield tarHead({ ...tarEntry(entry, undefined), kind: 'link', target: first, size: 0 });
      continue;
    }
    if (entry.inode !== undefined) firstNames.set(entry.inode, entry.path);
    const head = tarEntry(entry, attributes.get(entry.path));
    yield tarHead(head);
    if (head.kind === 'file' && head.size > 0) {
      yield* createReadStream(Buffer.from(`${Buffer.from(rootDirectory).toString('latin1')}/${entry.path}`, 'latin1'));
      yield tarPadding(head.size);
    }
    done += entry.size;
    onProgress(total === 0 ? 1 : done / total);
  }
  yield tarEnd;
}

function tarEntry(entry: ManifestEntry, attributes: ExtendedAttributes | undefined): TarEntry {
  const { path, kind, mode, uid, gid, mtime, target, device } = entry;
  if (kind === 'socket') throw new FarmError('image.tar', `${path} is a socket, which belongs to a running program and not in an image`);
  const kept = new Map([...(attributes ?? [])].filter(([name]) => keptAttribute.test(name)));
  return { path, kind, mode, uid, gid, mtime: mtime.seconds, size: kind === 'file' ? entry.size : 0, target, device, attributes: kept };
}
