// Which clients would lose locks if the server restarted, and which of its states it is in: what NSM keeps on disk. C702 chapter 12.
import type { Ipv4 } from '../base/addresses.ts';

/** One line of the journal; the last of a client counts. */
export type MonitoredEntry =
  | { readonly state: number }
  /** `holds` false: it has yet to be told that the server restarted, and its locks are gone. */
  | { readonly client: Ipv4; readonly server: Ipv4; readonly holds: boolean }
  | { readonly forget: Ipv4 };

/** What is asked of a journal (base/journal.ts). */
export interface MonitoredStore {
  readonly size: number;
  append(entry: MonitoredEntry): void;
  stable(): Promise<void>;
  compact(entries: Iterable<MonitoredEntry>): void;
}

/** A client, and the address by which it knows the server. */
export interface MonitoredClient {
  readonly client: Ipv4;
  readonly server: Ipv4;
  readonly holds: boolean;
}

/** A file of some hundred lines is not worth writing anew. */
const compactFrom = 65_536;
/** About the longest line, bytes. */
const lineBytes = 80;

/** What the lines of a journal say, one after the other. */
export class MonitoredRecord {
  state = 0;
  readonly clients = new Map<Ipv4, MonitoredClient>();

  replay(entry: MonitoredEntry): void {
    if ('state' in entry) this.state = entry.state;
    else if ('forget' in entry) this.clients.delete(entry.forget);
    else this.clients.set(entry.client, entry);
  }

  *entries(): Iterable<MonitoredEntry> {
    yield { state: this.state };
    yield* this.clients.values();
  }
}

/** The state of a server that has just come up: odd, and none it had before. NSM's `int` begins anew after 2^31. */
export function nextState(state: number): number {
  return ((state + (state % 2 === 1 ? 2 : 1)) % 0x8000_0000) | 1;
}

export class Monitored {
  private readonly record: MonitoredRecord;
  private readonly store: MonitoredStore;
  /** Clients of which the disk may not know yet. */
  private readonly writing = new Map<Ipv4, Promise<void>>();

  /** Enters the next state and has it on disk when it returns. Throws what the store throws. */
  constructor(record: MonitoredRecord, store: MonitoredStore) {
    this.record = record;
    this.store = store;
    record.state = nextState(record.state);
    store.compact(record.entries());
  }

  get state(): number {
    return this.record.state;
  }

  get clients(): Iterable<MonitoredClient> {
    return this.record.clients.values();
  }

  /** Notes that a client holds locks: settles when it is on disk; undefined if it is already. Rejects if it cannot be written, and forgets it again. */
  hold(client: Ipv4, server: Ipv4): Promise<void> | undefined {
    const known = this.record.clients.get(client);
    if (known?.holds === true && known.server === server) return this.writing.get(client);
    const written = this.write({ client, server, holds: true }).finally(() => {
      if (this.writing.get(client) === written) this.writing.delete(client);
    });
    this.writing.set(client, written);
    return written;
  }

  /** Its locks are gone, and it must be told. */
  lose(client: Ipv4): void {
    const known = this.record.clients.get(client);
    if (known?.holds === true) this.note({ ...known, holds: false });
  }

  forget(client: Ipv4): void {
    if (this.record.clients.has(client)) this.note({ forget: client });
  }

  holds(client: Ipv4): boolean {
    return this.record.clients.get(client)?.holds ?? false;
  }

  private async write(entry: MonitoredClient): Promise<void> {
    try {
      this.note(entry);
      await this.store.stable();
    } catch (error) {
      this.record.clients.delete(entry.client);
      throw error;
    }
  }

  private note(entry: MonitoredEntry): void {
    this.store.append(entry);
    this.record.replay(entry);
    if (this.store.size > compactFrom + 4 * lineBytes * this.record.clients.size) this.store.compact(this.record.entries());
  }
}
