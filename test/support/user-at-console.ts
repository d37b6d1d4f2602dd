// Somebody who sits at the console of a machine of the lab: types, presses keys, and sees what appears.
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { waitForText } from '../../src/lab/follow.ts';
import type { Lab } from '../../src/lab/lab.ts';

const seconds = 150;

export interface User {
  type(line: string): void;
  /** Without Return. */
  press(key: string): void;
  /** Rejects if it does not appear. A mark that is looked for must not be typed as it is: the terminal echoes. */
  sees(text: RegExp): Promise<void>;
  leave(): void;
}

export function sitAt(lab: Pick<Lab, 'consoleLog' | 'consoleSocket'>, machine: string): User {
  const log = lab.consoleLog(machine);
  const socket = connect(lab.consoleSocket(machine));
  socket.on('error', () => {}); // what is then not seen says so
  socket.resume(); // QEMU logs a byte twice that its client was too slow for
  return {
    type: (line) => void socket.write(`${line}\r`),
    press: (key) => void socket.write(key),
    async sees(text) {
      if ((await waitForText(log, text, AbortSignal.timeout(seconds * 1000))) !== undefined) return;
      throw new Error(`${machine} does not show ${text} within ${seconds} s:\n${readFileSync(log, 'utf8').slice(-1500)}`);
    },
    leave: () => void socket.destroy(),
  };
}

/** Does on the machine what a line in /run/order says, while its console is somebody's: moves the shell there, or gives the console another size. */
export const handsScript: string = `while sleep 0.5; do
  [ -s /run/order ] || continue
  order=$(cat /run/order); rm /run/order
  pid=$(pgrep -fo 'mosrun -L bash')
  if [ "$order" = size ]; then said=$(stty -F /dev/ttyS0 rows 33 columns 99 2>&1)
  else said="$(migrate $pid $order 2>&1)$(cat /hpc/jobs/$pid/where)"
  fi
  printf '%s\\r\\n' "ordered $order: $said" > /dev/ttyS0
done
`;
