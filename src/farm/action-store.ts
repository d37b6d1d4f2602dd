// The boot actions of all machines and their journal, state/actions: an order outlives the server, and is on disk before it takes effect.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { FarmError, sentence } from '../base/errors.ts';
import { Journal, readJournal } from '../base/journal.ts';
import type { Log } from '../base/log.ts';
import type { BootAction } from '../boot/plan.ts';
import { type ActionEvent, actionNow, afterEvent, bootActions, nothingOrdered, type OrderedActions } from './actions.ts';
import { stateDirectory } from './directory.ts';

const commandSchema = z.strictObject({
  id: z.string().min(1).max(64),
  nodes: z.array(z.string().min(1).max(63)).min(1).max(100_000),
  action: z.enum(bootActions),
  once: z.boolean(),
});

/** One call of `farm boot`. Its id tells that one which came by the journal comes again by the control socket. */
export type ActionCommand = Readonly<z.infer<typeof commandSchema>>;

/** Times are milliseconds since the epoch. A machine whole, or the ids of commands that were taken, is what compaction writes. */
type Entry =
  | { readonly at: number; readonly command: ActionCommand }
  | { readonly at: number; readonly node: string; readonly event: Exclude<ActionEvent['kind'], 'order'> }
  | { readonly node: string; readonly ordered: OrderedActions }
  | { readonly taken: readonly string[] };

/** A day of a thousand machines; then the journal is rewritten as one entry a machine. */
const compactSize = 1 << 20;

/** Commands that are remembered. One comes twice only when the server starts at the moment it is given. */
const takenMax = 1000;

/** A loader that fails fetches its menu every few seconds; how long ago it did is kept no finer than this. */
const seenInterval = 60_000;

interface State {
  readonly ordered: Map<string, OrderedActions>;
  /** In the order they came. */
  readonly taken: Set<string>;
}

/** Opened by the server alone: journals have one writer. */
export class BootActions {
  private readonly state: State;
  private readonly journal: Journal<Entry>;
  private readonly log: Log;

  /** Throws `journal.damaged`. */
  constructor(farmDirectory: string, log: Log) {
    this.log = log;
    this.state = emptyState();
    mkdirSync(stateDirectory(farmDirectory), { recursive: true });
    this.journal = Journal.open<Entry>(journalPath(farmDirectory), (entry) => replay(this.state, entry));
  }

  /** What a boot of this node does now, for DHCP and for whoever looks: nothing is used up. undefined: what its profile says. */
  current(node: string, now: number): BootAction | undefined {
    return actionNow(this.of(node), now);
  }

  all(): ReadonlyMap<string, OrderedActions> {
    return this.state.ordered;
  }

  private of(node: string): OrderedActions {
    return this.state.ordered.get(node) ?? nothingOrdered;
  }

  /** Takes a command; settles when it is on disk. One that came before is passed over. */
  async take(command: ActionCommand, now: number): Promise<void> {
    if (!this.state.taken.has(command.id)) this.record({ at: now, command });
    await this.journal.stable();
    if (this.journal.size > compactSize) this.compact();
  }

  /**
   * What a node does that fetches its menu now. That a one-shot action is used up is on disk before this settles; if the disk does not
   * take it, the node gets what it would do without, for to do it twice would be worse.
   */
  async menu(node: string, now: number): Promise<BootAction | undefined> {
    const before = this.of(node);
    const after = afterEvent(before, { kind: 'menu' }, now);
    if (after.attempt === undefined && before.attempt === undefined) return actionNow(after, now);
    const repeated = before.attempt !== undefined && after.attempt !== undefined && now - before.attempt.seen < seenInterval && after.once === before.once;
    try {
      if (!repeated) this.record({ at: now, node, event: 'menu' });
      await this.journal.stable();
    } catch (error) {
      this.log('error', 'action.unkept', { node, error: sentence(error) });
      return after.standing;
    }
    return actionNow(after, now);
  }

  /** A boot has begun, or the system that was booted reports. A disk that is full must not keep a machine from booting. */
  note(node: string, event: 'began' | 'running', now: number): void {
    const before = this.of(node);
    if (afterEvent(before, { kind: event }, now) === before) return;
    try {
      this.record({ at: now, node, event });
    } catch (error) {
      this.log('error', 'action.unkept', { node, error: sentence(error) });
    }
  }

  private record(entry: Entry): void {
    this.journal.append(entry);
    replay(this.state, entry);
  }

  private compact(): void {
    const machines = [...this.state.ordered].map(([node, ordered]) => ({ node, ordered }));
    this.journal.compact([{ taken: [...this.state.taken] }, ...machines]);
  }

  async close(): Promise<void> {
    this.compact();
    await this.journal.close();
  }
}

/** Reads a command from the body of a request. Throws `FarmError` `action.invalid`. */
export function parseActionCommand(body: Buffer | undefined): ActionCommand {
  try {
    return commandSchema.parse(JSON.parse((body ?? Buffer.alloc(0)).toString()));
  } catch (error) {
    throw new FarmError('action.invalid', `this is no boot action: ${sentence(error)}`, undefined, error);
  }
}

/** Writes a command to the journal of a farm that no server has open; settles when it is on disk. */
export async function appendCommand(farmDirectory: string, command: ActionCommand, now: number): Promise<void> {
  mkdirSync(stateDirectory(farmDirectory), { recursive: true });
  const journal = Journal.open<Entry>(journalPath(farmDirectory), () => {});
  journal.append({ at: now, command });
  await journal.close();
}

/** What is ordered, by node, without taking the journal over. */
export function readActions(farmDirectory: string): ReadonlyMap<string, OrderedActions> {
  const state = emptyState();
  for (const entry of readJournal<Entry>(journalPath(farmDirectory))) replay(state, entry);
  return state.ordered;
}

function emptyState(): State {
  return { ordered: new Map(), taken: new Set() };
}

function journalPath(farmDirectory: string): string {
  return join(stateDirectory(farmDirectory), 'actions');
}

function replay(state: State, entry: Entry): void {
  if ('taken' in entry) for (const id of entry.taken) remember(state, id);
  else if ('ordered' in entry) put(state, entry.node, entry.ordered);
  else if ('event' in entry) apply(state, entry.node, { kind: entry.event }, entry.at);
  else if (!state.taken.has(entry.command.id)) {
    const { id, nodes, action, once } = entry.command;
    remember(state, id);
    for (const node of nodes) apply(state, node, { kind: 'order', order: { action, once } }, entry.at);
  }
}

function apply(state: State, node: string, event: ActionEvent, at: number): void {
  put(state, node, afterEvent(state.ordered.get(node) ?? nothingOrdered, event, at));
}

function put({ ordered }: State, node: string, actions: OrderedActions): void {
  if (Object.keys(actions).length === 0) ordered.delete(node);
  else ordered.set(node, actions);
}

function remember({ taken }: State, id: string): void {
  taken.add(id);
  const [oldest] = taken;
  if (taken.size > takenMax && oldest !== undefined) taken.delete(oldest);
}
