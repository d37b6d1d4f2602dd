// Undoes the compression of a stream, told by its first bytes: gzip (RFC 1952) here, zstd, xz and bzip2 by their programs.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { FarmError, systemCode } from '../base/errors.ts';

/** `--memory`, `--memlimit-decompress`: a stream says how much it needs, and a hostile one says too much. */
const programs: readonly { readonly magic: string; readonly program: string; readonly args: readonly string[] }[] = [
  { magic: 'fd377a585a00', program: 'xz', args: ['--memlimit-decompress=256MiB'] },
  { magic: '28b52ffd', program: 'zstd', args: ['--memory=256MB'] },
  // A frame that is to be skipped: zstd:chunked begins with none, but may.
  { magic: '502a4d18', program: 'zstd', args: ['--memory=256MB'] },
  { magic: '425a68', program: 'bzip2', args: [] },
];
const gzip = '1f8b';
const magicBytes = 6;

/** The bytes as they are if they are packed in no known way. Throws `FarmError` `program.missing`, `image.packed`, and what `chunks` throws. */
export async function* decompressed(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const source = chunks[Symbol.asyncIterator]();
  const first: Uint8Array[] = [];
  for (let have = 0; have < magicBytes; ) {
    const { done, value } = await source.next();
    if (done === true) break;
    first.push(value);
    have += value.length;
  }
  const all = (async function* (): AsyncGenerator<Uint8Array> {
    yield* first;
    yield* { [Symbol.asyncIterator]: () => source };
  })();
  const start = Buffer.concat(first).toString('hex', 0, magicBytes);
  const packed = programs.find(({ magic }) => start.startsWith(magic));
  if (start.startsWith(gzip)) yield* gunzipped(all);
  else if (packed !== undefined) yield* byProgram(all, packed.program, packed.args);
  else yield* all;
}

async function* gunzipped(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip();
  const fed = pipeline(Readable.from(chunks, { objectMode: false }), gunzip);
  fed.catch(() => {}); // it is thrown below, out of the gunzip
  try {
    for await (const chunk of gunzip) yield chunk;
  } catch (error) {
    if (!/^Z_/.test(systemCode(error) ?? '')) throw error;
    throw new FarmError('image.packed', `damaged gzip data: ${error instanceof Error ? error.message : ''}`, undefined, error);
  }
}

async function* byProgram(chunks: AsyncIterable<Uint8Array>, program: string, args: readonly string[]): AsyncGenerator<Uint8Array> {
  const child = spawn(program, ['--decompress', '--stdout', '--quiet', ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  const complaints: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => complaints.length < 16 && complaints.push(chunk));
  const ended = once(child, 'close');
  ended.catch(() => {}); // thrown below
  const fed = pipeline(Readable.from(chunks, { objectMode: false }), child.stdin);
  fed.catch(() => child.stdout.destroy());
  let left = true; // by who reads it, before its end
  try {
    for await (const chunk of child.stdout) yield chunk;
    left = false;
  } catch (error) {
    if (systemCode(error) !== 'ERR_STREAM_PREMATURE_CLOSE') throw error; // why it was closed is thrown below
  } finally {
    if (left) child.kill();
  }
  const [feeding, ending] = await Promise.allSettled([fed, ended]);
  if (ending.status === 'rejected') {
    if (systemCode(ending.reason) !== 'ENOENT') throw ending.reason;
    throw new FarmError(
      'program.missing',
      `${program} is not installed; what is to be read is packed by it`,
      `apt-get install ${program === 'xz' ? 'xz-utils' : program}`,
      ending.reason,
    );
  }
  // A program that stopped reading tells more than the pipe that broke.
  const [code] = ending.value;
  if (feeding.status === 'rejected' && systemCode(feeding.reason) !== 'EPIPE') throw feeding.reason;
  if (code !== 0) throw new FarmError('image.packed', `damaged ${program} data: ${Buffer.concat(complaints).toString().trim().slice(0, 500)}`);
}
