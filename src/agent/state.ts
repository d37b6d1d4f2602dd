// What the agent must not forget: which start this is, the speed of its processors, and what an administrator has set. One JSON file on the node's own
// part of the root, replaced whole.
import { randomInt } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { FarmError, sentence, systemCode } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { type AdminFlags, flagsWhere, noFlags } from '../cluster/entry.ts';
import { nodeIdMax } from '../cluster/map.ts';

/** An incarnation is the second in which an agent starts and so many random bits: no two are equal even where a clock is set back and the file is lost. */
const randomBits = 20;

export interface KeptState {
  readonly incarnation: number;
  /** Measured on `hardware`; `set` by an administrator it holds on any. */
  readonly speed: { readonly value: number; readonly hardware: string; readonly set: boolean } | undefined;
  readonly flags: AdminFlags;
  /** Most gateways between two nodes, 0..2. */
  readonly gateways: number;
  /** The id that was taken after a collision of discovered ones. */
  readonly discoveredId: number | undefined;
}

export interface AgentState {
  readonly get: () => KeptState;
  /** Takes effect at once; the file follows. */
  readonly set: (change: Partial<KeptState>) => void;
  /** Settles when the file has what was set, or could not be written; within `ms`. */
  readonly settled: (ms: number) => Promise<void>;
}

const nothing: KeptState = { incarnation: 0, speed: undefined, flags: noFlags, gateways: 0, discoveredId: undefined };

/** A larger incarnation than `last` that no other start has or will have. */
export function nextIncarnation(last: number, now: number): number {
  return Math.max(last + 1, Math.floor(now / 1000) * 2 ** randomBits + randomInt(2 ** randomBits));
}

/** Reads what was kept, or else begins with `initial`, and begins a new incarnation. A file that cannot be read, or makes no sense, is complained about and begun anew. */
export async function openState(directory: string, initial: Partial<KeptState>, log: Log): Promise<AgentState> {
  const path = join(directory, 'state.json');
  let state = (await readState(path, log)) ?? { ...nothing, ...initial };
  let writing: Promise<void> | undefined;
  let dirty = false;
  let complained = false;
  const write = async () => {
    while (dirty) {
      dirty = false;
      try {
        await replaceFile(directory, path, `${JSON.stringify(state)}\n`);
        complained = false;
      } catch (error) {
        if (!complained) log('error', 'state.unkept', { file: path, reason: sentence(error) });
        complained = true;
      }
    }
    writing = undefined;
  };
  const set = (change: Partial<KeptState>) => {
    state = { ...state, ...change };
    dirty = true;
    writing ??= write();
  };
  const settled = async (ms: number) => {
    if (writing === undefined) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([writing, late]); // the NFS server may be away for long
    clearTimeout(timer);
  };
  set({ incarnation: nextIncarnation(state.incarnation, Date.now()) });
  return { get: () => state, set, settled };
}

async function readState(path: string, log: Log): Promise<KeptState | undefined> {
  try {
    return parseState(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') log('error', 'state.unreadable', { file: path, reason: sentence(error) });
    return undefined;
  }
}

/** Checks what JSON.parse made of the file. Throws `FarmError` `state.invalid`. */
export function parseState(json: unknown): KeptState {
  const fields = fieldsOf(json);
  const flags = fieldsOf(fields.get('flags'));
  const speed = fields.get('speed') === undefined ? undefined : fieldsOf(fields.get('speed'));
  const discoveredId = fields.get('discoveredId');
  return {
    incarnation: whole(fields.get('incarnation'), Number.MAX_SAFE_INTEGER),
    speed: speed && { value: whole(speed.get('value'), 0xffffffff), hardware: String(speed.get('hardware')), set: speed.get('set') === true },
    flags: flagsWhere((name) => flags.get(name) === true),
    gateways: whole(fields.get('gateways'), 2),
    discoveredId: discoveredId === undefined ? undefined : whole(discoveredId, nodeIdMax),
  };
}

function fieldsOf(value: unknown): ReadonlyMap<string, unknown> {
  if (typeof value === 'object' && value !== null) return new Map(Object.entries(value));
  throw new FarmError('state.invalid', 'what the agent kept is not what it writes', 'remove the file; speed and admin flags begin anew');
}

function whole(value: unknown, most: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most) return value;
  throw new FarmError('state.invalid', `what the agent kept has "${String(value)}" for a number`, 'remove the file; speed and admin flags begin anew');
}

async function replaceFile(directory: string, path: string, text: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const beside = `${path}.new`;
  const file = await open(beside, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(beside, path);
}
