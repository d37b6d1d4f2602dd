// What agents tell each other of a job that begins, checked: what comes from a link is JSON of anybody who has the farm's key.
import { WireError } from '../../base/errors.ts';
import { isRecord } from '../link/frames.ts';
import type { Decay, JobOptions } from './mosrun-options.ts';
import { type Channel, channelNames } from './stream-frames.ts';
import type { StreamsHeader } from './streams.ts';
import type { JobSpec } from './types.ts';

const nodesMax = 65_535;

/** Throws `WireError` `job.start`, or what `readSpec` throws. */
export function asStart(value: unknown, readSpec: (value: unknown) => JobSpec): { readonly spec: JobSpec; readonly chosen: JobOptions } {
  if (!isRecord(value)) throw new WireError('job.start', 0, 'no job');
  return { spec: readSpec(value['spec']), chosen: asOptions(value['options']) };
}

/** Throws `WireError` `job.start`. */
function asOptions(value: unknown): JobOptions {
  if (!isRecord(value)) throw new WireError('job.start', 0, 'a job without options');
  const { locked, allowed, hint, decay, checkpoint } = value;
  const nodes = Array.isArray(allowed) && allowed.length <= nodesMax ? allowed.filter(isCount) : undefined;
  return {
    locked: locked === true,
    allowed: nodes,
    hint: hint === 'cpu' || hint === 'io' ? hint : undefined,
    decay: asDecay(decay),
    checkpoint: isCount(checkpoint) ? checkpoint : undefined,
  };
}

function asDecay(value: unknown): Decay | undefined {
  if (!isRecord(value) || !isCount(value['keep']) || value['keep'] > 1000) return undefined;
  return { keep: value['keep'], interval: isCount(value['interval']) ? value['interval'] : undefined };
}

/** The first words of a job's streams. */
export function asHeader(value: unknown): StreamsHeader | undefined {
  if (!isRecord(value) || typeof value['id'] !== 'string' || value['id'].length > 64 || !isRecord(value['at'])) return undefined;
  const at = value['at'];
  const offset = (channel: Channel) => (isCount(at[channel]) ? at[channel] : undefined);
  const [input, control, output, errors, events] = channelNames.map(offset);
  if (input === undefined || control === undefined || output === undefined || errors === undefined || events === undefined) return undefined;
  return {
    id: value['id'],
    begins: value['begins'] === true,
    at: { input, control, output, errors, events },
    inputEnded: value['inputEnded'] === true,
    life: isCount(value['life']) ? value['life'] : 0,
  };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
