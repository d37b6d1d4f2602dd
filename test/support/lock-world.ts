// A lock service with time and clients that a test plays: what it says to them is written down, what they answer is said by the test.
import { type Ipv4, ipv4 } from '../../src/base/addresses.ts';
import { ByteReader, ByteWriter } from '../../src/base/bytes.ts';
import { readTestArguments } from '../../src/nlm/arguments.ts';
import type { Asker, LockQuestions } from '../../src/nlm/doors.ts';
import type { RemoteAnswer, RemoteCall } from '../../src/nlm/exchange.ts';
import { Monitored, type MonitoredEntry, MonitoredRecord } from '../../src/nlm/monitored.ts';
import { type LockArguments, type NlmStatus, nlmProcedures, nlmProgram, type WantedLock } from '../../src/nlm/nlm.ts';
import { nsmProgram, readStateChange } from '../../src/nlm/nsm.ts';
import { writeStatusResult } from '../../src/nlm/results.ts';
import { LockService, type LockServiceOptions } from '../../src/nlm/service.ts';
import { VirtualTimers } from './virtual-timers.ts';

export const server = ipv4('10.0.0.254');
export const one = ipv4('10.0.0.1');
export const two = ipv4('10.0.0.2');

/** What a client does with a call: answers so, cannot be reached, or takes the call and does not answer. */
export type Reaction = NlmStatus | 'unreachable' | 'silent';

export interface Told {
  readonly to: Ipv4;
  readonly what: keyof typeof nlmProcedures | 'NOTIFY';
  readonly cookie?: Buffer;
  readonly lock?: WantedLock;
  readonly state?: number;
  readonly from: Ipv4;
}

/** A disk that survives its servers. */
export class Disk {
  private lines: MonitoredEntry[] = [];
  isFull = false;

  get size(): number {
    return this.lines.length * 60;
  }

  append(entry: MonitoredEntry): void {
    this.lines.push(entry);
  }

  stable(): Promise<void> {
    return this.isFull ? Promise.reject(new Error('no space left on device')) : Promise.resolve();
  }

  compact(entries: Iterable<MonitoredEntry>): void {
    this.lines = [...entries];
  }

  read(): MonitoredRecord {
    const record = new MonitoredRecord();
    for (const line of this.lines) record.replay(line);
    return record;
  }
}

export class LockWorld {
  readonly timers = new VirtualTimers();
  readonly disk = new Disk();
  readonly told: Told[] = [];
  readonly events: { readonly event: string; readonly fields: Readonly<Record<string, unknown>> }[] = [];
  readonly reactions = new Map<Ipv4, Reaction[]>();
  permit: LockQuestions['permit'] = () => 'yes';
  service: LockService;
  private readonly options: Partial<LockServiceOptions>;

  constructor(options: Partial<LockServiceOptions> = {}) {
    this.options = options;
    this.service = this.start();
  }

  /** The server crashes and comes up again. */
  restart(): void {
    this.service.close();
    this.told.length = 0;
    this.service = this.start();
  }

  /** The next reactions of a client, the last for ever. Without any it takes what it is told. */
  reacts(client: Ipv4, ...reactions: Reaction[]): void {
    this.reactions.set(client, reactions);
  }

  asker(client: Ipv4): Asker {
    return { client, port: 700, transport: 'tcp', server, version: 4, credential: { flavor: 'none' } };
  }

  lock(client: Ipv4, svid: number, rest: Partial<LockArguments> & Partial<WantedLock> = {}, asynchronous = false): NlmStatus | Promise<NlmStatus> {
    const args = { cookie: Buffer.from('c'), block: false, exclusive: true, reclaim: false, state: 1, ...rest, lock: wantedLock(svid, rest) };
    return this.service.lock(this.asker(client), args, { monitored: true, asynchronous });
  }

  unlock(client: Ipv4, svid: number, rest: Partial<WantedLock> = {}): NlmStatus {
    return this.service.unlock(this.asker(client), wantedLock(svid, rest));
  }

  cancel(client: Ipv4, svid: number, rest: Partial<WantedLock> = {}): NlmStatus {
    return this.service.cancel(this.asker(client), { cookie: Buffer.from('c'), exclusive: true, lock: wantedLock(svid, rest) });
  }

  test(client: Ipv4, svid: number, rest: Partial<WantedLock> = {}): NlmStatus {
    return this.service.test(this.asker(client), { cookie: Buffer.from('c'), exclusive: true, lock: wantedLock(svid, rest) }).status;
  }

  toldTo(client: Ipv4): readonly Told['what'][] {
    return this.told.filter(({ to }) => to === client).map(({ what }) => what);
  }

  private start(): LockService {
    const questions: LockQuestions = {
      admits: (client) => client === one || client === two,
      identify: (handle) => (handle.toString('latin1').startsWith('file ') ? handle.toString('latin1') : undefined),
      permit: (handle, caller, exclusive) => this.permit(handle, caller, exclusive),
    };
    const log = (_level: string, event: string, fields = {}) => void this.events.push({ event, fields });
    const doors = { questions, timers: this.timers, log, call: (call: RemoteCall) => this.call(call) };
    return new LockService({ doors, monitored: new Monitored(this.disk.read(), this.disk), firstCookie: 7, ...this.options });
  }

  private async call(call: RemoteCall): Promise<RemoteAnswer> {
    const { to, from } = call;
    const writer = new ByteWriter();
    call.args(writer);
    const args = new ByteReader(writer.bytes());
    const reactions = this.reactions.get(to) ?? ['GRANTED'];
    const reaction = (reactions.length > 1 ? reactions.shift() : reactions[0]) ?? 'GRANTED';
    let cookie = Buffer.alloc(0);
    let what: Told['what'] = 'NOTIFY';
    if (call.program === nsmProgram) this.told.push({ to, from, what, ...readStateChange(args) });
    else if (call.program === nlmProgram) {
      what = call.procedure === nlmProcedures.GRANTED ? 'GRANTED' : 'GRANTED_MSG';
      const { cookie: ours, lock } = readTestArguments(args, 4);
      cookie = Buffer.from(ours);
      this.told.push({ to, from, what, cookie, lock });
    }
    if (reaction === 'unreachable') return { kind: 'unanswered', reason: 'no route', arrived: false };
    if (reaction === 'silent') return { kind: 'unanswered', reason: 'no answer', arrived: true };
    const results = new ByteWriter();
    if (what === 'GRANTED') writeStatusResult(results, 4, { cookie, status: reaction });
    return { kind: 'answered', results: new ByteReader(results.bytes()), repeated: false };
  }
}

function wantedLock(svid: number, { handle = Buffer.from('file a'), offset = 0n, length = 10n }: Partial<WantedLock>): WantedLock {
  return { caller: 'a-node', handle, ownerHandle: Buffer.from(`${svid}@a-node`), svid, offset, length };
}
