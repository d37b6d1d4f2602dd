// A terminal on a machine's serial console, over the unix socket that QEMU listens on.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { connect } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { FarmError } from '../base/errors.ts';
import type { Lab } from './lab.ts';

/** Ctrl-], as in telnet and virsh: no program on a serial line needs it. */
const leaveKey = 0x1d;
/** About a screen of what the console printed before, so that one sees where the machine is. */
const recentBytes = 2000;

/** What a terminal has and a pipe has not. */
interface Terminal extends Readable {
  readonly isTTY?: boolean;
  setRawMode?(raw: boolean): unknown;
}

function recent(path: string): Buffer {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const bytes = Buffer.alloc(Math.min(size, recentBytes));
    readSync(file, bytes, 0, bytes.length, size - bytes.length);
    return bytes.subarray(bytes.indexOf(0x0a) + 1);
  } finally {
    closeSync(file);
  }
}

/**
 * Connects `stdin` and `stdout` to the machine's console until Ctrl-], the end of `stdin`, or the machine's end; says which. The terminal is
 * raw meanwhile and restored after. Throws `FarmError` with code `lab.console` if the machine is off.
 */
export async function attachConsole(
  lab: Pick<Lab, 'machines' | 'consoleLog' | 'consoleSocket'>,
  machine: string,
  stdin: Terminal,
  stdout: Writable,
): Promise<'left' | 'ended'> {
  if (!lab.machines.includes(machine)) throw new FarmError('lab.machine-unknown', `the lab has no machine ${machine}`, `it has ${lab.machines.join(', ')}`);
  const connection = connect(lab.consoleSocket(machine));
  await new Promise<void>((resolve, reject) => {
    connection.on('connect', resolve);
    connection.on('error', (error) =>
      reject(new FarmError('lab.console', `${machine} has no console now: it is off`, `switch it on with: farm lab power ${machine} on`, error)),
    );
  });
  const terminal = stdin.isTTY === true;
  if (terminal) stdout.write(`[${machine}, leave with Ctrl-]]\r\n`);
  stdout.write(recent(lab.consoleLog(machine)));
  stdin.setRawMode?.(true);
  const left = new Promise<'left'>((resolve) => {
    stdin.on('end', () => resolve('left'));
    stdin.on('data', (chunk: Buffer | string) => {
      const bytes = Buffer.from(chunk);
      const at = terminal ? bytes.indexOf(leaveKey) : -1;
      connection.write(at === -1 ? bytes : bytes.subarray(0, at));
      if (at !== -1) resolve('left');
    });
  });
  const show = (chunk: Buffer) => stdout.write(chunk);
  connection.on('data', show);
  const ended = new Promise<'ended'>((resolve) => connection.on('close', () => resolve('ended')));
  try {
    return await Promise.race([left, ended]);
  } finally {
    stdin.removeAllListeners('data').removeAllListeners('end');
    stdin.pause();
    stdin.setRawMode?.(false);
    connection.off('data', show).resume();
    connection.end(); // what was typed last still goes out
    connection.unref();
    // What the machine drew with may be on still: no colours, lines wrap (SeaBIOS switches that off), the cursor is shown.
    if (terminal) stdout.write('\x1b[0m\x1b[?7h\x1b[?25h\r\n');
  }
}
