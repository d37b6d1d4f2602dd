// One of the NFS processes, and the next one when it ends: what it is told, asked and handed, and what it says.
import { type ChildProcess, fork } from 'node:child_process';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Ipv4 } from '../base/addresses.ts';
import { FarmError, sentence } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { NfsEvent } from '../nfs/exports.ts';
import { Relay } from '../rpc/relay.ts';
import type { LiveFarm, Published } from './live.ts';
import type { Answer, FromProcess, Question, Served, ToProcess } from './nfs-messages.ts';

/** How long after its end a process is started again, ms: one that cannot start must not keep a core busy. */
const restartDelay = 500;
/** How long one may take for its end: trees are closed, not copied. */
const endMilliseconds = 10_000;
/** Connections that wait for a process that is being started. */
const waitingMax = 1024;

/** What an NFS process tells of mounts. `begins`: the mount begins a boot of the client. */
export type MountObserver = (event: NfsEvent, begins: boolean) => void;

type Told = Pick<Extract<FromProcess, { readonly kind: 'answer' }>, 'answer' | 'error'>;

/** One process, and the next one when it ends. */
export class NfsMember {
  readonly relay: Relay;
  private readonly index: number;
  private readonly relays: readonly string[];
  private readonly live: LiveFarm;
  private readonly observe: MountObserver;
  private readonly log: Log;
  private child: ChildProcess | undefined;
  private ready = false;
  private closing = false;
  private readonly waiting: Socket[] = [];
  /** Questions that are not answered yet, by number. */
  private readonly asked = new Map<number, (told: Told) => void>();
  private questions = 0;
  /** Addresses on which this process serves locks; the next one serves them again. */
  private readonly lockAddresses: Ipv4[] = [];

  constructor(index: number, relays: readonly string[], live: LiveFarm, observe: MountObserver, log: Log) {
    this.index = index;
    this.relays = relays;
    this.live = live;
    this.observe = observe;
    this.log = log;
    this.relay = new Relay(relays[index] ?? '');
  }

  start(): Promise<void> {
    const { live, index, relays } = this;
    const child = fork(fileURLToPath(new URL('../farm/nfs-process.js', import.meta.url)), [], {
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.child = child;
    this.tell({ kind: 'start', index, relays, directory: live.directory, key: live.key, served: servedOf(live.published) });
    return new Promise((resolve, reject) => {
      child.on('message', (message) => {
        const told = message as FromProcess;
        if (told.kind === 'log') {
          const { level, event, fields } = told;
          this.log(level, event, fields);
        } else if (told.kind === 'observed') this.observe(told.event, told.begins);
        else if (told.kind === 'answer') this.asked.get(told.number)?.(told);
        else {
          this.ready = true;
          for (const socket of this.waiting.splice(0)) this.take(socket);
          for (const address of this.lockAddresses)
            this.ask({ kind: 'locks', address }).catch((error: unknown) => this.log('error', 'nlm.absent', { address, error: sentence(error) }));
          resolve();
        }
      });
      child.on('error', () => {}); // a message to a process that has ended; 'exit' follows
      child.on('exit', (code, signal) => {
        this.ended(signal ?? `status ${code}`);
        reject(new FarmError('nfs.process', `an NFS process ended with ${signal ?? `status ${code}`} before it was ready`, 'the log above says why'));
      });
    });
  }

  private ended(how: string): void {
    const wasReady = this.ready;
    this.ready = false;
    this.child = undefined;
    this.relay.close();
    for (const settle of this.asked.values()) settle({ answer: undefined, error: 'the NFS process that was asked has ended' });
    if (this.closing || !wasReady) return;
    this.log('error', 'nfs.process-ended', { process: this.index, how, remedy: 'none is needed: it is started again, and nodes connect again' });
    void this.again();
  }

  private async again(): Promise<void> {
    while (!this.closing) {
      await delay(restartDelay);
      if (this.closing) return;
      try {
        await this.start();
        return;
      } catch {
        this.log('error', 'nfs.process-ended', { process: this.index, how: 'before it was ready' });
      }
    }
  }

  /** Throws what the process says that it could not do. */
  async ask(question: Question): Promise<Answer | undefined> {
    const number = this.questions++;
    const { answer, error } = await new Promise<Told>((resolve) => {
      this.asked.set(number, resolve);
      if (this.ready) this.tell({ kind: 'ask', number, question });
      else resolve({ answer: undefined, error: 'the NFS process that has to do it is being started' });
    });
    this.asked.delete(number);
    if (error !== undefined) throw new FarmError('nfs.process', error, 'try again; the log of farm serve says more');
    return answer;
  }

  /** Serves locks on `address`, now and after each new start. */
  async serveLocks(address: Ipv4): Promise<Answer> {
    const answer = await this.ask({ kind: 'locks', address });
    if (answer === undefined) throw new Error('no lock server was started');
    this.lockAddresses.push(address);
    return answer;
  }

  release(address: Ipv4, why: string): void {
    this.tell({ kind: 'release', address, why });
  }

  publish(published: Published): void {
    this.tell({ kind: 'published', served: servedOf(published) });
  }

  take(socket: Socket): void {
    if (this.ready) this.child?.send({ kind: 'connection' } satisfies ToProcess, socket, { keepOpen: false }, (error) => error !== null && socket.destroy());
    else if (this.closing || this.waiting.length >= waitingMax) socket.destroy();
    else {
      this.waiting.push(socket);
      socket.on('error', () => socket.destroy()); // a client that did not wait
    }
  }

  private tell(message: ToProcess): void {
    this.child?.send(message, () => {}); // one that has ended learns it when it is started again
  }

  async close(): Promise<void> {
    this.closing = true;
    for (const socket of this.waiting.splice(0)) socket.destroy();
    this.relay.close();
    const { child } = this;
    if (child === undefined) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    this.tell({ kind: 'close' });
    const impatience = setTimeout(() => child.kill('SIGKILL'), endMilliseconds);
    await ended;
    clearTimeout(impatience);
  }
}

function servedOf({ farm, overlay, openmosixMap }: Published): Served {
  return { farm, overlay, openmosixMap };
}
