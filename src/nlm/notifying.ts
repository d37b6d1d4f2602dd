// Tells clients that the server has restarted, so that they reclaim their locks: SM_NOTIFY to their status monitor. C702 12.
import type { Ipv4 } from '../base/addresses.ts';
import type { LockDoors } from './doors.ts';
import { nsmProcedures, nsmProgram, nsmVersion, writeStateChange } from './nsm.ts';

/** ms after which a client that did not answer is told again; the last goes on. */
const again = [1000, 2000, 4000, 8000, 15_000, 30_000, 60_000] as const;
const lastWait = 60_000;
/** As sm-notify(8): a machine that is off for longer boots anew and has no locks, ms. */
const patience = 900_000;

interface Notice {
  readonly server: Ipv4;
  readonly since: number;
  attempts: number;
  cancel: (() => void) | undefined;
}

export class Notifying {
  private readonly doors: LockDoors;
  private readonly state: number;
  private readonly over: (client: Ipv4) => void;
  private readonly notices = new Map<Ipv4, Notice>();

  /** `over`: a client was told, or given up. */
  constructor(doors: LockDoors, state: number, over: (client: Ipv4) => void) {
    this.doors = doors;
    this.state = state;
    this.over = over;
  }

  notify(client: Ipv4, server: Ipv4): void {
    const notice: Notice = { server, since: this.doors.timers.now(), attempts: 0, cancel: undefined };
    this.notices.set(client, notice);
    void this.attempt(client, notice);
  }

  isUnderWay(client: Ipv4): boolean {
    return this.notices.has(client);
  }

  stop(client: Ipv4): void {
    this.notices.get(client)?.cancel?.();
    this.notices.delete(client);
  }

  close(): void {
    for (const client of [...this.notices.keys()]) this.stop(client);
  }

  private async attempt(client: Ipv4, notice: Notice): Promise<void> {
    const { doors, state } = this;
    const { server } = notice;
    notice.cancel = undefined;
    const answer = await doors.call({
      from: server,
      to: client,
      transports: ['udp', 'tcp'],
      repeatable: true,
      program: nsmProgram,
      version: nsmVersion,
      procedure: nsmProcedures.NOTIFY,
      // Clients monitor the address that they mounted; a name would have to be looked up by them, and may not be found.
      args: (writer) => writeStateChange(writer, { name: server, state }),
    });
    if (this.notices.get(client) !== notice) return;
    const isPatient = doors.timers.now() - notice.since < patience;
    if (answer.kind === 'answered' || !isPatient) {
      this.notices.delete(client);
      if (answer.kind === 'answered') doors.log('info', 'nlm.notified', { client });
      else doors.log('warn', 'nlm.unnotified', { client, reason: answer.reason });
      this.over(client);
      return;
    }
    notice.cancel = doors.timers.after(again[notice.attempts] ?? lastWait, () => void this.attempt(client, notice));
    notice.attempts += 1;
  }
}
