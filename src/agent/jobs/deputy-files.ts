// The FIFOs between the agent and a deputy, fifo(7). They lie in a directory of the user's, who may put anything there: only what is a FIFO of the user's is used.
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { FarmError, systemCode } from '../../base/errors.ts';
import type { DeputyPipes } from './home-streams.ts';

const { O_RDONLY, O_WRONLY, O_RDWR, O_NONBLOCK, O_NOFOLLOW } = constants;

export interface DeputyFiles {
  /** Lines from the deputy; ends with it, once `settle` was called. */
  readonly control: Socket;
  /** The deputy has opened all of them: from now on its end is noticed, and its standard input is read. */
  settle(): DeputyPipes;
  /** All that was written goes out, then the status; all is closed. */
  finish(status: number): void;
  /** Closes all, without a status. */
  close(): void;
}

/** Never waits for the deputy: a reader that is ours, too, stands in for it until `settle`. Throws `FarmError` `job.files`. */
export function openDeputyFiles(directory: string, uid: number): DeputyFiles {
  const held: number[] = [];
  const open = (name: string, side: number): number => {
    const fd = openSync(join(directory, name), side | O_NONBLOCK | O_NOFOLLOW);
    held.push(fd);
    const stat = fstatSync(fd);
    if (!stat.isFIFO() || stat.uid !== uid) throw new FarmError('job.files', `${join(directory, name)} is no FIFO of user ${uid}`);
    return fd;
  };
  const openBoth = (name: string, side: number): number => {
    open(name, O_RDWR);
    return open(name, side);
  };
  let fds: { readonly control: number; readonly input: number; readonly output: number; readonly errors: number | undefined; readonly result: number };
  try {
    const errors = hasErrors(directory) ? openBoth('err', O_WRONLY) : undefined;
    fds = { control: openBoth('ctl', O_RDONLY), input: open('in', O_RDONLY), output: openBoth('out', O_WRONLY), result: openBoth('ret', O_WRONLY), errors };
  } catch (error) {
    for (const fd of held) closeSync(fd);
    if (error instanceof FarmError) throw error;
    throw new FarmError('job.files', `the files of ${directory} cannot be opened: ${systemCode(error)}`, undefined, error);
  }
  const { control: controlFd, input: inputFd, output: outputFd, errors: errorsFd, result: resultFd } = fds;
  const used = new Set<number | undefined>([controlFd, inputFd, outputFd, errorsFd, resultFd]);
  const standIns = held.filter((fd) => !used.has(fd));
  const writer = (fd: number): Socket => new Socket({ fd, readable: false, writable: true }).on('error', () => {});
  const control = new Socket({ fd: controlFd, readable: true, writable: false }).on('error', () => {});
  const output = writer(outputFd);
  const errors = errorsFd === undefined ? undefined : writer(errorsFd);
  const result = writer(resultFd);
  let input: Socket | undefined;
  const settle = () => {
    for (const fd of standIns.splice(0)) closeSync(fd);
    input ??= new Socket({ fd: inputFd, readable: true, writable: false });
    return { input, output, errors };
  };
  return {
    control,
    settle,
    finish(status) {
      settle().input.destroy();
      void Promise.all([ended(output), errors === undefined ? undefined : ended(errors)]).then(() => result.end(`${status}\n`));
    },
    close() {
      settle()
        .input.on('error', () => {})
        .destroy();
      for (const stream of [control, output, errors, result]) stream?.destroy();
    },
  };
}

function hasErrors(directory: string): boolean {
  try {
    closeSync(openSync(join(directory, 'err'), O_RDONLY | O_NONBLOCK | O_NOFOLLOW));
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}

function ended(stream: Writable): Promise<void> {
  if (stream.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    stream.once('close', resolve);
    stream.end(() => resolve());
  });
}
