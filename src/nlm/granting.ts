// Tells waiting clients that they have their lock, until they say that they take it, that they do not, or are gone. C702 11.2.5.
import type { Ipv4 } from '../base/addresses.ts';
import { WireError } from '../base/errors.ts';
import { writeTestArguments } from './arguments.ts';
import type { Asker, Callback, LockDoors } from './doors.ts';
import type { RemoteAnswer, RemoteCall } from './exchange.ts';
import type { Grant } from './lock.ts';
import type { LockTable } from './locks.ts';
import { type NlmStatus, nlmProcedures, nlmProgram, type WantedLock } from './nlm.ts';
import { readStatusResult } from './results.ts';

/** ms after which a client is told again. Clients that cannot be told ask again themselves; Linux every 30 s. */
const again = [1000, 2000, 5000, 10_000, 20_000, 20_000, 30_000] as const;
/** A client that is restarting its own lock manager has said when it can be told (lockd waits as long), ms. */
const graceWait = 10_000;
/** How long a client may take to answer GRANTED_MSG by GRANTED_RES, ms. */
const resultWait = 10_000;
/** Linux counts four bytes, and kernels of the nineties took no more than eight. */
const cookieBytes = 4;

interface Telling {
  readonly grant: Grant<Callback>;
  readonly cookie: Buffer;
  attempts: number;
  /** A call before this one may have been heard: a DENIED now can mean that the lock was taken then. */
  heard: boolean;
  cancel: (() => void) | undefined;
}

export class Granting {
  private readonly table: LockTable<Callback>;
  private readonly doors: LockDoors;
  private readonly tellings = new Map<string, Telling>();
  private cookies: number;

  /** `firstCookie`: other than in the last run of this server, so that late answers are not taken for ours. */
  constructor(table: LockTable<Callback>, doors: LockDoors, firstCookie: number) {
    this.table = table;
    this.doors = doors;
    this.cookies = firstCookie;
  }

  tell(grants: readonly Grant<Callback>[]): void {
    for (const grant of grants) {
      this.cookies = (this.cookies + 1) >>> 0;
      const cookie = Buffer.alloc(cookieBytes);
      cookie.writeUInt32BE(this.cookies);
      const telling: Telling = { grant, cookie, attempts: 0, heard: false, cancel: undefined };
      this.tellings.set(cookie.toString('hex'), telling);
      void this.attempt(telling);
    }
  }

  /** GRANTED_RES of a client. */
  result(client: Ipv4, cookie: Buffer, status: NlmStatus): void {
    const telling = this.tellings.get(cookie.toString('hex'));
    if (telling?.grant.waiter.owner.client === client) this.conclude(telling, status, telling.attempts > 1 && telling.heard);
  }

  close(): void {
    for (const { cancel } of this.tellings.values()) cancel?.();
    this.tellings.clear();
  }

  private async attempt(telling: Telling): Promise<void> {
    const { grant, attempts, heard } = telling;
    telling.cancel = undefined;
    if (!this.goesOn(telling)) return;
    telling.attempts += 1;
    // The synchronous call says at once what the client wants; but HP's lock manager only listens to the other (lockd's svclock.c).
    const isMessage = grant.waiter.callback.asynchronous || attempts % 2 === 1;
    const answer = await this.doors.call(grantedCall(telling, isMessage));
    if (!this.goesOn(telling)) return;
    telling.heard ||= answer.kind === 'answered' || answer.arrived;
    if (answer.kind === 'answered' && !isMessage) {
      const status = statusIn(answer);
      if (status !== undefined) {
        this.conclude(telling, status, heard || answer.repeated);
        return;
      }
    }
    const reason = answer.kind === 'answered' ? 'no result' : answer.reason;
    const wait = again[attempts];
    if (wait === undefined) this.giveUp(telling, reason);
    else this.later(telling, answer.kind === 'answered' ? Math.max(wait, resultWait) : wait);
  }

  private goesOn(telling: Telling): boolean {
    if (this.tellings.get(telling.cookie.toString('hex')) !== telling) return false;
    if (this.table.isPending(telling.grant)) return true;
    this.end(telling);
    return false;
  }

  private later(telling: Telling, wait: number): void {
    telling.cancel?.();
    telling.cancel = this.doors.timers.after(wait, () => void this.attempt(telling));
  }

  private end(telling: Telling): void {
    telling.cancel?.();
    this.tellings.delete(telling.cookie.toString('hex'));
  }

  private conclude(telling: Telling, status: NlmStatus, heardBefore: boolean): void {
    const { grant } = telling;
    if (status === 'DENIED_GRACE_PERIOD') {
      this.later(telling, graceWait);
      return;
    }
    this.end(telling);
    // Who took the lock when told first says DENIED when told again. Should it not have it, its CANCEL or UNLOCK is on its way.
    if (status === 'GRANTED' || heardBefore) this.table.settle(grant);
    else this.tell(this.table.withdraw(grant));
  }

  private giveUp(telling: Telling, reason: string): void {
    const { grant, heard } = telling;
    const { client } = grant.waiter.owner;
    this.end(telling);
    this.doors.log('warn', 'nlm.unreachable', { client, reason, kept: heard });
    this.table.abandon(client);
    if (heard) this.table.settle(grant);
    else this.tell(this.table.withdraw(grant));
  }
}

/** By TCP if the client has it: a connection tells what arrived. */
function grantedCall({ grant, cookie }: Telling, isMessage: boolean): RemoteCall {
  const { callback, owner, exclusive, ownerHandle } = grant.waiter;
  const { server, version, handle, offset, length } = callback;
  const lock = { caller: server, handle, ownerHandle, svid: owner.svid, offset, length };
  return {
    from: server,
    to: owner.client,
    transports: ['tcp', 'udp'],
    repeatable: false,
    program: nlmProgram,
    version,
    procedure: isMessage ? nlmProcedures.GRANTED_MSG : nlmProcedures.GRANTED,
    args: (writer) => writeTestArguments(writer, version, { cookie, exclusive, lock }),
  };
}

/** undefined for an answer that cannot be read. */
function statusIn({ results }: Extract<RemoteAnswer, { readonly kind: 'answered' }>): NlmStatus | undefined {
  try {
    return readStatusResult(results).status;
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/** What it takes to tell who asked for `lock`. */
export function callbackOf({ server, version }: Asker, lock: WantedLock, asynchronous: boolean): Callback {
  return { server, version, handle: Buffer.from(lock.handle), offset: lock.offset, length: lock.length, asynchronous };
}
