// Anonymous pipes, which Node.js cannot make and criu needs: it restores no FIFO and no socket from outside of a job. pipe(7), proc_pid_fd(5).
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { readFile, readlink } from 'node:fs/promises';
import { Socket } from 'node:net';
import { Readable, Writable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { FarmError, systemCode } from '../../base/errors.ts';

/** A pipe with an open description of each side; the caller closes both. */
export interface Pipe {
  /** As a link in /proc/PID/fd names it and criu too: `pipe:[INODE]`. */
  readonly name: string;
  readonly reader: number;
  readonly writer: number;
}

/** Shells in a pipeline have pipes; opening what is in their /proc makes new descriptions of the same. They wait until descriptor 3 ends. */
export async function makePipes(count: number): Promise<readonly Pipe[]> {
  // In a shell of its own, for dash moves descriptor 4 to 1 while it echoes.
  const stage = '{ (echo >&4); read -r a <&3; }';
  const shells = spawn(
    '/bin/sh',
    [
      '-c',
      Array(count + 1)
        .fill(stage)
        .join(' | '),
    ],
    { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
  );
  const made: Pipe[] = [];
  try {
    await once(shells, 'spawn');
    const children = `/proc/${shells.pid}/task/${shells.pid}/children`;
    const told = shells.stdio[4];
    if (!(told instanceof Readable)) throw new FarmError('job.pipes', 'the shell that makes pipes has no descriptor 4');
    // All but the last write into their pipe what they should say to nobody: the count is read from the descriptor that is not one.
    let ready = 0;
    for await (const chunk of told) {
      ready += (chunk as Buffer).length;
      if (ready > count) break;
    }
    const pids = (await readFile(children, 'utf8')).trim().split(' ');
    if (pids.length <= count) throw new FarmError('job.pipes', `the shell that makes pipes has ${pids.length} processes for ${count} pipes`);
    for (const pid of pids.slice(0, count)) {
      const path = `/proc/${pid}/fd/1`;
      const name = await readlink(path);
      const reader = openSync(path, constants.O_RDONLY);
      made.push({ name, reader, writer: openSync(path, constants.O_WRONLY) });
    }
    return made;
  } catch (error) {
    for (const { reader, writer } of made) for (const fd of [reader, writer]) closeSync(fd);
    throw error;
  } finally {
    for (const stream of shells.stdio) stream?.destroy();
  }
}

/** A new description of what `fd` of a process is, which does not block. */
export function reopen(pid: number | 'self', fd: number, side: 'read' | 'write'): number {
  return openSync(`/proc/${pid}/fd/${fd}`, (side === 'read' ? constants.O_RDONLY : constants.O_WRONLY) | constants.O_NONBLOCK);
}

/** Linux' pipe-max-size without privileges, and more than what a pipe has by itself. */
const readLength = 64 * 1024;

/** All that lies in a pipe, by a descriptor that does not block. */
function drained(fd: number): Buffer {
  const parts: Buffer[] = [];
  for (;;) {
    const buffer = Buffer.allocUnsafe(readLength);
    try {
      const length = readSync(fd, buffer, 0, readLength, null);
      if (length === 0) break;
      parts.push(buffer.subarray(0, length));
    } catch (error) {
      if (systemCode(error) === 'EAGAIN') break;
      throw error;
    }
  }
  return Buffer.concat(parts);
}

/** The writing side of a job's input. What the job does not want any more is dropped, as by a terminal whose program has closed it. */
export class InputPipe extends Writable {
  private readonly socket: Socket | undefined;
  private readonly onEnd: () => void;
  private readonly fd: number | undefined;
  /** What comes while `take` empties the pipe, to go with that. */
  private kept: Buffer[] | undefined;
  private isTaken = false;
  /** Came after that: not delivered, so whoever wrote it keeps it. */
  private waiting: { readonly chunk: Buffer; readonly done: () => void } | undefined;
  private closing: (() => void) | undefined;

  /** `fd`: does not block, and becomes this stream's; undefined: it has ended. `onEnd`: the last that also holds the pipe open shall let go. */
  constructor(fd: number | undefined, onEnd: () => void) {
    super();
    this.fd = fd;
    this.onEnd = onEnd;
    if (fd === undefined) return;
    this.socket = new Socket({ fd, readable: false, writable: true });
    this.socket.on('error', () => this.socket?.destroy()); // EPIPE: nobody reads it any more
  }

  /** Undefined as well once nobody reads. */
  private get open(): Socket | undefined {
    return this.socket?.destroyed === false ? this.socket : undefined;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.isTaken) this.waiting = { chunk, done };
    else if (this.kept !== undefined) {
      this.kept.push(chunk);
      done();
    } else this.deliver(chunk, done);
  }

  private deliver(chunk: Buffer, done: () => void): void {
    if (this.open === undefined) done();
    else this.open.write(chunk, () => done());
  }

  override _final(done: () => void): void {
    const finish = (): void => {
      this.onEnd();
      this.socket?.destroy();
      done();
    };
    if (this.isTaken || this.kept !== undefined) this.closing = finish;
    else this.finishing(finish);
  }

  private finishing(finish: () => void): void {
    if (this.open === undefined) finish();
    else this.open.end(finish);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.socket?.destroy();
    done(error);
  }

  /** While its job stands still: gives all that was written to this stream and the job has not read. What comes after that is not written before `release`. */
  async take(): Promise<Buffer> {
    const kept: Buffer[] = [];
    this.kept = kept;
    const parts: Buffer[] = [];
    if (this.open !== undefined && this.fd !== undefined) {
      const fd = reopen('self', this.fd, 'read');
      try {
        // What the pipe had no room for follows as it empties.
        for (parts.push(drained(fd)); (this.open?.writableLength ?? 0) > 0 || this.writableLength > 0; parts.push(drained(fd))) await setImmediate();
      } finally {
        closeSync(fd);
      }
    }
    this.isTaken = true;
    return Buffer.concat([...parts, ...kept]);
  }

  /** The job runs on: first what it had not read, then what came since. */
  release(unread: Buffer): void {
    this.isTaken = false;
    this.kept = undefined;
    if (unread.length > 0) this.open?.write(unread);
    const { closing, waiting } = this;
    this.closing = undefined;
    this.waiting = undefined;
    if (waiting !== undefined) this.deliver(waiting.chunk, waiting.done);
    if (closing !== undefined) this.finishing(closing);
  }
}

/** The reading side of a job's output. */
export class OutputPipe extends Readable {
  private readonly socket: Socket | undefined;
  private readonly fd: number | undefined;
  private readonly onGone: () => void;

  /**
   * `fd`: does not block, and becomes this stream's; undefined: nobody reads it any more. `onGone`: it was destroyed, and the last that also holds the pipe
   * open shall let go, so that the job's next write is its SIGPIPE.
   */
  constructor(fd: number | undefined, onGone: () => void) {
    super();
    this.fd = fd;
    this.onGone = onGone;
    if (fd === undefined) {
      this.destroy();
      return;
    }
    const socket = new Socket({ fd, readable: true, writable: false });
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) socket.pause();
    });
    socket.once('end', () => {
      this.push(null);
      if (this.readableLength === 0) this.read(0); // says `end` even if nobody listens: there is nothing to hear
    });
    socket.once('error', (error) => this.destroy(error));
  }

  override _read(): void {
    this.socket?.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.socket?.destroy();
    this.onGone();
    done(error);
  }

  /** Reads all that its job, which stands still, has written, whether anybody takes it or not. */
  drain(): void {
    if (this.socket === undefined || this.fd === undefined || this.socket.destroyed || this.socket.readableEnded) return;
    for (let chunk: Buffer | null = this.socket.read(); chunk !== null; chunk = this.socket.read()) this.push(chunk);
    const rest = drained(this.fd);
    if (rest.length > 0) this.push(rest);
  }

  /** The job runs elsewhere: no end of the stream is told. */
  leave(): void {
    this.socket?.removeAllListeners();
    this.socket?.on('error', () => {}).destroy();
  }
}
