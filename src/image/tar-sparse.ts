// Where the stored pieces of a sparse file in a tar belong: GNU's old format and its pax formats 0.0, 0.1 and 1.0 (GNU tar manual, "Storing Sparse Files").
import { WireError } from '../base/errors.ts';
import { type Blocks, block, numeric, type Segment, wholeNumber } from './tar-fields.ts';

/** Where a stored piece lies in the file. */
type Piece = readonly [at: number, length: number];

/** A file of this many pieces is a data base, not part of a root. */
const piecesMax = 1 << 16;

/** What pax records say about the map of a member: undefined of one that is not sparse. Throws `tar.sparse`. */
export function sparseMap(records: ReadonlyMap<string, string>, offset: number): readonly Piece[] | 'in the data' | undefined {
  const version = [records.get('GNU.sparse.major'), records.get('GNU.sparse.minor')].join('.');
  if (version === '1.0') return 'in the data';
  const map = records.get('GNU.sparse.map');
  if (version !== '.' && version !== '0.0' && version !== '0.1')
    throw new WireError('tar.sparse', offset, `a sparse file of format ${JSON.stringify(version)}`);
  if (map === undefined) return undefined;
  return inPairs(map === '' ? [] : map.split(','), offset);
}

function inPairs(numbers: readonly string[], offset: number): readonly Piece[] {
  if (numbers.length % 2 !== 0 || numbers.length > 2 * piecesMax)
    throw new WireError('tar.sparse', offset, `a map of a sparse file with ${numbers.length} numbers`);
  return Array.from({ length: numbers.length / 2 }, (_, pair) => [wholeNumber(numbers[2 * pair], offset), wholeNumber(numbers[2 * pair + 1], offset)]);
}

/** The map in GNU's old header and the blocks after it, or, without a header, at the start of the data as format 1.0 has it. */
export async function readSegments(blocks: Blocks, header: Buffer | undefined, offset: number): Promise<readonly Piece[]> {
  return header === undefined ? readLines(blocks, offset) : readOld(blocks, header, offset);
}

async function readOld(blocks: Blocks, header: Buffer, offset: number): Promise<readonly Piece[]> {
  const pieces: Piece[] = [];
  const take = (from: Buffer, start: number, count: number): void => {
    for (let index = 0; index < count; index += 1) {
      const at = start + index * 24;
      if (from[at] === 0) return; // an entry that is not used
      pieces.push([numeric(from, at, 12, offset), numeric(from, at + 12, 12, offset)]);
    }
  };
  take(header, 386, 4);
  for (let more = header[482] !== 0; more; ) {
    const next = await blocks.exactly(block);
    take(next, 0, 21);
    more = next[504] !== 0;
    if (pieces.length > piecesMax) throw new WireError('tar.sparse', offset, `a sparse file of more than ${piecesMax} pieces`);
  }
  return pieces;
}

/** What a line may take: a number of 53 bits. */
const lineMax = 17;

/** A count and that many pairs, a decimal number a line, filled up to a block. */
async function readLines(blocks: Blocks, offset: number): Promise<readonly Piece[]> {
  const first = await blocks.exactly(block);
  const count = wholeNumber(first.toString('latin1', 0, lineMax).split('\n')[0], offset);
  if (count > piecesMax) throw new WireError('tar.sparse', offset, `a sparse file of ${count} pieces; at most ${piecesMax} are read`);
  const parts = [first];
  const lines = (bytes: Buffer): number => bytes.reduce((sum, byte) => sum + (byte === 0x0a ? 1 : 0), 0);
  const wanted = 1 + 2 * count;
  for (let have = lines(first); have < wanted; ) {
    if (parts.length * block > (wanted + 1) * lineMax + block) throw new WireError('tar.sparse', offset, 'a sparse file with a map of too many digits');
    const next = await blocks.exactly(block);
    have += lines(next);
    parts.push(next);
  }
  return inPairs(Buffer.concat(parts).toString('latin1').split('\n').slice(1, wanted), offset);
}

/** The whole file from hole to hole. Throws `tar.sparse` for pieces that overlap, lie outside, or are not what is stored. */
export function sparsePieces(map: readonly Piece[] | undefined, size: number, stored: number, offset: number): readonly Segment[] {
  if (map === undefined) return [{ hole: 0, length: stored }];
  let at = 0;
  let sum = 0;
  const segments = map.map(([start, length]) => {
    const hole = start - at;
    at = start + length;
    sum += length;
    if (hole < 0 || length < 0 || !(at <= size)) throw new WireError('tar.sparse', offset, 'a sparse file whose pieces overlap or lie outside of it');
    return { hole, length };
  });
  if (sum !== stored) throw new WireError('tar.sparse', offset, `a sparse file with ${stored} bytes stored whose map has ${sum}`);
  return [...segments, { hole: size - at, length: 0 }];
}
