// What is kept beside the images of a checkpoint, `checkpoint.json`: all that another node has to know to make the job again. Written by one agent, read by others.
import type { JobSpec, StreamPositions } from '../jobs/types.ts';
import { fields, foreign, whole } from '../moves/shape.ts';
import { readSpec } from '../moves/spec.ts';
import { mismatch, type Versions, versionsOf } from '../moves/versions.ts';
import { type Luggage, readLuggage, readPositions } from '../moves/wire.ts';

export interface Checkpoint {
  /** 1 for the first of a job, and then upwards. */
  readonly number: number;
  readonly spec: JobSpec;
  /** Its streams at that moment; the home has had all that it had written. */
  readonly positions: StreamPositions;
  readonly luggage: Luggage;
  /** Where it was made, and with what. */
  readonly node: number;
  readonly versions: Versions;
  /** When, ms since the epoch. */
  readonly at: number;
  /** Of all its files. */
  readonly bytes: number;
}

/** Throws `WireError` `shape`. */
export function readCheckpoint(value: unknown): Checkpoint {
  const from = fields(value, 'a checkpoint');
  const positions = readPositions(from.get('positions'));
  if (from.get('format') !== format) throw foreign('format', `not ${format}`);
  return {
    number: whole(from, 'number', 1),
    spec: readSpec(from.get('spec')),
    positions,
    luggage: readLuggage(from.get('luggage')),
    node: whole(from, 'node', 1),
    versions: versionsOf(fields(from.get('versions'), 'versions')),
    at: whole(from, 'at'),
    bytes: whole(from, 'bytes'),
  };
}

/** Of this file. */
const format = 1;

export function checkpointText(checkpoint: Checkpoint): string {
  return `${JSON.stringify({ format, ...checkpoint }, undefined, 1)}\n`;
}

/** The name under which a job's checkpoints are kept: the id that it had first, whatever its home is now. */
export function keyOf({ id, origin }: Pick<JobSpec, 'id' | 'origin'>): string {
  return origin ?? id;
}

/**
 * Why this node cannot make the job again, in words; undefined if it can. With another home than before it gets that one's files, and where these are of
 * another image its programs are not those that it has in memory.
 */
export function cannotRestore(here: Versions, { spec, versions }: Pick<Checkpoint, 'spec' | 'versions'>, home: number): string | undefined {
  const other = mismatch(here, versions);
  if (other !== undefined || home === spec.home || here.image === spec.image) return other;
  return `its home had booted ${spec.image === '' ? 'no image of the farm' : spec.image}, this node ${here.image === '' ? 'none' : here.image}`;
}
