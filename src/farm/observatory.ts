// The observed machines and their journal: `farm status` has an answer after a restart, and while no server runs.
import { join } from 'node:path';
import type { Mac } from '../base/addresses.ts';
import { sentence } from '../base/errors.ts';
import { Journal, readJournal } from '../base/journal.ts';
import type { Log } from '../base/log.ts';
import { stateDirectory } from './directory.ts';
import { type Machine, type Observation, observe } from './observed.ts';

/** Reports of a quiet day for a hundred nodes; then the journal is rewritten as one entry a machine. */
const compactSize = 4 << 20;

/** How many unknown machines are remembered: a forged storm of MAC addresses must not fill the memory. */
const strangersMax = 1000;

/** A report that changes nothing but the time is journalled no oftener than this. */
const quietInterval = 60_000;

/** A machine whole is what compaction writes. */
type Entry = Observation | { readonly machine: Machine };

export class Observatory {
  private readonly machines = new Map<Mac, Machine>();
  private readonly recordedAt = new Map<Mac, number>();
  private readonly journal: Journal<Entry>;
  private readonly log: Log;

  constructor(farmDirectory: string, log: Log) {
    this.log = log;
    this.journal = Journal.open<Entry>(journalPath(farmDirectory), (entry) => replay(this.machines, entry));
  }

  get(mac: Mac): Machine | undefined {
    return this.machines.get(mac);
  }

  all(): readonly Machine[] {
    return [...this.machines.values()];
  }

  note(observation: Observation): Machine {
    const { mac, at } = observation;
    const before = this.machines.get(mac);
    if (before === undefined && observation.stage === 'seen') this.forgetOldestStranger();
    const machine = observe(before, observation);
    this.machines.set(mac, machine);
    const changed = machine.stage !== before?.stage || machine.detail !== before.detail || machine.address !== before.address;
    if (changed || at - (this.recordedAt.get(mac) ?? 0) > quietInterval) {
      this.record(observation);
    }
    return machine;
  }

  /** A disk that is full must not keep a machine from booting: what could not be kept is known until the server ends. */
  private record(observation: Observation): void {
    try {
      this.journal.append(observation);
      this.recordedAt.set(observation.mac, observation.at);
      if (this.journal.size > compactSize) this.compact();
    } catch (error) {
      this.log('error', 'observed.unkept', { mac: observation.mac, error: sentence(error) });
    }
  }

  private forgetOldestStranger(): void {
    const strangers = this.all().filter(({ stage }) => stage === 'seen');
    if (strangers.length < strangersMax) return;
    const oldest = strangers.reduce((a, b) => (a.lastSeen < b.lastSeen ? a : b));
    this.machines.delete(oldest.mac);
  }

  private compact(): void {
    this.journal.compact(this.all().map((machine) => ({ machine })));
  }

  async close(): Promise<void> {
    this.compact();
    await this.journal.close();
  }
}

/** What a server has left behind, without taking its journal over. */
export function readObserved(farmDirectory: string): readonly Machine[] {
  const machines = new Map<Mac, Machine>();
  for (const entry of readJournal<Entry>(journalPath(farmDirectory))) replay(machines, entry);
  return [...machines.values()];
}

function journalPath(farmDirectory: string): string {
  return join(stateDirectory(farmDirectory), 'observed');
}

function replay(machines: Map<Mac, Machine>, entry: Entry): void {
  if ('machine' in entry) machines.set(entry.machine.mac, entry.machine);
  else machines.set(entry.mac, observe(machines.get(entry.mac), entry));
}
